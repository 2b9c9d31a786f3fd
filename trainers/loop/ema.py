"""Exponential moving averages of networks (Polyak averaging); after training, the averaged generator is used."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from facerefs.trainers.loop.training_module import Networks


class EMA:
    """Networks whose weights are moving averages of other networks, in eval mode and without gradients.

    An image counts half as much as one that came `half_life_images` later: Karras et al., "Progressive growing of
    GANs", 2018, section 4 for the average; half-life in images as in "Analyzing and improving ... StyleGAN", 2020.
    Buffers are copied.
    """

    def __init__(self, networks: Networks, averaged: Sequence[str], half_life_images: float) -> None:
        self.networks: dict[str, nn.Module] = {
            name: copy.deepcopy(networks[name]).eval().requires_grad_(False) for name in averaged
        }
        self._half_life_images = half_life_images

    @torch.no_grad()
    def update(self, networks: Networks, images: int) -> None:
        """Update the averages with the networks after a step over `images` images."""
        beta = 0.5 ** (images / self._half_life_images)
        for name, average in self.networks.items():
            _move(average, networks[name], beta)

    def in_place_of(self, networks: Networks) -> dict[str, nn.Module]:
        """All networks, with the averaged ones replaced by their averages."""
        return {**networks, **self.networks}


def _move(average: nn.Module, network: nn.Module, beta: float) -> None:
    mean, now = dict(average.named_parameters()), dict(network.named_parameters())
    kept, buffers = dict(average.named_buffers()), dict(network.named_buffers())
    if mean.keys() != now.keys() or kept.keys() != buffers.keys():
        raise RuntimeError("a network has other parameters than when its average began")
    for name, parameter in mean.items():
        parameter.lerp_(now[name].to(parameter.dtype), 1 - beta)
    for name, buffer in kept.items():
        buffer.copy_(buffers[name])
