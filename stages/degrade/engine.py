"""Apply theta: the one implementation of degradation, for shards and for training.

Operations run in theta's order: `x_d = JPEG_q((y * k) down_s + n)`. Where this differs from GFPGAN's loader:

- The degraded face is what the last operation leaves, at low resolution. So colour operations stand before
  JPEG (GFPGAN: after JPEG and resizing back), and the stored JPEG is the whole degraded face. A constant
  shift and luma commute with resizing, and with JPEG but for its rounding and for clipping.
- JPEG quality is a whole number (GFPGAN draws a real one, which OpenCV truncates).

All is computed in double precision and rounded once, to 8 bits. That is what makes the bytes the same for any
number of threads and any processor: rounding errors there are about 1e-15, and a pixel would have to lie that
close to a half to be rounded otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schemas.operations import Blur, ColourShift, Gray, Jpeg, MotionBlur, Noise, Operation, Resize
from schemas.theta import Theta
from stages.degrade.jpeg import compress, decompress
from stages.degrade.kernels import blur, gaussian_kernels, motion_kernels
from stages.degrade.noise import add_noise
from stages.degrade.resize import resize

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Degraded:
    """A degraded face at its low resolution, as theta's last operation left it."""

    image: Pixels  # (h, w, 3) RGB
    jpeg: bytes | None  # the file that decodes to `image`, if the last operation was JPEG


def degrade(images: Tensor, thetas: Sequence[Theta]) -> list[Degraded]:
    """Degrade each image by its own theta.

    images: (B, 3, H, W) floating, RGB in [0, 1], on any device.
    Raises ValueError if the images have another shape or range, or if there is not one theta for each.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images are (B, 3, H, W) and floating, not {tuple(images.shape)} {images.dtype}")
    if len(images) != len(thetas):
        raise ValueError(f"{len(images)} images have {len(thetas)} thetas; each needs one")
    if not bool(((images >= 0) & (images <= 1)).all()):  # false for NaN
        raise ValueError("images have values outside [0, 1]")
    return [_degrade_one(image[None].double(), theta) for image, theta in zip(images, thetas, strict=True)]


def restore_size(image: Pixels, height: int, width: int) -> Tensor:
    """A degraded face back at full size, bilinear, as the papers feed it to their networks.

    image: (h, w, 3) uint8 RGB. Returns (3, height, width) float32 RGB in [0, 1], not rounded to 8 bits.
    """
    return resize(_tensor(image), height, width, "bilinear")[0].float()


def _degrade_one(image: Tensor, theta: Theta) -> Degraded:
    jpeg = None
    for op in theta:
        if isinstance(op, Jpeg):
            jpeg = compress(_pixels(image), op.quality, op.chroma)
            image = _tensor(decompress(jpeg)).to(image)
        else:
            jpeg = None
            image = _apply(image, op)
    return Degraded(_pixels(image), jpeg)


def _apply(image: Tensor, op: Operation) -> Tensor:
    """One operation but JPEG on a (1, 3, H, W) image."""
    match op:
        case Blur():
            sigma_x, sigma_y, angle = image.new_tensor([[op.sigma_x_px], [op.sigma_y_px], [op.angle_rad]])
            return blur(image, gaussian_kernels(op.taps, sigma_x, sigma_y, angle))
        case MotionBlur():
            length, angle = image.new_tensor([[op.length_px], [op.angle_rad]])
            return blur(image, motion_kernels(op.taps, length, angle))
        case Resize():
            return resize(image, op.out_h, op.out_w, op.mode)
        case Noise():
            return add_noise(image, op.sigma, op.gray, op.seed)
        case ColourShift():
            return (image + image.new_tensor([op.red, op.green, op.blue])[:, None, None] / 255).clamp(0, 1)
        case Gray():
            luma = image.new_tensor([0.299, 0.587, 0.114])[:, None, None]
            return (image * luma).sum(1, keepdim=True).expand_as(image)
    raise TypeError(f"{op} is no operation of theta")


def _pixels(image: Tensor) -> Pixels:
    """(1, 3, H, W) in about [0, 1] to (H, W, 3) uint8, rounding halves to even, as OpenCV does."""
    rounded = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    pixels: Pixels = rounded.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


def _tensor(image: Pixels) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) float64 in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255
