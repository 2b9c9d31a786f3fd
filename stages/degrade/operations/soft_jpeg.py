"""Differentiable JPEG in torch: what libjpeg does to the pixels of a batch of images.

Baseline JPEG (ITU-T T.81) as libjpeg-turbo does it by default: tables of Annex K scaled by quality, rounding to
integers after each step, chroma halved by a mean and doubled by a triangle filter ("fancy upsampling"), edges
repeated. It differs from libjpeg only where a value lies close to a half: libjpeg's DCT works in integers.

Rounding passes the gradient straight through (Bengio et al. 2013); clipping stops it. There is no state.
"""

import math
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.stages.degrade.operations.constant import constant
from facerefs.stages.degrade.operations.padded_batch import Sizes, repeat_edges

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
# JFIF 1.02: RGB to Y, Cb, Cr, and back, in libjpeg's 65536ths, so that sums in single precision are exact.
_TO_YCC = tuple(
    tuple(part / 65536 for part in row)
    for row in ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
)
_FROM_CHROMA = ((0.0, 91881 / 65536), (-22554 / 65536, -46802 / 65536), (116130 / 65536, 0.0))
_CENTRE = 128 - 2**-16  # of Cb and Cr: libjpeg rounds their halves down
_FINE = 8  # libjpeg's DCT rounds to eighths before it quantises


