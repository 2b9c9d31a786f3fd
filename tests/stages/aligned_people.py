"""Rendered people whose photos are FFHQ-aligned already, by the renderer's own landmarks."""

import numpy as np

from facerefs.schemas.arrays import UInt8Image
from facerefs.stages.faces.geometry import ffhq_transform, warp
from facerefs.stages.synthetic_people.render import draw_person, draw_view, render


def aligned_face(
    person: int, number: int, size_px: int = 512, seed: int = 7, rendered_px: int = 512
) -> UInt8Image:
    """Photo `number` of a person: uint8 (size_px, size_px, 3). rendered_px: fewer take less time."""
    rendering = render(draw_person(seed, person), draw_view(seed, person, number), rendered_px)
    transform = ffhq_transform(np.asarray(rendering.landmarks), size_px)
    return warp(rendering.image, transform, size_px).pixels
