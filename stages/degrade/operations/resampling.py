"""What each pixel of a line gives to each pixel of the resized line, in each mode."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from facerefs.schemas.operations import ResizeMode
from facerefs.stages.degrade.operations.padded_batch import Sizes, up_to

TAPPED = ("bilinear", "bicubic")
"""Modes that look at few pixels of a line."""


@dataclass(frozen=True)
class Line:
    """Lengths of the lines along one axis, old and new: on the device, and here."""

    lengths: Tensor  # (B,) int64
    known: tuple[int, ...]
    out_lengths: Tensor
    out_known: tuple[int, ...]
    shrinks: Tensor  # (B,) whether the image shrinks along both axes

    @property
    def steepest(self) -> float:
        """How many old pixels there are to a new one, at most."""
        return max(old / new for old, new in zip(self.known, self.out_known, strict=True))


@dataclass(frozen=True)
class Taps:
    """The few pixels of a line that make each pixel of the resized line, and how much of each."""

    places: Tensor  # (B, out, T) int64
    weights: Tensor  # (B, out, T) float64


def lines(sizes: Sizes, out: Sizes) -> tuple[Line, Line]:
    """The lines along y and along x of images that become as large as `out`."""
    shrinks = (sizes.heights >= out.heights) & (sizes.widths >= out.widths)
    (old_heights, old_widths), (heights, widths) = (zip(*some.shapes, strict=True) for some in (sizes, out))
    return (
        Line(sizes.heights, tuple(old_heights), out.heights, tuple(heights), shrinks),
        Line(sizes.widths, tuple(old_widths), out.widths, tuple(widths), shrinks),
    )


def contributions(line: Line, mode: ResizeMode) -> Taps | Tensor:
    """As taps, or as a matrix (B, out, longest line) float64; beyond its own length, a line's last pixel repeats."""
    at = up_to(line.out_lengths, max(line.out_known)).double()
    growth = (line.out_lengths.double() / line.lengths)[:, None]
    step = 1 / growth  # as OpenCV has it, to the last digit: `area` rounds it down
    last = (line.lengths - 1)[:, None, None]
    match mode:
        case "bilinear":
            return _linear((at + 0.5) * step - 0.5, last)
        case "bicubic":
            return _cubic_taps((at + 0.5) * step - 0.5, last)
        case "bicubic_antialias":
            return _matlab(line, at)
        case "area":
            return _area(line, at, growth)


def _linear(centre: Tensor, last: Tensor) -> Taps:
    low = centre.floor()
    share = centre - low
    places = torch.stack([low, low + 1], dim=-1).long()
    return Taps(torch.minimum(places.clamp(min=0), last), torch.stack([1 - share, share], dim=-1))


def _cubic_taps(centre: Tensor, last: Tensor) -> Taps:
    places = centre.floor()[..., None] + torch.arange(-1, 3, device=centre.device)
    weights = _cubic(centre[..., None] - places, -0.75)
    return Taps(torch.minimum(places.long().clamp(min=0), last), weights)


def _area(line: Line, at: Tensor, growth: Tensor) -> Tensor:
    """Each new pixel is the mean of what it covers; where an image grows, a short linear ramp, as OpenCV's."""
    step = 1 / growth
    start, end = at * step, torch.minimum((at + 1) * step, line.lengths[:, None])
    place = torch.arange(max(line.known), device=at.device)
    covered = torch.minimum(end[..., None], place + 1) - torch.maximum(start[..., None], place)
    mean = covered.clamp(min=0) / (end - start)[..., None]
    low = (at * step).floor()
    share = ((at + 1) - (low + 1) * growth).float().double()
    share = torch.where(share <= 0, 0, share - share.floor())
    places = torch.minimum(torch.stack([low, low + 1], dim=-1).long(), (line.lengths - 1)[:, None, None])
    ramp = torch.zeros_like(mean).scatter_add_(2, places, torch.stack([1 - share, share], dim=-1))
    return torch.where(line.shrinks[:, None, None], mean, ramp)


def _matlab(line: Line, at: Tensor) -> Tensor:
    """Keys' cubic, widened where the line shrinks; borders are mirrored with the edge pixel.

    torch's own antialiased bicubic leaves out what lies beyond the border instead, which costs up to 0.06 there: at
    scale 64, everywhere.
    """
    scale = line.out_lengths / line.lengths.double()
    shrink = scale.clamp(max=1)[:, None, None]
    longest = max(line.known)
    reach = math.ceil(2 * max(1, line.steepest)) + 1
    place = torch.arange(-reach, longest + reach, device=at.device)
    centre = (at + 0.5) / scale[:, None] - 0.5
    weights = _cubic((centre[..., None] - place) * shrink, -0.5)
    weights = weights / weights.sum(2, keepdim=True)
    period = 2 * line.lengths[:, None]
    mirror = torch.minimum(place % period, period - 1 - place % period)
    target = mirror[:, None].expand(-1, at.shape[1], -1)
    return weights.new_zeros(*at.shape, longest).scatter_add_(2, target, weights)


def _cubic(x: Tensor, a: float) -> Tensor:
    """Cubic convolution (Keys 1981)."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
