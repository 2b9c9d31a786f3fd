"""Images at other sizes and warped by a flow, against literal versions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from facerefs.schemas.operations import Resize
from facerefs.stages.degrade.apply_theta import degrade, degrade_and_resize_back
from facerefs.trainers.geometry.flow import backward_warp
from facerefs.trainers.geometry.sizes import before_enlargement, enlarged, reduced, reduced_masks


@pytest.mark.parametrize(("side", "small"), [(64, 8), (256, 32)])
def test_what_a_recipe_reduced_comes_back_from_its_enlargement(side: int, small: int) -> None:
    torch.manual_seed(0)
    faces, thetas = torch.rand(2, 3, side, side), [(Resize(small, small, "bicubic_antialias"),)] * 2
    found = before_enlargement(degrade_and_resize_back(faces, thetas), small)
    assert torch.allclose(found, degrade(faces, thetas).pixels, atol=2e-6)
    inside = (..., slice(2, -2), slice(2, -2))  # at the border MATLAB mirrors, and torch leaves out
    assert torch.allclose(found[inside], reduced(faces, small)[inside], atol=1e-5)


def test_it_is_the_least_squares_solution_over_both_axes() -> None:
    torch.manual_seed(1)
    image = torch.rand(1, 1, 16, 16)
    columns = [
        torch.nn.functional.interpolate(unit.view(1, 1, 4, 4), (16, 16), mode="bilinear").flatten()
        for unit in torch.eye(16)
    ]
    best, *_ = np.linalg.lstsq(torch.stack(columns, 1).double().numpy(), image.flatten().double().numpy())
    assert before_enlargement(image, 4).flatten().numpy() == pytest.approx(best, abs=1e-5)


def test_other_sizes_keep_what_is_even() -> None:
    grey = torch.full((1, 3, 16, 16), 0.25)
    for made in (reduced(grey, 4), enlarged(grey, 64), before_enlargement(grey, 8)):
        assert torch.allclose(made, torch.full_like(made, 0.25), atol=1e-6)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1
    assert reduced_masks(mask, 4)[0, 0, 0].tolist() == [1, 0.5, 0, 0]


def bilinear(image: Tensor, x: float, y: float) -> Tensor:
    """The colour at a place, the border repeated."""
    height, width = image.shape[-2:]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    upper = (1 - u) * image[:, top, left] + u * image[:, top, right]
    return (1 - v) * upper + v * ((1 - u) * image[:, bottom, left] + u * image[:, bottom, right])


def test_a_pixel_takes_the_colour_where_its_flow_points() -> None:
    torch.manual_seed(2)
    images, flow = torch.rand(2, 3, 5, 7), 2 * torch.randn(2, 2, 5, 7)
    warped = backward_warp(images, flow)
    for i, row, column in np.ndindex(2, 5, 7):
        dx, dy = flow[i, :, row, column].tolist()
        expected = bilinear(images[i], column + dx, row + dy)
        assert torch.allclose(warped[i, :, row, column], expected, atol=1e-5)
    assert torch.allclose(backward_warp(images, torch.zeros_like(flow)), images, atol=1e-6)
