"""Shift, scale and rotate images together with their landmarks."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from facerefs.stages.degrade.operations.constant import constant


def random_similarities(
    count: int, size_px: int, shift_share: float, scale_share: float, turn_deg: float, device: torch.device
) -> Tensor:
    """Random similarity transforms (B, 2, 3), float32, of pixel coordinates about the centre of square images.

    Drawn from torch's generator. The shift along each axis, as a share of the side, and the rotation are uniform up to
    the given limits in both directions; the scale is log-uniform from 1 / (1 + scale_share) to 1 + scale_share.
    """
    drawn = torch.rand(count, 4, device=device) * 2 - 1
    shift = drawn[:, :2] * (shift_share * size_px)
    scale = (drawn[:, 2] * math.log1p(scale_share)).exp()
    turn = drawn[:, 3] * math.radians(turn_deg)
    cosine, sine = scale * turn.cos(), scale * turn.sin()
    linear = torch.stack([cosine, -sine, sine, cosine], dim=-1).view(-1, 2, 2)
    centre = (size_px - 1) / 2
    return torch.cat([linear, (centre + shift - linear.sum(-1) * centre)[..., None]], dim=-1)


def move_points(points: Tensor, transforms: Tensor) -> Tensor:
    """The points (B, N, 2), transformed by affine transforms (B, 2, 3)."""
    x, y = (
        (points * row[:, None, :2]).sum(-1) + row[:, None, 2] for row in transforms.to(points).unbind(1)
    )  # no matrix product: autocast would round it
    return torch.stack([x, y], dim=-1)


def move_images(images: Tensor, transforms: Tensor) -> Tensor:
    """The images (B, C, H, W), transformed by invertible transforms (B, 2, 3); bilinear, mirrored outside the image."""
    height, width = images.shape[-2:]
    transforms = transforms.to(images)
    linear = torch.linalg.inv(transforms[:, :, :2].double())
    inverse = torch.cat([linear, -linear @ transforms[:, :, 2:].double()], dim=-1).to(images)
    y, x = torch.meshgrid(
        *(torch.arange(side, dtype=images.dtype, device=images.device) for side in (height, width)),
        indexing="ij",
    )
    pixels = torch.stack([x, y], dim=-1).view(1, -1, 2).expand(len(images), -1, -1)
    size = constant((width, height), images)
    grid = (2 * move_points(pixels, inverse) + 1) / size - 1
    return functional.grid_sample(
        images, grid.view(len(images), height, width, 2), "bilinear", "reflection", align_corners=False
    )
