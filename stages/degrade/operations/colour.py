"""Colour operations on a batch of images. All clip to [0, 1], except `gray`, which cannot leave it."""

import torch
from torch import Tensor

from facerefs.stages.degrade.operations.constant import constant
from facerefs.stages.degrade.operations.padded_batch import Sizes

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def shift(images: Tensor, red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] with a constant (B,), on the scale 0 to 255, added to each channel."""
    shifts = torch.stack([red, green, blue], 1).to(images)
    return (images + shifts[:, :, None, None] / 255).clamp(0, 1)


def gray(images: Tensor) -> Tensor:
    """The images in gray: their luma in all three channels."""
    return luma(images).expand_as(images)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """The images times `factor` (B,), as torchvision's `adjust_brightness`."""
    return (images * _each(factor, images)).clamp(0, 1)


def contrast(images: Tensor, sizes: Sizes, factor: Tensor) -> Tensor:
    """The images with their distance from their mean luma times `factor` (B,), as torchvision's `adjust_contrast`."""
    inside = (
        _inside(sizes.heights, images.shape[2])[:, :, None] & _inside(sizes.widths, images.shape[3])[:, None]
    )
    total = (luma(images) * inside[:, None]).sum((1, 2, 3), keepdim=True)
    mean = total / inside.sum((1, 2))[:, None, None, None]
    return (mean + (images - mean) * _each(factor, images)).clamp(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """The images with the distance of each pixel from its luma times `factor` (B,), as `adjust_saturation`."""
    middle = luma(images)
    return (middle + (images - middle) * _each(factor, images)).clamp(0, 1)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """The images with their hue turned by a share `turn` (B,) of the colour circle, through HSV, as `adjust_hue`."""
    value, index = images.max(1)
    spread = value - images.min(1).values
    red, green, blue = images.unbind(1)
    safe = torch.where(spread == 0, 1, spread)
    sixths = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe], 1)
    sixth = sixths.gather(1, index[:, None])[:, 0] + 6 * turn.to(images)[:, None, None]
    # A channel at angle `n` sixths from red falls linearly with the distance of the hue from it (Smith 1978).
    offset = constant((5, 3, 1), images)[:, None, None]
    ramp = (offset + sixth[:, None]) % 6
    fall = torch.minimum(ramp, 4 - ramp).clamp(0, 1)
    return (value[:, None] - spread[:, None] * fall).clamp(0, 1)


def luma(images: Tensor) -> Tensor:
    """The luma (B, 1, H, W) of RGB images (B, 3, H, W)."""
    return (images * constant(_LUMA, images)[:, None, None]).sum(1, keepdim=True)


def _each(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like).view(-1, 1, 1, 1)


def _inside(lengths: Tensor, count: int) -> Tensor:
    return torch.arange(count, device=lengths.device) < lengths[:, None]
