"""Resize images, and invert a bilinear enlargement. All in float32."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def reduced(images: Tensor, side_px: int) -> Tensor:
    """Reduced images, (B, C, S, S) to (B, C, side_px, side_px): antialiased bicubic as MATLAB's; may overshoot."""
    return interpolate(images.float(), (side_px, side_px), mode="bicubic", antialias=True)


def reduced_masks(masks: Tensor, side_px: int) -> Tensor:
    """Reduced masks, (B, 1, S, S) to (B, 1, side_px, side_px): the share of each pixel that the mask covers."""
    return interpolate(masks.float(), (side_px, side_px), mode="area")


def enlarged(images: Tensor, side_px: int) -> Tensor:
    """Enlarged images, (B, C, S, S) to (B, C, side_px, side_px), bicubic."""
    return interpolate(images.float(), (side_px, side_px), mode="bicubic")


def before_enlargement(images: Tensor, side_px: int) -> Tensor:
    """The images of side_px whose bilinear enlargement is nearest to `images` (B, C, S, S), by least squares.

    Images that `stages.degrade.apply_theta.resize_back` enlarged are recovered up to rounding. Rows and columns are
    solved one after the other; this is the least-squares solution because enlarging is separable. Computed in float64,
    without waiting for a GPU.
    """
    with torch.autocast(images.device.type, enabled=False):
        unit = torch.eye(side_px, dtype=torch.float64, device=images.device)
        enlarging = interpolate(unit[None, None], (images.shape[-1], side_px), mode="bilinear")[0, 0]
        factor, _ = torch.linalg.cholesky_ex(enlarging.mT @ enlarging)
        solving = torch.cholesky_solve(enlarging.mT, factor)  # (A^T A)^-1 A^T
        return (solving @ images.double() @ solving.mT).float()
