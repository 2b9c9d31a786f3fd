"""Convolutional blocks with ReLU, zero padding and no normalisation (RPF, section III.B), 3 x 3 unless noted.

Choice: weights are initialised as in He et al. ("Delving deep into rectifiers", 2015), so that features keep their
magnitude through deep networks without normalisation, and biases are 0.
"""

import math

from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, relu

RELU_GAIN = math.sqrt(2)


def convolution(
    in_channels: int, out_channels: int, stride: int = 1, gain: float = RELU_GAIN, kernel_size: int = 3
) -> nn.Conv2d:
    """A convolution, (B, in, H, W) to (B, out, H / stride, W / stride); gain: 1 if no ReLU follows."""
    padding = (kernel_size - 1) // 2
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
    _draw(layer, in_channels * kernel_size**2, gain)
    return layer


def deconvolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.ConvTranspose2d:
    """A transposed convolution, (B, in, H, W) to (B, out, H stride, W stride); stride 1 (3 x 3) or 2 (4 x 4)."""
    kernel_size = 2 + stride
    layer = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding=1)
    _draw(layer, in_channels * kernel_size**2 // stride**2, RELU_GAIN)
    return layer


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), of the same channels and size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels, gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(relu(self.first(features)))
        return features + changed


class DownBlock(nn.Module):
    """An ordinary convolution and one of stride 2: (B, in, H, W) to (B, out, H / 2, W / 2), H and W even."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = convolution(in_channels, in_channels)
        self.halve = convolution(in_channels, out_channels, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        return relu(self.halve(relu(self.conv(features))))


class UpBlock(nn.Module):
    """A convolution and two deconvolutions, (B, in, H, W) to (B, out, 2 H, 2 W); the first one doubles (choice)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = convolution(in_channels, out_channels)
        self.doubling = deconvolution(out_channels, out_channels, stride=2)
        self.after = deconvolution(out_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return relu(self.after(relu(self.doubling(relu(self.conv(features))))))


class ShuffleUp(nn.Module):
    """A convolution to four times the channels and a pixel shuffle: (B, in, H, W) to (B, out, 2 H, 2 W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = convolution(in_channels, 4 * out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return relu(pixel_shuffle(self.conv(features), 2))


def _draw(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: int, gain: float) -> None:
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
