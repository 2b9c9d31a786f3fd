"""Resampling weights: how much each old pixel along an axis adds to each new one, for each resize mode."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from facerefs.schemas.operations import ResizeMode
from facerefs.stages.degrade.operations.padded_batch import Sizes, clamped_indices

TAP_MODES = ("bilinear", "bicubic")
"""Modes whose new pixels are made of a few old ones (taps), not of a whole row or column."""


@dataclass(frozen=True)
class AxisLengths:
    """Old and new lengths of a batch of images along one axis: as tensors on the device, and as tuples."""

    lengths: Tensor  # (B,) int64
    known: tuple[int, ...]  # the same on the host, to read them without waiting
    out_lengths: Tensor
    out_known: tuple[int, ...]
    shrinks: Tensor  # (B,) bool: whether the image shrinks along both axes

    @property
    def max_reduction(self) -> float:
        """The largest number of old pixels per new one."""
        return max(old / new for old, new in zip(self.known, self.out_known, strict=True))


@dataclass(frozen=True)
class Taps:
    """The few old pixels that make each new one, and their weights."""

    indices: Tensor  # (B, out, T) int64
    weights: Tensor  # (B, out, T) float64


def axis_lengths(sizes: Sizes, out: Sizes) -> tuple[AxisLengths, AxisLengths]:
    """The lengths along y and along x of images of `sizes` that are resized to `out`."""
    shrinks = (sizes.heights >= out.heights) & (sizes.widths >= out.widths)
    (old_heights, old_widths), (heights, widths) = (zip(*some.shapes, strict=True) for some in (sizes, out))
    return (
        AxisLengths(sizes.heights, tuple(old_heights), out.heights, tuple(heights), shrinks),
        AxisLengths(sizes.widths, tuple(old_widths), out.widths, tuple(widths), shrinks),
    )


def resampling_weights(axis: AxisLengths, mode: ResizeMode) -> Taps | Tensor:
    """The weights as taps, or as a matrix (B, out, longest) float64; beyond an image its last pixel repeats."""
    at = clamped_indices(axis.out_lengths, max(axis.out_known)).double()
    growth = (axis.out_lengths.double() / axis.lengths)[:, None]
    step = 1 / growth  # as OpenCV has it, to the last digit: `area` rounds it down
    last = (axis.lengths - 1)[:, None, None]
    match mode:
        case "bilinear":
            return bilinear_taps(axis)
        case "bicubic":
            return _cubic_taps((at + 0.5) * step - 0.5, last)
        case "bicubic_antialias":
            return _matlab(axis, at)
        case "area":
            return _area(axis, at, growth)


def bilinear_taps(axis: AxisLengths) -> Taps:
    """The two old pixels that make each new one; beyond an image its last pixel repeats."""
    at = clamped_indices(axis.out_lengths, max(axis.out_known)).double()
    step = 1 / (axis.out_lengths.double() / axis.lengths)[:, None]
    centre = (at + 0.5) * step - 0.5
    low = centre.floor()
    share = centre - low
    places = torch.stack([low, low + 1], dim=-1).long()
    last = (axis.lengths - 1)[:, None, None]
    return Taps(torch.minimum(places.clamp(min=0), last), torch.stack([1 - share, share], dim=-1))


def _cubic_taps(centre: Tensor, last: Tensor) -> Taps:
    places = centre.floor()[..., None] + torch.arange(-1, 3, device=centre.device)
    weights = _cubic(centre[..., None] - places, -0.75)
    return Taps(torch.minimum(places.long().clamp(min=0), last), weights)


def _area(axis: AxisLengths, at: Tensor, growth: Tensor) -> Tensor:
    """Each new pixel is the mean of the old ones it covers; where an image grows, a short linear ramp, as in OpenCV."""
    step = 1 / growth
    start, end = at * step, torch.minimum((at + 1) * step, axis.lengths[:, None])
    place = torch.arange(max(axis.known), device=at.device)
    covered = torch.minimum(end[..., None], place + 1) - torch.maximum(start[..., None], place)
    mean = covered.clamp(min=0) / (end - start)[..., None]
    low = (at * step).floor()
    share = ((at + 1) - (low + 1) * growth).float().double()
    share = torch.where(share <= 0, 0, share - share.floor())
    places = torch.minimum(torch.stack([low, low + 1], dim=-1).long(), (axis.lengths - 1)[:, None, None])
    ramp = torch.zeros_like(mean).scatter_add_(2, places, torch.stack([1 - share, share], dim=-1))
    return torch.where(axis.shrinks[:, None, None], mean, ramp)


def _matlab(axis: AxisLengths, at: Tensor) -> Tensor:
    """MATLAB's `imresize`: Keys' cubic, widened where the image shrinks; borders are mirrored with the edge pixel.

    torch's own antialiased bicubic leaves out what lies beyond the border. That differs by up to 0.06 near the border,
    and at scale 64 everywhere.
    """
    scale = axis.out_lengths / axis.lengths.double()
    shrink = scale.clamp(max=1)[:, None, None]
    longest = max(axis.known)
    reach = math.ceil(2 * max(1, axis.max_reduction)) + 1
    place = torch.arange(-reach, longest + reach, device=at.device)
    centre = (at + 0.5) / scale[:, None] - 0.5
    weights = _cubic((centre[..., None] - place) * shrink, -0.5)
    weights = weights / weights.sum(2, keepdim=True)
    period = 2 * axis.lengths[:, None]
    mirror = torch.minimum(place % period, period - 1 - place % period)
    target = mirror[:, None].expand(-1, at.shape[1], -1)
    return weights.new_zeros(*at.shape, longest).scatter_add_(2, target, weights)


def _cubic(x: Tensor, a: float) -> Tensor:
    """Cubic convolution (Keys 1981)."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