def soft_jpeg(
    images: Tensor, sizes: Sizes, quality: Tensor, chroma: Literal["4:2:0", "4:4:4"], rounding: bool = True
) -> Tensor:
    """Images after JPEG compression of `quality` (B,), 1 to 100.

    images: (B, 3, H, W) RGB in [0, 1] of these sizes, float32 or float64. Returns the same shape. rounding=False rounds
    nothing: that is the smooth function whose gradient this one has.
    """
    step = 16 if chroma == "4:2:0" else 8
    tall, wide = -(-sizes.height // step) * step, -(-sizes.width // step) * step
    pixels = repeat_edges(images, sizes, tall, wide) * 255
    ycc = _to_ycc(_round_and_clip(pixels, rounding), rounding)
    luma, colour = ycc[:, :1], ycc[:, 1:]
    if chroma == "4:2:0":
        colour = _halved(colour, sizes, rounding)
    luma = _blocks_coded(luma, _table(_LUMA, quality, images), rounding)
    colour = _blocks_coded(colour, _table(_CHROMA, quality, images), rounding)
    if chroma == "4:2:0":
        colour = _doubled(colour, sizes, rounding)
    return _to_rgb(luma, colour, rounding)[..., : sizes.height, : sizes.width].div_(255)


def quantisation_tables(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """Quantisation tables (B, 64) int64 for each quality (B,), as libjpeg's `jpeg_quality_scaling`."""
    quality = quality.long()
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    table = constant(base, quality)
    return ((table * percent + 50) // 100).clamp(1, 255)


def _table(base: tuple[int, ...], quality: Tensor, like: Tensor) -> Tensor:
    return quantisation_tables(base, quality).to(like.dtype)[:, None]


class _RoundStraightThrough(torch.autograd.Function):
    """Round to the nearest, halves away from zero; with a `bias`, add it and round down. The gradient passes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, bias: Tensor | None) -> Tensor:
        if bias is None:
            return torch.copysign(values.new_full((), 0.5), values).add_(values).trunc_()
        return (values + bias).floor_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _RoundAndClip(torch.autograd.Function):
    """Round to integers, halves up, and clip to 0 ... 255. The gradient is that of clipping alone."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return (values + 0.5).floor_().clamp_(0, 255)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        values: Tensor = ctx.saved_tensors[0]
        return gradient * ((values >= 0) & (values <= 255))


def _round(values: Tensor, bias: Tensor | None, rounding: bool) -> Tensor:
    """`_RoundStraightThrough` of values of our own making, which are overwritten where no gradient is wanted."""
    if not rounding:
        return values
    if values.requires_grad:
        return _RoundStraightThrough.apply(values, bias)  # type: ignore[no-untyped-call,no-any-return]
    if bias is None:
        return values.add_(torch.copysign(values.new_full((), 0.5), values)).trunc_()
    return values.add_(bias).floor_()


def _round_and_clip(values: Tensor, rounding: bool) -> Tensor:
    """`_RoundAndClip` of values of our own making, which are overwritten where no gradient is wanted."""
    if not rounding:
        return values.clamp(0, 255)
    if values.requires_grad:
        return _RoundAndClip.apply(values)  # type: ignore[no-untyped-call,no-any-return]
    return values.add_(0.5).floor_().clamp_(0, 255)


def _to_ycc(pixels: Tensor, rounding: bool) -> Tensor:
    offset = constant((0, _CENTRE, _CENTRE) if rounding else (0, 128, 128), pixels)[:, None]
    turned = torch.baddbmm(offset, _each(pixels, _TO_YCC), pixels.flatten(2))
    return _round_and_clip(turned.view(pixels.shape), rounding)


def _to_rgb(luma: Tensor, chroma: Tensor, rounding: bool) -> Tensor:
    share = _each(chroma, _FROM_CHROMA)
    base = luma - 128 * share[0].sum(1).view(3, 1, 1)
    turned = torch.baddbmm(base.flatten(2), share, chroma.flatten(2))
    return _round_and_clip(turned.view(base.shape), rounding)


def _each(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return constant(matrix, planes).expand(len(planes), -1, -1)


def _blocks_coded(planes: Tensor, table: Tensor, rounding: bool) -> Tensor:
    """The planes after DCT of 8 x 8 blocks, quantisation, and the inverse DCT."""
    batch, channels, height, width = planes.shape
    blocks = planes.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4).reshape(-1, 64)
    basis = _dct(planes.dtype, planes.device)
    coefficients = torch.addmm(basis.sum(1) * -128, blocks, basis.T).view(batch, -1, 64)
    if rounding:
        coefficients = _round(coefficients.mul_(_FINE), None, rounding).div_(_FINE)
    steps = _round(coefficients.div_(table), None, rounding).mul(table)
    decoded = torch.addmm(planes.new_full((), 128).expand(64), steps.view(-1, 64), basis)
    decoded = decoded.view(batch, channels, height // 8, width // 8, 8, 8).transpose(3, 4)
    return _round_and_clip(decoded.reshape(batch, channels, height, width), rounding)


@cache
def _dct(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The two-dimensional DCT-II of an 8 x 8 block as an orthogonal matrix, (64, 64)."""
    place = torch.arange(8, dtype=torch.float64)
    line = torch.cos((2 * place + 1) * place[:, None] * math.pi / 16) / 2
    line[0] /= math.sqrt(2)
    return torch.kron(line, line).to(device, dtype, non_blocking=True)


def _halved(planes: Tensor, sizes: Sizes, rounding: bool) -> Tensor:
    """Half the size, by the mean of 2 x 2 pixels; below an image libjpeg repeats the last row of means."""
    columns = planes[..., 0::2] + planes[..., 1::2]
    mean = (columns[:, :, 0::2] + columns[:, :, 1::2]).div_(4)
    bias = constant((0.25, 0.5), mean).repeat(mean.shape[3] // 2)
    rounded = _round(mean, bias, rounding)
    return repeat_edges(rounded, _half(sizes), mean.shape[2], mean.shape[3])


def _doubled(planes: Tensor, sizes: Sizes, rounding: bool) -> Tensor:
    """Twice the size: three quarters of the nearer pixel and one quarter of the farther, along both axes."""
    half = _half(sizes)
    narrow = None
    if any(width <= 2 for _, width in half.shapes):
        narrow = (half.widths <= 2).view(-1, 1, 1, 1)  # libjpeg repeats the pixels of so narrow an image
    edged = repeat_edges(planes, half, planes.shape[2], planes.shape[3])
    both = _interpolated(_interpolated(edged, 2, narrow), 3, narrow).div_(16)
    bias = constant((8 / 16, 7 / 16), both).repeat(planes.shape[3])
    return _round(both, bias, rounding)


def _interpolated(planes: Tensor, axis: int, narrow: Tensor | None) -> Tensor:
    """The planes twice as long along an axis, with values times 4; the two ends have no farther pixel and stay."""
    length = planes.shape[axis]
    longer = F.pad(planes, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0), mode="replicate")
    farther = [longer.narrow(axis, 0, length), longer.narrow(axis, 2, length)]
    if narrow is not None:
        farther = [torch.where(narrow, planes, pixels) for pixels in farther]
    pair = [torch.add(pixels, planes, alpha=3) for pixels in farther]
    return torch.stack(pair, axis + 1).flatten(axis, axis + 1)


def _half(sizes: Sizes) -> Sizes:
    shapes = tuple(((height + 1) // 2, (width + 1) // 2) for height, width in sizes.shapes)
    return Sizes(shapes, (sizes.heights + 1) // 2, (sizes.widths + 1) // 2)
