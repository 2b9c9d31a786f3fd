"""Blur kernels of many samples at once, and the blur itself."""

import torch
from torch import Tensor

_FFT_SIZES: list[int] = sorted(2**i * 3**j * 5**k for i in range(15) for j in range(9) for k in range(6))


def gaussian_kernels(taps: int, sigma_x_px: Tensor, sigma_y_px: Tensor, angle_rad: Tensor) -> Tensor:
    """Sampled bivariate Gaussians, each of sum 1, as basicsr's `bivariate_Gaussian` makes them.

    sigma_x_px, sigma_y_px, angle_rad: (B,), floating; x to the right, y down. Returns (B, taps, taps).
    """
    along, across = _turned(taps, angle_rad)
    kernels = torch.exp(-0.5 * ((along / _column(sigma_x_px)) ** 2 + (across / _column(sigma_y_px)) ** 2))
    return kernels / kernels.sum((1, 2), keepdim=True)


def motion_kernels(taps: int, length_px: Tensor, angle_rad: Tensor) -> Tensor:
    """Straight lines through the centre, one pixel wide and antialiased, each of sum 1.

    length_px, angle_rad: (B,), floating; x to the right, y down. Returns (B, taps, taps). At angle 0, an odd
    whole length takes the mean of as many neighbours.
    """
    along, across = _turned(taps, angle_rad)
    inside = (_column(length_px) / 2 + 0.5 - along.abs()).clamp(0, 1)
    kernels = inside * (1 - across.abs()).clamp(0, 1)
    return kernels / kernels.sum((1, 2), keepdim=True)


def blur(images: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each image with its own kernel, as `cv2.filter2D`; borders mirror all but the edge pixel.

    images: (B, C, H, W); kernels: (B, K, K), K odd. Returns (B, C, H, W) in the dtype of the images.

    By FFT: 41 x 41 taps cost as much as 3 x 3, each sample has its own kernel without a loop, and in double
    precision the result is the exact sum to more digits than an 8-bit image can show.
    """
    height, width = images.shape[-2:]
    reach = kernels.shape[-1] // 2
    rows = _mirrored(height, reach, images.device)
    columns = _mirrored(width, reach, images.device)
    padded = images[:, :, rows][:, :, :, columns]
    size = [_fft_size(len(rows)), _fft_size(len(columns))]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernels[:, None], s=size).conj()
    blurred: Tensor = torch.fft.irfft2(spectrum, s=size)
    return blurred[..., :height, :width]


def _turned(taps: int, angle_rad: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of each tap along and across the turned axis, (B, taps, taps) each."""
    offset = torch.arange(taps, dtype=angle_rad.dtype, device=angle_rad.device) - taps // 2
    x, y = offset[None, None, :], offset[None, :, None]
    cos, sin = _column(angle_rad.cos()), _column(angle_rad.sin())
    return x * cos + y * sin, y * cos - x * sin


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]


def _mirrored(length: int, reach: int, device: torch.device) -> Tensor:
    """Indices -reach ... length + reach - 1, mirrored into the image however far they reach beyond it."""
    period = max(1, 2 * (length - 1))
    position = torch.arange(-reach, length + reach, device=device) % period
    return torch.minimum(position, period - position) if length > 1 else position


def _fft_size(length: int) -> int:
    return next(size for size in _FFT_SIZES if size >= length)
