"""Resizing each image to its own size, as the papers' own tools do it; with a blur before it, if wanted.

A line is resized by what each old pixel gives to each new one: a matrix. OpenCV's modes look at two or four pixels
and a blur at its taps, so a block of new lines is made from a window of old ones; where a kernel is as wide as the
image (area, antialiasing), from all of them. A blur along x and y changes the matrix only: it costs next to nothing.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from schemas.operations import ResizeMode
from stages.degrade.blur import mirrored
from stages.degrade.canvas import Sizes
from stages.degrade.lines import Line, Taps, contributions

_BLOCK = 32  # new lines that are made from one window


@dataclass(frozen=True)
class Gaussians:
    """Gaussian blurs whose axes are x and y."""

    taps: Tensor  # (B,) int64, odd
    reach: int  # half of the most taps
    sigma_x_px: Tensor  # (B,) floating
    sigma_y_px: Tensor


def resize(
    images: Tensor, sizes: Sizes, out: Sizes, mode: ResizeMode, blur: Gaussians | None = None
) -> Tensor:
    """Resize (B, C, H, W) images of these sizes to (B, C, out.height, out.width), blurred before if asked.

    bilinear, bicubic, area: as `cv2.INTER_LINEAR` (which looks at four pixels even when it shrinks; GFPGAN does
    so), `cv2.INTER_CUBIC` and `cv2.INTER_AREA`. bicubic_antialias: as MATLAB's `imresize`, whose kernel widens
    when it shrinks. Both bicubic ones may leave [0, 1]. Beyond its own size, a smaller image's edge is repeated.
    """
    shrinks = (sizes.heights >= out.heights) & (sizes.widths >= out.widths)
    old, new = zip(*sizes.shapes, strict=True), zip(*out.shapes, strict=True)
    rows, columns = (
        Line(lengths, tuple(old_sides), out_lengths, tuple(new_sides), shrinks)
        for lengths, old_sides, out_lengths, new_sides in zip(
            (sizes.heights, sizes.widths), old, (out.heights, out.widths), new, strict=True
        )
    )
    if blur is None:
        made = _lines(images.permute(0, 2, 1, 3), rows, mode)
        return _lines(made.permute(0, 3, 2, 1), columns, mode).permute(0, 2, 3, 1)
    padded = mirrored(images, sizes, blur.reach).permute(0, 2, 1, 3)
    made = _lines(padded, rows, mode, _kernel(blur, blur.sigma_y_px.to(images)))
    made = _lines(made.permute(0, 3, 2, 1), columns, mode, _kernel(blur, blur.sigma_x_px.to(images)))
    return made.permute(0, 2, 3, 1)


def _lines(old: Tensor, line: Line, mode: ResizeMode, kernel: Tensor | None = None) -> Tensor:
    """New lines (B, S, C, W) from lines (B, R, C, W), blurred by `kernel` (B, K + 2) if there is one.

    Lines that are to be blurred go on for the kernel's reach at both ends.
    """
    shares = contributions(line, mode)
    if isinstance(shares, Taps):
        return _from_windows(old, line, shares, kernel)
    weights = shares.to(old)
    if kernel is not None:
        reach = kernel.shape[1] // 2 - 1
        place = torch.arange(old.shape[1], device=old.device) - reach
        whole = torch.arange(shares.shape[2], device=old.device).expand(len(old), -1)
        weights = weights @ _at(kernel, place - whole[..., None])
    rest = F.pad(weights, (0, old.shape[1] - weights.shape[2]))
    return (rest @ old.flatten(2)).view(len(old), -1, *old.shape[2:])


def _from_windows(old: Tensor, line: Line, taps: Taps, kernel: Tensor | None) -> Tensor:
    batch, count, width = taps.places.shape
    reach = 0 if kernel is None else kernel.shape[1] // 2 - 1
    blocks = -(-count // _BLOCK)
    more = blocks * _BLOCK - count
    places = torch.cat([taps.places, taps.places[:, -1:].expand(-1, more, -1)], 1)
    shares = F.pad(taps.weights, (0, 0, 0, more)).to(old)
    length = min(math.ceil(_BLOCK * line.steepest) + width + 2 * reach, old.shape[1])
    start = places[:, ::_BLOCK].amin(2).clamp(max=old.shape[1] - length)
    window = start[..., None] + torch.arange(length, device=old.device)  # (B, blocks, length)
    if kernel is None:
        inside = places - start.repeat_interleave(_BLOCK, 1)[..., None]
        weights = old.new_zeros(batch, blocks * _BLOCK, length).scatter_add_(2, inside, shares)
    else:
        distance = (window - reach).repeat_interleave(_BLOCK, 1)
        parts = [
            shares[:, :, tap, None] * _at(kernel, distance - places[:, :, tap, None]) for tap in range(width)
        ]
        weights = torch.stack(parts).sum(0)
    first = torch.arange(batch, device=old.device)[:, None] * old.shape[1]
    rows = old.reshape(batch * old.shape[1], -1)
    chosen = rows.index_select(0, (first + window.flatten(1)).flatten())
    made = weights.view(batch * blocks, _BLOCK, length) @ chosen.view(batch * blocks, length, -1)
    return made.view(batch, blocks * _BLOCK, *old.shape[2:])[:, :count]


def _kernel(blur: Gaussians, sigma_px: Tensor) -> Tensor:
    """Sampled Gaussians of sum 1, with a zero at each end: (B, 2 reach + 3)."""
    offset = torch.arange(-blur.reach, blur.reach + 1, device=sigma_px.device)
    kernel = torch.exp(-0.5 * (offset / sigma_px[:, None]) ** 2) * (offset.abs() <= blur.taps[:, None] // 2)
    return F.pad(kernel / kernel.sum(1, keepdim=True), (1, 1))


def _at(kernel: Tensor, distance: Tensor) -> Tensor:
    """Each sample's kernel at whole distances from its middle, (B, R, S); zero beyond its ends."""
    reach = kernel.shape[1] // 2
    places = distance.clamp(-reach, reach) + reach
    return kernel.gather(1, places.flatten(1)).view(places.shape)
