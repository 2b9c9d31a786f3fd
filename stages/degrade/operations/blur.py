"""Blur each image with its own kernel."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.stages.degrade.operations.constant import constant
from facerefs.stages.degrade.operations.padded_batch import Sizes, take_columns, take_rows

_COLUMNS_ON_CPU = 48  # at once: so they stay in its cache
_FFT_SIZES: list[int] = sorted(2**i * 3**j * 5**k for i in range(15) for j in range(9) for k in range(6))


def blur(images: Tensor, sizes: Sizes, kernels: Tensor) -> Tensor:
    """The images filtered each with its own kernel, as `cv2.filter2D`; borders are reflected without the edge pixel.

    images: (B, C, H, W) of these sizes; kernels: (B, K, K), K odd, point-symmetric as all of `kernels.py` are, so that
    their spectrum is real. Returns (B, C, H, W) in the dtype of the images.

    By FFT: 41 x 41 taps cost as much as 3 x 3, each sample has its own kernel without a loop, and in double
    precision the result is exact to more digits than an 8-bit image can show.
    """
    return blurred_rows(images, sizes, kernels, lambda columns: columns)


def blurred_rows(images: Tensor, sizes: Sizes, kernels: Tensor, mix: Callable[[Tensor], Tensor]) -> Tensor:
    """New rows (B, C, R, W) that are mixed from those of the images after `blur`.

    mix: makes columns of R numbers (B, C, F, R) from columns of H numbers, complex. So only the result is transformed
    back along its rows.
    """
    height, width = images.shape[-2:]
    reach = kernels.shape[-1] // 2
    tall, wide = _fft_size(height + 2 * reach), _fft_size(width + 2 * reach)
    padded = pad_reflect(images, sizes, reach, (tall - height - reach, wide - width - reach))
    spectra, factors = torch.fft.rfft(padded), _spectrum(kernels, wide, tall)
    made = []
    count = _COLUMNS_ON_CPU if images.device.type == "cpu" else spectra.shape[3]
    for some in (slice(start, start + count) for start in range(0, spectra.shape[3], count)):
        # As rows of the transposed spectrum: torch would transpose it before and after each transform along columns.
        turned = torch.fft.fft(spectra[..., some].mT.contiguous()).mul_(factors[:, None, some])
        made.append(mix(torch.fft.ifft(turned)[..., reach : reach + height]))
    rows: Tensor = torch.fft.irfft(torch.cat(made, 2).mT, n=wide)
    return rows[..., reach : reach + width]


def _spectrum(kernels: Tensor, wide: int, tall: int) -> Tensor:
    """The real spectrum (B, wide // 2 + 1, tall) of kernels centred at the origin: a sum of cosines.

    As the kernels are point-symmetric, the rows below the centre tell all.
    """
    reach = kernels.shape[-1] // 2
    below = kernels[:, reach:].mT * constant([1.0, *[2.0] * reach], kernels)
    cos_x, sin_x = _waves(wide // 2 + 1, wide, -reach, reach, kernels.dtype, kernels.device)
    cos_y, sin_y = _waves(tall, tall, 0, reach, kernels.dtype, kernels.device)
    # cos(a + b) = cos a cos b - sin a sin b, as one product
    return torch.cat([cos_x @ below, sin_x @ below], 2) @ torch.cat([cos_y, -sin_y], 1).mT


@lru_cache(maxsize=64)
def _waves(
    count: int, period: int, first: int, last: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the frequencies 0 to count - 1 per `period` at the places first to last: (count, places)."""
    place = torch.arange(first, last + 1, dtype=torch.float64)
    angle = torch.arange(count)[:, None] * place * (math.tau / period)
    return angle.cos().to(device, dtype, non_blocking=True), angle.sin().to(device, dtype, non_blocking=True)


def pad_reflect(images: Tensor, sizes: Sizes, reach: int, after: tuple[int, int] | None = None) -> Tensor:
    """The images with `reach` more pixels on each side by reflection, which may be wider than the image.

    after: how many pixels below and to the right, at least `reach`; None: `reach`. Returns (B, C, reach + H + after[0],
    reach + W + after[1]). More than `reach` pixels beyond the end of a smaller image, the values may be anything.
    """
    height, width = images.shape[-2:]
    below, right = after or (reach, reach)
    if sizes.same_size and max(reach, below) < height and max(reach, right) < width:
        return F.pad(images, (reach, right, reach, below), mode="reflect")
    rows = reflected(_places(height, reach, below, images), sizes.heights)
    columns = reflected(_places(width, reach, right, images), sizes.widths)
    return take_columns(take_rows(images, rows), columns)


def reflected(places: Tensor, lengths: Tensor) -> Tensor:
    """Places (B, ...) int64 along an axis, of which those beyond images of `lengths` (B,) are reflected into them."""
    last = (lengths - 1).view(-1, *[1] * (places.ndim - 1))
    period = (2 * last).clamp(min=1)
    position = places % period
    return torch.minimum(position, torch.minimum(period - position, last))


def _places(length: int, before: int, after: int, images: Tensor) -> Tensor:
    return torch.arange(-before, length + after, device=images.device).expand(len(images), -1)


def _fft_size(length: int) -> int:
    return next(size for size in _FFT_SIZES if size >= length)
