"""A small U-shaped network that predicts one heat map per landmark, and the conversion of heat maps to points.

Coordinates are pixels of the network's input, whose centres lie at whole numbers. A cell of a map covers
`stride` x `stride` pixels, so cell i has its centre at stride (i + 1/2) - 1/2.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerefs.trainers.networks.exact import in_float32

POINTS = 68
_GROUP = 16  # channels of a normalisation group (choice)


class HeatmapNet(nn.Module):
    """Logits of one heat map per point. Own design; group norm, because batches are small and weights are averaged.

    widths: channels at the maps' size, at half of it, and so on. stride: pixels per cell, a power of two.
    """

    def __init__(self, widths: tuple[int, ...], stride: int, points: int = POINTS) -> None:
        super().__init__()
        if not widths or stride < 1 or stride & (stride - 1):
            raise ValueError(
                f"a heat-map network has widths and a power of two as stride, not {widths}, {stride}"
            )
        self.stride = stride
        stem: list[nn.Module] = []
        channels = 3
        for _ in range(stride.bit_length() - 1):
            stem += [
                nn.Conv2d(channels, widths[0], 4, stride=2, padding=1),
                nn.SiLU(),
            ]  # with kernel 4 centres stay in place
            channels = widths[0]
        stem.append(_Block(channels, widths[0]))
        self.stem = nn.Sequential(*stem)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(_Block(wide, narrow) for wide, narrow in pairs)
        self.up = nn.ModuleList(_Block(wide + narrow, wide) for wide, narrow in pairs)
        self.head = nn.Conv2d(widths[0], points, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> logits (B, points, H / stride, W / stride), float32 or better.

        H and W are multiples of stride * 2 ** (len(widths) - 1).
        """
        features = self.stem(images)
        passed = []
        for block in self.down:
            passed.append(features)
            features = block(functional.avg_pool2d(features, 2))
        for block in reversed(self.up):
            larger = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = block(torch.cat([passed.pop(), larger], dim=1))
        return in_float32(self.head, features)


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: He et al., "Identity mappings in deep residual networks", 2016."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.second = nn.Sequential(_norm(out), nn.SiLU(), nn.Conv2d(out, out, 3, padding=1))
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(self.first(features)) + self.shortcut(features)
        return changed


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(max(1, channels // _GROUP) if channels % _GROUP == 0 else 1, channels)


def points_of(logits: Tensor, stride: int) -> Tensor:
    """The mean position of each map's softmax: logits (B, P, h, w) -> points (B, P, 2) in pixels, x before y.

    Sun et al., "Integral human pose regression", 2018, eq. 2. Differentiable; always float32 or better, also under
    autocast: there is no matrix product, which would round coordinates to bfloat16.
    """
    maps = shares_of(logits)
    x, y = (
        (along * _cells(along.shape[-1], stride, along)).sum(-1) for along in (maps.sum(-2), maps.sum(-1))
    )
    return torch.stack([x, y], dim=-1)


def shares_of(logits: Tensor) -> Tensor:
    """The softmax over each map: (B, P, h, w), float32 or better, with a sum of 1."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return exact.flatten(2).softmax(-1).view_as(exact)


def gaussians(points: Tensor, height: int, width: int, stride: int, sigma_cells: float) -> Tensor:
    """Maps (B, P, height, width) of Gaussians about points (B, P, 2) in pixels, each with a sum of 1."""
    exponents = [
        -((_cells(length, stride, points) - points[..., axis, None]) / (stride * sigma_cells)).square() / 2
        for axis, length in enumerate((width, height))
    ]
    across, down = (one.softmax(-1) for one in exponents)  # the product of two sums to 1 if both do
    return down[..., :, None] * across[..., None, :]


def divergence(logits: Tensor, points: Tensor, stride: int, sigma_cells: float = 1.0) -> Tensor:
    """Jensen-Shannon divergence (B, P), 0 to ln 2, of each map's softmax from a Gaussian about its true point.

    Nibali et al., "Numerical coordinate regression with convolutional neural networks" (DSNT), 2018, eq. 7 and 8.
    """
    found = shares_of(logits)
    height, width = logits.shape[-2:]
    wanted = gaussians(points.to(found), height, width, stride, sigma_cells)
    mean = (found + wanted) / 2
    return (_relative_entropy(found, mean) + _relative_entropy(wanted, mean)) / 2


def _relative_entropy(one: Tensor, other: Tensor) -> Tensor:
    """Kullback-Leibler divergence of maps; where `one` is 0 nothing is added."""
    tiny = torch.finfo(one.dtype).tiny
    return (one * (one.clamp(min=tiny).log() - other.clamp(min=tiny).log())).sum((-2, -1))


def _cells(length: int, stride: int, like: Tensor) -> Tensor:
    """Centres of the cells along one side, in pixels."""
    return (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) * stride - 0.5
