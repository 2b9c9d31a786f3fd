"""True landmarks of synthetic people, without rendering them."""

import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.faces.geometry import apply_transform, ffhq_transform
from facerefs.stages.synthetic_people.head.expression import make_expression
from facerefs.stages.synthetic_people.head.field import depth_at
from facerefs.stages.synthetic_people.head.landmarks import place_landmarks
from facerefs.stages.synthetic_people.head.shape import head_radius
from facerefs.stages.synthetic_people.photo.trace import make_camera
from facerefs.stages.synthetic_people.render import Person, View


def landmarks_of(person: Person, view: View, size_px: int) -> Float64s:
    """The landmarks (68, 2) of an aligned photo, as `render` has them."""
    places = place_landmarks(make_expression(person.shape, view))
    depth = depth_at(head_radius(person.shape), places[None, :, 0], places[None, :, 1])[0]
    pixels, _ = make_camera(view, size_px).project(np.column_stack([places, depth]).astype(np.float32))
    return apply_transform(ffhq_transform(pixels, size_px), pixels)
