"""Faces that the tests of this folder share."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from facerefs.stages.faces import geometry
from facerefs.stages.synthetic_people.render import draw_person, draw_view, render


@dataclass(frozen=True)
class Faces:
    """FFHQ-aligned faces of rendered people, for the engines and for torch."""

    pixels: list[npt.NDArray[np.uint8]]  # (S, S, 3)
    points: list[npt.NDArray[np.float32]]  # (68, 2)

    @property
    def images(self) -> Tensor:
        return torch.from_numpy(np.stack(self.pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1

    @property
    def landmarks(self) -> Tensor:
        return torch.from_numpy(np.stack(self.points))


@pytest.fixture(scope="session")
def aligned_faces() -> Faces:
    return make_faces(160)


def make_faces(size_px: int) -> Faces:
    pixels, points = [], []
    for person in range(4):
        photo = render(draw_person(5, person), draw_view(5, person, 0), 192)
        transform = geometry.ffhq_transform(photo.landmarks, size_px)
        pixels.append(geometry.warp(photo.image, transform, size_px).pixels)
        points.append(geometry.apply_transform(transform, photo.landmarks).astype(np.float32))
    return Faces(pixels, points)
