"""Resize each image to its own size, as the papers' own tools do it, optionally with a blur just before.

Rows, then columns are resized by a matrix of weights (`resampling`). OpenCV's modes use two or four old pixels, and a
blur its taps, so a block of new rows is made from a window of old ones. Where a kernel is as wide as the image (area,
antialiasing), all old rows are used. A blur along x and y only changes the matrix, which costs almost nothing.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.schemas.operations import ResizeMode
from facerefs.stages.degrade.operations.blur import blurred_rows, pad_reflect, reflected
from facerefs.stages.degrade.operations.padded_batch import Sizes, take_columns, take_rows
from facerefs.stages.degrade.operations.resampling import (
    AxisLengths,
    Taps,
    axis_lengths,
    bilinear_taps,
    resampling_weights,
)

_BLOCK = 32  # new rows that are made from one window


@dataclass(frozen=True)
class Gaussians:
    """Gaussian blurs whose axes are x and y."""

    taps: Tensor  # (B,) int64, odd
    reach: int  # radius of the largest kernel, in px
    sigma_x_px: Tensor  # (B,) floating
    sigma_y_px: Tensor


def resize(
    images: Tensor, sizes: Sizes, out: Sizes, mode: ResizeMode, blur: Gaussians | Tensor | None = None
) -> Tensor:
    """Images (B, C, H, W) of these sizes resized to (B, C, out.height, out.width).

    bilinear, bicubic, area: as `cv2.INTER_LINEAR` (which uses four pixels even when it shrinks, as GFPGAN
    does), `cv2.INTER_CUBIC` and `cv2.INTER_AREA`. bicubic_antialias: as MATLAB's `imresize`, whose kernel widens
    when it shrinks. Both bicubic ones may leave [0, 1]. Beyond its own size, a smaller image's edge is repeated.
    blur: applied before; kernels (B, K, K) as `blur.blur` takes them, or Gaussians.
    """
    rows, columns = axis_lengths(sizes, out)
    if isinstance(blur, Tensor):
        shares = resampling_weights(rows, mode)
        made = blurred_rows(images, sizes, blur, lambda old: _mixed_columns(old, shares))
        return _mixed_columns(made, resampling_weights(columns, mode))
    if blur is None:
        return _resize_rows(_resize_rows(images, rows, mode).mT, columns, mode).mT
    made = _resize_rows(images, rows, mode, _kernel(blur, blur.sigma_y_px.to(images)))
    return _resize_rows(made.mT, columns, mode, _kernel(blur, blur.sigma_x_px.to(images))).mT


def bilinear_at(image: Tensor, sizes: Sizes, out: Sizes, kernels: Tensor, places: Tensor) -> Tensor:
    """Single pixels (n,), float64, of what `resize` makes of one image with kernels (1, K, K): bilinear, blurred.

    image: (1, C, H, W) of these sizes; places: (n, 3) int64, the channel, row and column of each new pixel.
    """
    rows, columns = axis_lengths(sizes, out)
    side = kernels.shape[-1] + 1
    padded = pad_reflect(image, sizes, side // 2 - 1, (side // 2, side // 2))[0]
    channel, y, x = places.unbind(1)
    top, *row_shares = _pair(rows, y)
    left, *column_shares = _pair(columns, x)
    windows = padded.unfold(1, side, 1).unfold(2, side, 1)[channel, top, left]  # (n, side, side)
    corners = [
        F.pad(kernels[0], (right, 1 - right, lower, 1 - lower)) for lower in (0, 1) for right in (0, 1)
    ]
    shares = [of_row * of_column for of_row in row_shares for of_column in column_shares]
    blurred = windows.flatten(1).double() @ torch.stack(corners, -1).flatten(0, 1).double()
    return (blurred * torch.stack(shares, 1)).sum(1)


def _pair(axis: AxisLengths, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For new pixels (n,): the first of the two old ones that make each, its share, and the share of the next one."""
    taps = bilinear_taps(axis)
    first, second = taps.indices[0, at].unbind(1)
    first_share, second_share = taps.weights[0, at].unbind(1)
    alone = first == second  # at the border
    return first, torch.where(alone, 1, first_share), torch.where(alone, 0, second_share)


