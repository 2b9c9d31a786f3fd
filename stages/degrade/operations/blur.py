"""Blur each image with its own kernel."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.stages.degrade.operations.padded_batch import Sizes, take_columns, take_rows

_FFT_SIZES: list[int] = sorted(2**i * 3**j * 5**k for i in range(15) for j in range(9) for k in range(6))


def blur(images: Tensor, sizes: Sizes, kernels: Tensor) -> Tensor:
    """The images filtered each with its own kernel, as `cv2.filter2D`; borders are reflected without the edge pixel.

    images: (B, C, H, W) of these sizes; kernels: (B, K, K), K odd, point-symmetric as all of `kernels.py` are, so that
    their spectrum is real. Returns (B, C, H, W) in the dtype of the images.

    By FFT: 41 x 41 taps cost as much as 3 x 3, each sample has its own kernel without a loop, and in double
    precision the result is exact to more digits than an 8-bit image can show.
    """
    filtered = RowSpectra.of(images, sizes, kernels)
    return filtered.rows(filtered.spectra)


@dataclass(frozen=True)
class RowSpectra:
    """Filtered images whose rows are still spectra: a resize mixes rows first and transforms back only the result."""

    spectra: Tensor  # (B, C, H, 2 F): of each row, pairs of real and imaginary numbers
    length: int  # of a padded row
    first: int  # index of the image's first pixel in a padded row
    width: int  # of the image

    @staticmethod
    def of(images: Tensor, sizes: Sizes, kernels: Tensor) -> "RowSpectra":
        """The spectra of images (B, C, H, W) of these sizes, filtered with kernels as `blur` takes them."""
        height, width = images.shape[-2:]
        reach = kernels.shape[-1] // 2
        size = [_fft_size(height + 2 * reach), _fft_size(width + 2 * reach)]
        padded = pad_reflect(images, sizes, reach, (size[0] - height - reach, size[1] - width - reach))
        spectrum = torch.fft.rfft2(padded)
        torch.view_as_real(spectrum).mul_(_spectrum(kernels, size)[:, None, ..., None])
        own = torch.fft.ifft(spectrum, dim=-2)[..., reach : reach + height, :]
        return RowSpectra(torch.view_as_real(own).flatten(3), size[1], reach, width)

    def rows(self, spectra: Tensor) -> Tensor:
        """The rows (B, C, R, W) of spectra (B, C, R, 2 F), without padding."""
        pairs = spectra.reshape(*spectra.shape[:3], -1, 2)
        made: Tensor = torch.fft.irfft(torch.view_as_complex(pairs), n=self.length)
        return made[..., self.first : self.first + self.width]


def _spectrum(kernels: Tensor, size: list[int]) -> Tensor:
    """The real spectrum (B, size[0], size[1] // 2 + 1) of kernels centred at the origin: a sum of cosines."""
    reach = kernels.shape[-1] // 2
    place = torch.arange(-reach, reach + 1, device=kernels.device, dtype=torch.float64)
    rows = torch.arange(size[0], device=kernels.device)[:, None] * place * (math.tau / size[0])
    columns = torch.arange(size[1] // 2 + 1, device=kernels.device) * place[:, None] * (math.tau / size[1])
    # cos(a + b) = cos a cos b - sin a sin b, as one product
    left = torch.cat([rows.cos(), -rows.sin()], 1).to(kernels)
    right = torch.cat([kernels @ columns.cos().to(kernels), kernels @ columns.sin().to(kernels)], 1)
    return left @ right


def pad_reflect(images: Tensor, sizes: Sizes, reach: int, after: tuple[int, int] | None = None) -> Tensor:
    """The images with `reach` more pixels on each side by reflection, which may be wider than the image.

    after: how many pixels below and to the right, at least `reach`; None: `reach`. Returns (B, C, reach + H + after[0],
    reach + W + after[1]). More than `reach` pixels beyond the end of a smaller image, the values may be anything.
    """
    height, width = images.shape[-2:]
    below, right = after or (reach, reach)
    if sizes.same_size and max(reach, below) < height and max(reach, right) < width:
        return F.pad(images, (reach, right, reach, below), mode="reflect")
    rows = _reflected_indices(sizes.heights, height, reach, below)
    columns = _reflected_indices(sizes.widths, width, reach, right)
    return take_columns(take_rows(images, rows), columns)


def _reflected_indices(lengths: Tensor, length: int, before: int, after: int) -> Tensor:
    period = (2 * (lengths - 1)).clamp(min=1)[:, None]
    position = torch.arange(-before, length + after, device=lengths.device) % period
    return torch.minimum(position, (period - position).clamp(max=lengths[:, None] - 1))


def _fft_size(length: int) -> int:
    return next(size for size in _FFT_SIZES if size >= length)
