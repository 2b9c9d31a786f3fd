"""Noise that is a pure function of (seed, place in the image), for many images at once.

Box-Muller turns the numbers of `philox` into normal ones: the same on any machine and device but for the last digits of
a logarithm and a cosine in the precision of the image.
"""

import functools
import math

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.stages.degrade.operations.colour import luma
from facerefs.stages.degrade.operations.padded_batch import Sizes, up_to
from facerefs.stages.degrade.operations.philox import BLOCK, uniform

_PHOTONS = 256  # for white: what basicsr's count of levels gives any photo of more than 128 levels


def add_noise(images: Tensor, sizes: Sizes, sigma: Tensor, gray: bool, seeds: Tensor) -> Tensor:
    """Add noise of standard deviation `sigma` (B,), 0-255, and clip to [0, 1], as basicsr's `add_gaussian_noise`.

    images: (B, 3, H, W) in [0, 1] of these sizes; seeds: (B,) int64; with `gray` all channels get the same noise.
    """
    channels = 1 if gray else images.shape[1]
    drawn = _normal(uniform(seeds, _counts(sizes, channels), images.dtype))
    noise = _on_canvas(drawn, sizes, channels, images)
    return torch.addcmul(images, noise, (sigma.to(images) / 255).view(-1, 1, 1, 1)).clamp_(0, 1)


def add_poisson_noise(images: Tensor, sizes: Sizes, scale: Tensor, gray: bool, seeds: Tensor) -> Tensor:
    """Add `scale` (B,) times the shot noise of the image rounded to 8 bits, and clip to [0, 1].

    As basicsr's `add_poisson_noise`, but at 256 photons for white always, where that counts the image's levels.
    Shapes as `add_noise`. The noise is no function of the image to a gradient: it passes as through an addition.
    """
    with torch.no_grad():
        light = luma(images) if gray else images
        level = (light * 255).round().clamp(0, 255).long()
        drawn = uniform(seeds, _counts(sizes, light.shape[1]), torch.float64)
        chance = _on_canvas(drawn, sizes, light.shape[1], images)
        noise = (_poisson(level, chance) / _PHOTONS - level / 255).to(images)
    return torch.addcmul(images, noise, scale.to(images).view(-1, 1, 1, 1)).clamp_(0, 1)


def _on_canvas(series: Tensor, sizes: Sizes, channels: int, canvas: Tensor) -> Tensor:
    """Numbers of all images, those of each by channel, row and column, on its canvas: (B, channels, H, W)."""
    height, width = canvas.shape[-2:]
    if sizes.alike:
        series = series.view(len(canvas), -1)[:, : channels * sizes.height * sizes.width]
        drawn = series.view(len(canvas), channels, sizes.height, sizes.width)
        padding = (0, width - sizes.width, 0, height - sizes.height)
        return F.pad(drawn, padding) if any(padding) else drawn
    ends = [-(-count // BLOCK) * BLOCK for count in _counts(sizes, channels)]
    first = torch.tensor([0, *ends[:-1]], device=series.device).cumsum(0)
    channel = torch.arange(channels, device=series.device)[:, None]
    tall, wide = sizes.heights[:, None, None], sizes.widths[:, None, None]
    rows = (channel * tall + up_to(sizes.heights, height)[:, None]) * wide
    places = (first[:, None, None] + rows)[..., None] + up_to(sizes.widths, width)[:, None, None]
    return series[places]


def _counts(sizes: Sizes, channels: int) -> list[int]:
    return [channels * height * width for height, width in sizes.shapes]


def _normal(drawn: Tensor) -> Tensor:
    """Box-Muller: pairs of uniform numbers to pairs of normal ones, (N,) to (N,), N even."""
    pairs = drawn.view(-1, 2)
    radius = pairs[:, 0].log().mul_(-2).sqrt_()
    angle = pairs[:, 1] * math.tau
    normals = torch.empty_like(pairs)
    torch.mul(radius, angle.cos(), out=normals[:, 0])
    torch.mul(radius, angle.sin_(), out=normals[:, 1])
    return normals.flatten()


def _poisson(level: Tensor, chance: Tensor) -> Tensor:
    """The Poisson quantile at `chance` (in [0, 1), float64) for a mean of level / 255 x 256 photons."""
    table = _poisson_table(level.device)
    return (
        torch.searchsorted(table.flatten(), (level + chance).contiguous(), right=True)
        - level * table.shape[1]
    )


@functools.cache
def _poisson_table(device: torch.device) -> Tensor:
    """level + P(count <= k), (256, K) float64: ascending throughout, so that one search finds any level's quantile."""
    counts = torch.arange(2 * _PHOTONS, dtype=torch.float64)
    mean = torch.arange(256, dtype=torch.float64)[:, None] / 255 * _PHOTONS
    log_chance = torch.xlogy(counts, mean) - mean - torch.lgamma(counts + 1)
    below = log_chance.exp().cumsum(1).clamp(max=1)
    return (torch.arange(256)[:, None] + below).to(device)