def _resize_rows(old: Tensor, axis: AxisLengths, mode: ResizeMode, kernel: Tensor | None = None) -> Tensor:
    """New rows (B, C, S, W) from old rows (B, C, R, W), blurred by `kernel` (B, K + 2) if there is one."""
    shares = resampling_weights(axis, mode)
    if isinstance(shares, Taps):
        return _picked(old, shares) if kernel is None else _from_windows(old, axis, shares, kernel)
    weights = shares.to(old)
    if kernel is not None:
        reach = kernel.shape[1] // 2 - 1
        place = torch.arange(-reach, old.shape[2] + reach, device=old.device).expand(len(old), -1)
        whole = torch.arange(shares.shape[2], device=old.device)[:, None]
        weights = weights @ _at(kernel, place[:, None] - whole)
        old = take_rows(old, reflected(place, axis.lengths))
    return F.pad(weights, (0, old.shape[2] - weights.shape[2]))[:, None] @ old


def _mixed_columns(old: Tensor, shares: Taps | Tensor) -> Tensor:
    """New columns (B, C, R, S) from old columns (B, C, R, W)."""
    if not isinstance(shares, Taps):
        weights = shares.to(old)
        return old @ F.pad(weights, (0, old.shape[3] - weights.shape[2]))[:, None].mT
    weights = shares.weights.to(old)[:, None, None]
    parts = [take_columns(old, places) for places in shares.indices.unbind(2)]
    if len(parts) == 2:
        return torch.lerp(parts[0], parts[1], weights[..., 1])
    return torch.stack([part * weights[..., tap] for tap, part in enumerate(parts)]).sum(0)


def _picked(old: Tensor, taps: Taps) -> Tensor:
    weights = taps.weights.to(old)[:, None]
    parts = [take_rows(old, places) for places in taps.indices.unbind(2)]
    if len(parts) == 2:
        return torch.lerp(parts[0], parts[1], weights[..., 1:])
    return torch.stack([part * weights[..., tap, None] for tap, part in enumerate(parts)]).sum(0)


def _from_windows(old: Tensor, axis: AxisLengths, taps: Taps, kernel: Tensor) -> Tensor:
    batch, count, width = taps.indices.shape
    channels = old.shape[1]
    reach = kernel.shape[1] // 2 - 1
    blocks = -(-count // _BLOCK)
    more = blocks * _BLOCK - count
    places = torch.cat([taps.indices, taps.indices[:, -1:].expand(-1, more, -1)], 1)
    shares = F.pad(taps.weights, (0, 0, 0, more)).to(old)
    length = math.ceil(_BLOCK * axis.max_reduction) + width + 2 * reach
    window = (places[:, ::_BLOCK].amin(2) - reach)[..., None] + torch.arange(length, device=old.device)
    distance = window.repeat_interleave(_BLOCK, 1)
    parts = [
        shares[:, :, tap, None] * _at(kernel, distance - places[:, :, tap, None]) for tap in range(width)
    ]
    weights = torch.stack(parts).sum(0).view(batch, blocks, _BLOCK, length)
    inside = reflected(window, axis.lengths)
    if batch == 1 and old.device.type == "cpu":  # most windows are views there, without a copy
        ends = window[0, :, [0, -1]].tolist()
        chosen = [
            old[0, :, start : last + 1]
            if start >= 0 and last < axis.known[0]
            else old[0].index_select(1, rows)
            for (start, last), rows in zip(ends, inside[0], strict=True)
        ]
        made = [share.expand(channels, -1, -1) @ rows for share, rows in zip(weights[0], chosen, strict=True)]
        return torch.cat(made, 1)[None, :, :count]
    windows = take_rows(old, inside.flatten(1)).view(batch, channels, blocks, length, -1)
    return (weights[:, None] @ windows).flatten(2, 3)[:, :, :count]


def _kernel(blur: Gaussians, sigma_px: Tensor) -> Tensor:
    """Sampled Gaussians that sum to 1, with a zero at each end: (B, 2 reach + 3)."""
    offset = torch.arange(-blur.reach, blur.reach + 1, device=sigma_px.device)
    kernel = torch.exp(-0.5 * (offset / sigma_px[:, None]) ** 2) * (offset.abs() <= blur.taps[:, None] // 2)
    return F.pad(kernel / kernel.sum(1, keepdim=True), (1, 1))


def _at(kernel: Tensor, distance: Tensor) -> Tensor:
    """Each kernel at integer distances (B, R, S) from its centre; zero beyond its ends."""
    reach = kernel.shape[1] // 2
    places = distance.clamp(-reach, reach) + reach
    return kernel.gather(1, places.flatten(1)).view(places.shape)
