"""Crop regions of interest and resample them to one size: RoIAlign (He et al., "Mask R-CNN", 2017)."""

import torch
from torch import Tensor
from torch.nn import functional


def roi_align(images: Tensor, boxes: Tensor, height: int, width: int, samples: int = 2) -> Tensor:
    """Regions (B, R, C, height, width) of images (B, C, H, W), float32, differentiable in the images.

    boxes: (B, R, 4) of left, top, right, bottom in pixels; pixel centres lie at whole numbers. In torchvision this is
    `aligned=True` with 0.5 added to the boxes, because there pixels begin at whole numbers. A region is divided into
    height x width bins; each is the mean of samples x samples bilinear samples, evenly spread within it.
    samples: choice; 2 gives the paper's four points per bin.

    Samples up to one pixel outside the image take the value of its edge, samples further out are 0, as in torchvision.
    It is fastest to crop all regions of one size with one call.
    """
    rows, columns = images.shape[-2:]
    with torch.autocast(images.device.type, enabled=False):
        left, top, right, bottom = boxes.float().unbind(-1)
        x = _places(left, right, width * samples)
        y = _places(top, bottom, height * samples)
        across = _normal(x, columns)[:, :, None].expand(-1, -1, y.shape[-1], -1)
        down = _normal(y, rows)[..., None].expand_as(across)
        # One tall grid for all regions of an image, so that the image is not copied for each region.
        grid = torch.stack([across, down], -1).flatten(1, 2)
        cut = functional.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
        inside = _within(x, columns)[:, :, None] & _within(y, rows)[..., None]
        cut = torch.where(inside.flatten(1, 2)[:, None], cut, 0.0)
        bins = functional.avg_pool2d(cut, samples) if samples > 1 else cut
    return bins.reshape(*bins.shape[:2], boxes.shape[1], height, width).transpose(1, 2)


def _places(low: Tensor, high: Tensor, count: int) -> Tensor:
    """The middles of `count` equal parts of each interval: (B, R) each -> (B, R, count)."""
    middles = (torch.arange(count, device=low.device, dtype=low.dtype) + 0.5) / count
    return low[..., None] + (high - low)[..., None] * middles


def _normal(places: Tensor, length: int) -> Tensor:
    """Positions in pixels, scaled so that the outer edges of the image are -1 and 1."""
    return (2 * places + 1) / length - 1


def _within(places: Tensor, length: int) -> Tensor:
    return (places >= -1) & (places <= length)
