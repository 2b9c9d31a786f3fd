"""Noise for a batch of images, as a pure function of the seed and the place in the image.

Box-Muller turns the uniform numbers of `philox` into normal ones. They are the same on any machine and device, except
for the last digits of a logarithm and a cosine in the precision of the image.
"""

import functools
import math

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.stages.degrade.operations.colour import luma
from facerefs.stages.degrade.operations.padded_batch import Sizes, clamped_indices
from facerefs.stages.degrade.operations.philox import BLOCK, uniform

_PHOTONS = 256  # for white: what basicsr counts in any photo with more than 128 levels


def add_noise(images: Tensor, sizes: Sizes, sigma: Tensor, gray: bool, seeds: Tensor) -> Tensor:
    """Images with Gaussian noise of standard deviation `sigma` (B,), 0-255, clipped, as basicsr's `add_gaussian_noise`.

    images: (B, 3, H, W) in [0, 1] of these sizes; seeds: (B,) int64; with `gray` all channels get the same noise.
    """
    return with_noise(images, normal_noise(images, sizes, gray, seeds), sigma)


def normal_noise(images: Tensor, sizes: Sizes, gray: bool, seeds: Tensor) -> Tensor:
    """The noise of `add_noise` for a standard deviation of 1: (B, 3, H, W), with `gray` (B, 1, H, W)."""
    channels = 1 if gray else images.shape[1]
    drawn = _normal(uniform(seeds, _counts(sizes, channels), images.dtype))
    return _as_images(drawn, sizes, channels, images)


def with_noise(images: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Images (B, C, H, W), or some pixels (1, n) of one image, with their noise times `sigma` (B,), 0-255, clipped."""
    strength = (sigma.to(images) / 255).view(-1, *[1] * (images.ndim - 1))
    return torch.addcmul(images, noise, strength).clamp_(0, 1)


def add_poisson_noise(images: Tensor, sizes: Sizes, scale: Tensor, gray: bool, seeds: Tensor) -> Tensor:
    """Images with `scale` (B,) times Poisson (shot) noise, clipped; the noise is that of the image rounded to 8 bits.

    As basicsr's `add_poisson_noise`, but with 256 photons for white always, where basicsr counts the image's levels.
    Shapes as in `add_noise`. For the gradient the noise is a constant, as in an addition.
    """
    with torch.no_grad():
        light = luma(images) if gray else images
        level = (light * 255).round().clamp(0, 255).long()
        drawn = uniform(seeds, _counts(sizes, light.shape[1]), torch.float64)
        quantile = _as_images(drawn, sizes, light.shape[1], images)
        noise = (_poisson(level, quantile) / _PHOTONS - level / 255).to(images)
    return torch.addcmul(images, noise, scale.to(images).view(-1, 1, 1, 1)).clamp_(0, 1)


def _as_images(series: Tensor, sizes: Sizes, channels: int, images: Tensor) -> Tensor:
    """A series of numbers laid out as a padded batch (B, channels, H, W): of each image by channel, row and column."""
    height, width = images.shape[-2:]
    if sizes.same_size:
        series = series.view(len(images), -1)[:, : channels * sizes.height * sizes.width]
        drawn = series.view(len(images), channels, sizes.height, sizes.width)
        padding = (0, width - sizes.width, 0, height - sizes.height)
        return F.pad(drawn, padding) if any(padding) else drawn
    ends = [-(-count // BLOCK) * BLOCK for count in _counts(sizes, channels)]
    first = torch.tensor([0, *ends[:-1]]).cumsum(0).to(series.device, non_blocking=True)
    channel = torch.arange(channels, device=series.device)[:, None]
    tall, wide = sizes.heights[:, None, None], sizes.widths[:, None, None]
    rows = (channel * tall + clamped_indices(sizes.heights, height)[:, None]) * wide
    places = (first[:, None, None] + rows)[..., None] + clamped_indices(sizes.widths, width)[:, None, None]
    return series[places]


def _counts(sizes: Sizes, channels: int) -> list[int]:
    return [channels * height * width for height, width in sizes.shapes]


def _normal(drawn: Tensor) -> Tensor:
    """Normal numbers (N,) of uniform ones (N,), N even, by Box-Muller."""
    pairs = drawn.view(-1, 2)
    radius = pairs[:, 0].log().mul_(-2).sqrt_()
    angle = pairs[:, 1] * math.tau
    normals = torch.empty_like(pairs)
    torch.mul(radius, angle.cos(), out=normals[:, 0])
    torch.mul(radius, angle.sin_(), out=normals[:, 1])
    return normals.flatten()


def _poisson(level: Tensor, quantile: Tensor) -> Tensor:
    """The Poisson count at `quantile` (in [0, 1), float64) for a mean of level / 255 x 256 photons."""
    table = _poisson_table(level.device)
    return (
        torch.searchsorted(table.flatten(), (level + quantile).contiguous(), right=True)
        - level * table.shape[1]
    )


@functools.cache
def _poisson_table(device: torch.device) -> Tensor:
    """level + P(count <= k), (256, K) float64: ascending throughout, so that one search serves all levels."""
    counts = torch.arange(2 * _PHOTONS, dtype=torch.float64)
    mean = torch.arange(256, dtype=torch.float64)[:, None] / 255 * _PHOTONS
    log_prob = torch.xlogy(counts, mean) - mean - torch.lgamma(counts + 1)
    below = log_prob.exp().cumsum(1).clamp(max=1)
    return (torch.arange(256)[:, None] + below).to(device, non_blocking=True)
