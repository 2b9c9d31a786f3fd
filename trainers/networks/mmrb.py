"""The mixed multi-path residual block (MMRB) of Hu et al., "Enhancing quality of pose-varied face restoration"."""

import math

import torch
from torch import Tensor, nn

from facerefs.trainers.networks.stylegan2.layers import EqualConv2d

_SLOPE = 0.25  # of a PReLU at the start: He et al., "Delving deep into rectifiers", 2015, cited by the paper
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # keeps the mean square of the features


class Mmrb(nn.Module):
    """MMRB: features (B, C, H, W) to the same shape, eq. 4 to 10.

    Choices: P1 and P2 have C / 2 channels each, like their inputs; P1' and P2' have C each, so that the 1 x 1
    convolution halves the 2 C of their concatenation, "reduced through the dimension reduction of 1 x 1 bottleneck
    layer". A PReLU has one slope for all channels. Weights are scaled at run time, as in all of StyleGAN2's layers. The
    1 x 1 convolution is 0 at first, so the block starts as the identity.
    Raises ValueError if C is odd.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(
                f"the MMRB splits its channels in two, and {channels} are odd: set shape.mmrb=false"
            )
        half = channels // 2
        self.first3, self.first5 = _conv(half, half, 3), _conv(half, half, 5)
        self.second3, self.second5 = _conv(channels, channels, 3), _conv(channels, channels, 5)
        self.bottleneck = _conv(2 * channels, channels, 1)
        nn.init.zeros_(self.bottleneck[0].get_parameter("weight"))

    def forward(self, features: Tensor) -> Tensor:
        """X_O = X_I + P."""
        x1, x2 = features.chunk(2, 1)  # eq. 4
        p1, p2 = self.first3(x1), self.first5(x2)  # eq. 5, 6
        mixed = torch.cat([p1, p2], 1)
        p1, p2 = self.second3(mixed), self.second5(mixed)  # eq. 7, 8
        fused: Tensor = self.bottleneck(torch.cat([p1, p2], 1))  # eq. 9
        return features + fused  # eq. 10


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        EqualConv2d(in_channels, out_channels, kernel_size, gain=_GAIN), nn.PReLU(init=_SLOPE)
    )
