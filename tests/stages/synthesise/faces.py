"""Landmarks of rendered people, whose truth is known, without rendering them."""

import numpy as np
from numpy.typing import NDArray

from stages.geometry import apply, ffhq_transform
from stages.rendered.expression import express
from stages.rendered.field import depth_at
from stages.rendered.landmarks import place_landmarks
from stages.rendered.render import Person, View
from stages.rendered.shape import head_radius
from stages.rendered.trace import make_camera

Points = NDArray[np.float64]


def landmarks_of(person: Person, view: View, size_px: int) -> Points:
    """The landmarks (68, 2) of an aligned photo, as `render` has them."""
    places = place_landmarks(express(person.shape, view))
    depth = depth_at(head_radius(person.shape), places[None, :, 0], places[None, :, 1])[0]
    pixels, _ = make_camera(view, size_px).project(np.column_stack([places, depth]).astype(np.float32))
    return apply(ffhq_transform(pixels, size_px), pixels)
