"""Warp images by a motion field."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def backward_warp(images: Tensor, flow: Tensor) -> Tensor:
    """Return the warped images: pixel p gets the colour at p + flow(p).

    Wolberg, "Digital image warping", 1990 (RPF, eq. 2).
    images: (B, C, H, W). flow: (B, 2, H, W), x and y in pixels. Bilinear; outside the image its border is repeated
    (choice). Returns float32 (B, C, H, W), differentiable in both.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=flow.device, dtype=torch.float32)
    x, y = flow.float().unbind(1)
    grid = torch.stack([(2 * (columns + x) + 1) / width - 1, (2 * (rows + y) + 1) / height - 1], dim=-1)
    with torch.autocast(flow.device.type, enabled=False):
        return grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
