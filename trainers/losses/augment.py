"""What a discriminator sees of images so that it does not learn few faces by heart: colours and places are changed.

Zhao et al., "Differentiable augmentation for data-efficient GAN training", 2020, with its colours and translations.
"""

import torch
from torch import Tensor

BRIGHTNESS = 0.5  # added, up or down
SATURATION = (0.0, 2.0)  # times
CONTRAST = (0.5, 1.5)  # times
TRANSLATION = 0.125  # of the side


def augment(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1], each changed in its own way; beyond [-1, 1] nothing is cut off.

    The gradient of the images passes through. Chances are evenly spread, and drawn from torch's generator.
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
    """Images (B, 3, H, W): brightness (B,) added, then distances to each pixel's gray times saturation (B,), then
    distances to each image's mean times contrast (B,). Gray is the mean of the three colours."""
    images = images + brightness[:, None, None, None]
    images = torch.lerp(images.mean(1, keepdim=True), images, saturation[:, None, None, None])
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast[:, None, None, None])


def translate(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, H, W), moved by whole pixels (B,) int64; what comes in from beyond the edge is 0."""
    moved = _roll_in_zeros(images, down, 2)
    return _roll_in_zeros(moved, right, 3)


def _roll_in_zeros(images: Tensor, shift: Tensor, dim: int) -> Tensor:
    """Each place takes what lies `shift` before it along the dimension."""
    side = images.shape[dim]
    source = torch.arange(side, device=images.device) - shift[:, None]
    inside = (source >= 0) & (source < side)
    shape = [len(images), 1, 1, 1]
    shape[dim] = side
    taken = images.gather(dim, (source % side).view(shape).expand_as(images))
    return taken * inside.view(shape)
