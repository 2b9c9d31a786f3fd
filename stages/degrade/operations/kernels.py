"""Blur kernels of a batch, as basicsr makes them; each kernel sums to 1."""

import math

import torch
from torch import Tensor


def gaussian_kernels(
    reach: int, taps: Tensor, sigma_x_px: Tensor, sigma_y_px: Tensor, angle_rad: Tensor
) -> Tensor:
    """Sampled bivariate Gaussians, as `bivariate_Gaussian`.

    reach: radius of the largest kernel, in px. All other arguments are (B,): taps int64 and odd, the rest floating.
    x points to the right, y down. Returns (B, K, K), K = 2 reach + 1; smaller kernels are centred and padded with
    zeros. All functions of this file take and return the same.
    """
    return _normalised(torch.exp(-0.5 * _distance(reach, sigma_x_px, sigma_y_px, angle_rad)), taps)


def generalised_kernels(
    reach: int, taps: Tensor, sigma_x_px: Tensor, sigma_y_px: Tensor, angle_rad: Tensor, beta: Tensor
) -> Tensor:
    """Generalised Gaussians, as `bivariate_generalized_Gaussian` (Pascal et al. 2013)."""
    distance = _distance(reach, sigma_x_px, sigma_y_px, angle_rad)
    return _normalised(torch.exp(-0.5 * distance ** _square(beta)), taps)


def plateau_kernels(
    reach: int, taps: Tensor, sigma_x_px: Tensor, sigma_y_px: Tensor, angle_rad: Tensor, beta: Tensor
) -> Tensor:
    """Plateau-shaped kernels, as `bivariate_plateau`."""
    distance = _distance(reach, sigma_x_px, sigma_y_px, angle_rad)
    return _normalised(1 / (distance ** _square(beta) + 1), taps)


def sinc_kernels(reach: int, taps: Tensor, cutoff_rad: Tensor) -> Tensor:
    """Circular low-pass filters, as `circular_lowpass_kernel`."""
    x, y = _grid(reach, cutoff_rad)
    radius = (x * x + y * y).sqrt()
    cutoff = _square(cutoff_rad)
    ring = cutoff * torch.special.bessel_j1(cutoff * radius) / (math.tau * radius.clamp(min=0.5))
    return _normalised(torch.where(radius == 0, cutoff**2 / (4 * math.pi), ring), taps)


def motion_kernels(reach: int, taps: Tensor, length_px: Tensor, angle_rad: Tensor) -> Tensor:
    """Motion blur: straight lines through the centre, one pixel wide and antialiased.

    At angle 0, a length of n pixels (n odd) gives the mean of n neighbours.
    """
    along, across = _turned(reach, angle_rad)
    inside = (_square(length_px) / 2 + 0.5 - along.abs()).clamp(0, 1)
    return _normalised(inside * (1 - across.abs()).clamp(0, 1), taps)


def _distance(reach: int, sigma_x_px: Tensor, sigma_y_px: Tensor, angle_rad: Tensor) -> Tensor:
    """Squared distance from the centre in units of sigma, (B, K, K)."""
    along, across = _turned(reach, angle_rad)
    return (along / _square(sigma_x_px)) ** 2 + (across / _square(sigma_y_px)) ** 2


def _turned(reach: int, angle_rad: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of each tap along and across the rotated axis, (B, K, K) each."""
    x, y = _grid(reach, angle_rad)
    cos, sin = _square(angle_rad.cos()), _square(angle_rad.sin())
    return x * cos + y * sin, y * cos - x * sin


def _grid(reach: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates x (1, 1, K) and y (1, K, 1) of the taps of the largest kernel."""
    offset = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    return offset[None, None, :], offset[None, :, None]


def _normalised(kernels: Tensor, taps: Tensor) -> Tensor:
    """The kernels cut to their own taps and scaled to a sum of 1."""
    reach = kernels.shape[-1] // 2
    offset = torch.arange(-reach, reach + 1, device=kernels.device).abs()
    inside = offset <= taps[:, None] // 2
    kernels = kernels * (inside[:, :, None] & inside[:, None, :])
    return kernels / kernels.sum((1, 2), keepdim=True)


def _square(values: Tensor) -> Tensor:
    return values[:, None, None]
