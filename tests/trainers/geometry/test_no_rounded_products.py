"""Coordinates are no products of float32 matrices, which a GPU rounds to 10 bits in the presets' TF32."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from facerefs.stages.engines.parsing.hull import face_hull
from facerefs.trainers.geometry.similarity import move_images
from facerefs.trainers.geometry.tps import warp_images
from facerefs.trainers.identity.crop import ArcFaceCrop, DlibChip
from tests.trainers.faces import frontal_face

SIDE_PX = 32
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "affine_grid_generator")


class Products(TorchDispatchMode):
    """Notes each matrix product of float32."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in PRODUCTS and args[0].dtype == torch.float32:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def _hull(_images: Tensor, points: Tensor) -> Tensor:
    return face_hull(points, SIDE_PX, SIDE_PX, feather_px=0.0)


def _turned(images: Tensor, _points: Tensor) -> Tensor:
    return move_images(images, torch.eye(2, 3)[None])


@pytest.mark.parametrize(
    "work",
    [
        ArcFaceCrop(),
        DlibChip(),
        _hull,
        _turned,
        lambda images, points: warp_images(images, points, points + 1),
    ],
)
def test_coordinates_are_no_products_that_a_gpu_rounds(work: Callable[[Tensor, Tensor], Any]) -> None:
    with Products() as products:
        work(torch.rand(1, 3, SIDE_PX, SIDE_PX), frontal_face(SIDE_PX).float())
    assert products.seen == []
