"""Differentiable augmentation of a discriminator's input, so that it does not memorise a small training set.

Zhao et al., "Differentiable augmentation for data-efficient GAN training", 2020, with its colours and translations.
"""

import torch
from torch import Tensor

BRIGHTNESS = 0.5  # at most this is added or subtracted
SATURATION = (0.0, 2.0)  # range of the factor
CONTRAST = (0.5, 1.5)  # range of the factor
TRANSLATION = 0.125  # at most, as a share of the side


def augment(images: Tensor) -> Tensor:
    """The augmented images, each with its own random changes; not clamped to [-1, 1].

    images: (B, 3, H, W) in [-1, 1]; the result is differentiable in them. Random numbers are uniform, from torch's
    generator.
    """
    batch, _, height, width = images.shape

    def drawn(low: float, high: float) -> Tensor:
        return torch.empty(batch, device=images.device, dtype=images.dtype).uniform_(low, high)

    def shift(side: int) -> Tensor:
        most = round(TRANSLATION * side)
        return torch.randint(-most, most + 1, (batch,), device=images.device)

    coloured = recolour(images, drawn(-BRIGHTNESS, BRIGHTNESS), drawn(*SATURATION), drawn(*CONTRAST))
    return translate(coloured, shift(height), shift(width))


def recolour(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Recoloured images (B, 3, H, W): brightness (B,) is added, then the distance to each pixel's gray is multiplied by
    saturation (B,), then the distance to each image's mean by contrast (B,). Gray is the mean of the three colours."""
    images = images + brightness[:, None, None, None]
    images = torch.lerp(images.mean(1, keepdim=True), images, saturation[:, None, None, None])
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast[:, None, None, None])


def translate(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, H, W), shifted by whole pixels (B,) int64; pixels from outside the image are 0."""
    moved = _roll_in_zeros(images, down, 2)
    return _roll_in_zeros(moved, right, 3)


def _roll_in_zeros(images: Tensor, shift: Tensor, dim: int) -> Tensor:
    """Images shifted by `shift` along the dimension, filled with zeros."""
    side = images.shape[dim]
    source = torch.arange(side, device=images.device) - shift[:, None]
    inside = (source >= 0) & (source < side)
    shape = [len(images), 1, 1, 1]
    shape[dim] = side
    taken = images.gather(dim, (source % side).view(shape).expand_as(images))
    return taken * inside.view(shape)
