"""JPEG in torch: what libjpeg does to the pixels of many images at once, with a gradient.

Baseline JPEG (ITU-T T.81) as libjpeg-turbo does it by default: tables of Annex K scaled by quality, rounding to
whole numbers after each step, chroma halved by a mean and doubled by a triangle filter ("fancy upsampling"), edges
repeated. It differs from libjpeg only where a value lies close to a half: libjpeg's DCT works in whole numbers.

Rounding passes the gradient straight through (Bengio et al. 2013); clipping stops it. There is no state.
"""

import math
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from stages.degrade.canvas import Sizes, repeat_edges

# ITU-T T.81, tables K.1 and K.2, row by row.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *[99] * 32,
)  # fmt: skip
_HARDLY = 1e-6
# JFIF 1.02: RGB to Y, Cb, Cr, and back.
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


def soft_jpeg(
    images: Tensor, sizes: Sizes, quality: Tensor, chroma: Literal["4:2:0", "4:4:4"], rounding: bool = True
) -> Tensor:
    """Images as they are after JPEG of `quality` (B,), 1 to 100.

    images: (B, 3, H, W) RGB in [0, 1] of these sizes, float32 or float64. Returns the same shape; without `rounding`
    the function whose gradient this one has: nothing is rounded.
    """
    step = 16 if chroma == "4:2:0" else 8
    tall, wide = -(-sizes.height // step) * step, -(-sizes.width // step) * step
    pixels = repeat_edges(images, sizes, tall, wide) * 255
    ycc = _colours(_level(pixels, rounding), _TO_YCC, (0, 128, 128), rounding)
    luma, colour = ycc[:, :1], ycc[:, 1:]
    if chroma == "4:2:0":
        colour = _halved(colour, sizes, rounding)
    luma = _blocks_coded(luma, _table(_LUMA, quality, images), rounding)
    colour = _blocks_coded(colour, _table(_CHROMA, quality, images), rounding)
    if chroma == "4:2:0":
        colour = _doubled(colour, sizes, rounding)
    ycc = torch.cat([luma, colour - 128], 1)
    return _colours(ycc, _TO_RGB, (0, 0, 0), rounding)[..., : sizes.height, : sizes.width] / 255


def quantisation(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """A table of 64 steps for each quality (B,), as libjpeg's `jpeg_quality_scaling`: (B, 64) int64."""
    quality = quality.long()
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    table = torch.tensor(base, device=quality.device)
    return ((table * percent + 50) // 100).clamp(1, 255)


def _table(base: tuple[int, ...], quality: Tensor, like: Tensor) -> Tensor:
    return quantisation(base, quality).to(like.dtype)[:, None, None]


class _StraightThrough(torch.autograd.Function):
    """Rounding down after adding `bias`; the gradient passes as if nothing had been done."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, bias: Tensor | float) -> Tensor:
        return (values + bias).floor_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def _rounded(values: Tensor, bias: Tensor | float, rounding: bool) -> Tensor:
    if not rounding:
        return values
    rounded: Tensor = _StraightThrough.apply(values, bias)  # type: ignore[no-untyped-call]
    return rounded


def _level(values: Tensor, rounding: bool) -> Tensor:
    """Rounded to whole numbers, halves up, and clipped to 0 ... 255."""
    return _rounded(values, 0.5, rounding).clamp(0, 255)


def _colours(
    pixels: Tensor, matrix: tuple[tuple[float, ...], ...], offset: tuple[int, ...], rounding: bool
) -> Tensor:
    turned = torch.einsum("dc,bchw->bdhw", pixels.new_tensor(matrix), pixels)
    return _level(turned + pixels.new_tensor(offset)[:, None, None], rounding)


def _blocks_coded(planes: Tensor, table: Tensor, rounding: bool) -> Tensor:
    """DCT of 8 x 8 blocks, quantised, and back."""
    batch, channels, height, width = planes.shape
    blocks = planes.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    basis = _dct(planes.dtype, planes.device)
    coefficients = (blocks.reshape(batch, channels, -1, 64) - 128) @ basis.T
    steps = coefficients / table
    steps = _rounded(steps, 0.5 - (steps.detach() < 0) * _HARDLY, rounding)  # halves away from zero
    decoded = _level((steps * table) @ basis + 128, rounding)
    decoded = decoded.view(batch, channels, height // 8, width // 8, 8, 8).transpose(3, 4)
    return decoded.reshape(batch, channels, height, width)


@cache
def _dct(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The two-dimensional DCT-II of an 8 x 8 block as an orthogonal matrix, (64, 64)."""
    place = torch.arange(8, dtype=torch.float64)
    line = torch.cos((2 * place + 1) * place[:, None] * math.pi / 16) / 2
    line[0] /= math.sqrt(2)
    return torch.kron(line, line).to(device, dtype)


def _halved(planes: Tensor, sizes: Sizes, rounding: bool) -> Tensor:
    """The mean of 2 x 2 pixels; libjpeg repeats the last row of means below an image, not its last row of pixels."""
    columns = planes[..., 0::2] + planes[..., 1::2]
    mean = (columns[:, :, 0::2] + columns[:, :, 1::2]) / 4
    bias = torch.tensor([0.25, 0.5], dtype=mean.dtype, device=mean.device).repeat(mean.shape[3] // 2)
    rounded = _rounded(mean, bias, rounding)
    return repeat_edges(rounded, _half(sizes), mean.shape[2], mean.shape[3])


def _doubled(planes: Tensor, sizes: Sizes, rounding: bool) -> Tensor:
    """Twice as large: three quarters of the nearer pixel and one of the farther, along both axes."""
    half = _half(sizes)
    narrow = half.widths <= 2  # libjpeg repeats the pixels of so narrow an image
    edged = repeat_edges(planes, half, planes.shape[2], planes.shape[3])
    rows = _interpolated(edged, 2, narrow)
    both = _interpolated(rows, 3, narrow)
    bias = torch.tensor([8 / 16, 7 / 16], dtype=both.dtype, device=both.device).repeat(planes.shape[3])
    return _rounded(both / 16, bias, rounding)


def _interpolated(planes: Tensor, axis: int, narrow: Tensor) -> Tensor:
    """A line twice as long, its values four times as large; the ends, where there is no farther pixel, as they are."""
    length = planes.shape[axis]
    before = torch.cat([planes.narrow(axis, 0, 1), planes.narrow(axis, 0, length - 1)], axis)
    after = torch.cat([planes.narrow(axis, 1, length - 1), planes.narrow(axis, length - 1, 1)], axis)
    plain = narrow.view(-1, 1, 1, 1)
    pair = [3 * planes + torch.where(plain, planes, farther) for farther in (before, after)]
    return torch.stack(pair, axis + 1).flatten(axis, axis + 1)


def _half(sizes: Sizes) -> Sizes:
    shapes = tuple(((height + 1) // 2, (width + 1) // 2) for height, width in sizes.shapes)
    return Sizes(shapes, (sizes.heights + 1) // 2, (sizes.widths + 1) // 2)
