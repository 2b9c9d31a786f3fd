"""A critic for WGAN-GP. The score of an image must not depend on others, so it has no batch normalisation.

Gulrajani et al., "Improved training of Wasserstein GANs", 2017, section 4. RPF does not give its layers (choice).
"""

from itertools import pairwise

from torch import Tensor, nn

from facerefs.trainers.networks.blocks import convolution
from facerefs.trainers.networks.exact import in_float32

_SMALLEST_PX = 4
_SLOPE = 0.2


class Critic(nn.Module):
    """Images (B, 3, side_px, side_px) to scores (B, 1), float32: convolutions of stride 2 to 4 x 4 px, a linear layer.

    channels: at side_px, doubled at each halving up to four times as many. side_px: a power of two, at least 4.
    """

    def __init__(self, side_px: int, channels: int = 64) -> None:
        super().__init__()
        levels = (side_px // _SMALLEST_PX).bit_length() - 1
        widths = [min(4, 1 << level) * channels for level in range(levels + 1)]
        layers = [convolution(3, widths[0])]
        layers += [convolution(n, m, stride=2, kernel_size=4) for n, m in pairwise(widths)]
        self.layers = nn.Sequential(*(part for layer in layers for part in (layer, nn.LeakyReLU(_SLOPE))))
        self.score = nn.Linear(widths[-1] * _SMALLEST_PX**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return in_float32(self.score, self.layers(images).flatten(1))
