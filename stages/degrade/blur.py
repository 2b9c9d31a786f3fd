"""Blurring each image with its own kernel."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from stages.degrade.canvas import Sizes, take_columns, take_rows

_FFT_SIZES: list[int] = sorted(2**i * 3**j * 5**k for i in range(15) for j in range(9) for k in range(6))


def blur(images: Tensor, sizes: Sizes, kernels: Tensor) -> Tensor:
    """Filter each image with its own kernel, as `cv2.filter2D`; borders mirror all but the edge pixel.

    images: (B, C, H, W) of these sizes; kernels: (B, K, K), K odd, each the same when turned by half a circle, as
    all of `kernels.py` are: so their spectrum is real. Returns (B, C, H, W) in the dtype of the images.

    By FFT: 41 x 41 taps cost as much as 3 x 3, each sample has its own kernel without a loop, and in double
    precision the result is the exact sum to more digits than an 8-bit image can show.
    """
    height, width = images.shape[-2:]
    reach = kernels.shape[-1] // 2
    size = [_fft_size(height + 2 * reach), _fft_size(width + 2 * reach)]
    padded = mirrored(images, sizes, reach, (size[0] - height - reach, size[1] - width - reach))
    spectrum = torch.view_as_real(torch.fft.rfft2(padded))
    filtered = torch.view_as_complex(spectrum * _spectrum(kernels, size)[:, None, ..., None])
    lines = torch.fft.ifft(filtered, dim=-2)[..., reach : reach + height, :]
    blurred: Tensor = torch.fft.irfft(lines, n=size[1])
    return blurred[..., reach : reach + width]


def _spectrum(kernels: Tensor, size: list[int]) -> Tensor:
    """Real spectrum (B, size[0], size[1] // 2 + 1) of kernels around the origin: a sum of cosines."""
    reach = kernels.shape[-1] // 2
    place = torch.arange(-reach, reach + 1, device=kernels.device, dtype=torch.float64)
    rows = torch.arange(size[0], device=kernels.device)[:, None] * place * (math.tau / size[0])
    columns = torch.arange(size[1] // 2 + 1, device=kernels.device) * place[:, None] * (math.tau / size[1])
    # cos(a + b) = cos a cos b - sin a sin b, as one product
    left = torch.cat([rows.cos(), -rows.sin()], 1).to(kernels)
    right = torch.cat([kernels @ columns.cos().to(kernels), kernels @ columns.sin().to(kernels)], 1)
    return left @ right


def mirrored(images: Tensor, sizes: Sizes, reach: int, after: tuple[int, int] | None = None) -> Tensor:
    """`reach` more pixels on each side, mirrored into the image however far they reach beyond it.

    after: how many below and to the right, at least `reach`, if not as many. Returns (B, C, reach + H + after[0], reach
    + W + after[1]); beyond `reach` pixels after a smaller image's end, anything.
    """
    height, width = images.shape[-2:]
    below, right = after or (reach, reach)
    if sizes.alike and max(reach, below) < height and max(reach, right) < width:
        return F.pad(images, (reach, right, reach, below), mode="reflect")
    rows = _mirrored_indices(sizes.heights, height, reach, below)
    columns = _mirrored_indices(sizes.widths, width, reach, right)
    return take_columns(take_rows(images, rows), columns)


def _mirrored_indices(lengths: Tensor, length: int, before: int, after: int) -> Tensor:
    period = (2 * (lengths - 1)).clamp(min=1)[:, None]
    position = torch.arange(-before, length + after, device=lengths.device) % period
    return torch.minimum(position, (period - position).clamp(max=lengths[:, None] - 1))


def _fft_size(length: int) -> int:
    return next(size for size in _FFT_SIZES if size >= length)
