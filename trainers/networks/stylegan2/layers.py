"""The layers of StyleGAN2: weights scaled at run time, and convolutions modulated by a style.

Weights are drawn from N(0, 1) and scaled by He's constant when used ("equalised learning rate", Karras et al.,
2018). The activation is LeakyReLU of slope 0.2 times sqrt 2; as it is homogeneous, the gain is moved into weights and
bias, which saves a pass over the features.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

from facerefs.trainers.networks.stylegan2.resample import BlurFilter

SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2)
EPSILON = 1e-8


class EqualLinear(nn.Module):
    """A linear layer, (..., in) to (..., out).

    bias_start: initial bias. lr_multiplier: factor of this layer's learning rate. activate: whether the activation
    described above follows.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias_start: float = 0.0,
        lr_multiplier: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_start / lr_multiplier))
        self.activate = activate
        self.bias_gain = lr_multiplier * (ACTIVATION_GAIN if activate else 1.0)
        self.weight_gain = self.bias_gain / math.sqrt(in_features)

    def forward(self, features: Tensor) -> Tensor:
        """The linear map, activated if `activate` is set."""
        out = linear(features, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return leaky_relu(out, SLOPE) if self.activate else out


class EqualConv2d(nn.Module):
    """A convolution, (B, in, H, W) to (B, out, H / stride, W / stride); `gain` multiplies the output.

    padding: zeros on each side; None keeps the size at a stride of 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        activate: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride, self.activate = stride, activate
        self.padding = kernel_size // 2 if padding is None else padding
        self.bias_gain = gain * (ACTIVATION_GAIN if activate else 1.0)
        self.weight_gain = self.bias_gain / math.sqrt(in_channels * kernel_size**2)

    def forward(self, features: Tensor) -> Tensor:
        """The convolution, activated if `activate` is set."""
        bias = None if self.bias is None else self.bias * self.bias_gain
        out = conv2d(features, self.weight * self.weight_gain, bias, self.stride, self.padding)
        return leaky_relu(out, SLOPE) if self.activate else out


class DownConv(nn.Module):
    """A blur, and a 3 x 3 convolution of stride 2, activated: (B, in, H, W) to (B, out, H / 2, W / 2)."""

    def __init__(self, in_channels: int, out_channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.blur = BlurFilter(padding=2)
        self.conv = EqualConv2d(in_channels, out_channels, 3, stride=2, padding=0, activate=True, gain=gain)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, out, H / 2, W / 2)."""
        halved: Tensor = self.conv(self.blur(features))
        return halved


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output is demodulated (eq. 1 and 3).

    The features are scaled before and after one convolution that all samples share. This is the same function as a
    grouped convolution with separate weights for each sample, but without a copy of the weights for each sample, and
    second derivatives cost as much as for an ordinary convolution. Demodulation is always in float32.
    upsample: doubles height and width, by a transposed convolution and a blur.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, style_dim: int, upsample: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.affine = EqualLinear(style_dim, in_channels, bias_start=1.0)
        self.blur = BlurFilter(padding=(5 - kernel_size) // 2, gain=4.0) if upsample else None
        self.padding = kernel_size // 2
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)

    def forward(self, features: Tensor, style: Tensor, bias: Tensor, gain: float = 1.0) -> Tensor:
        """(B, in, H, W) and styles (B, S) to (B, out, H, W), or twice as high and wide; bias (out,); times the gain."""
        scale, demodulation = self._scales(style)
        features = features * scale.to(features.dtype)[:, :, None, None]
        if self.blur is None:
            out = conv2d(features, self.weight, padding=self.padding)
        else:
            out = self.blur(conv_transpose2d(features, self.weight.transpose(0, 1), stride=2))
        demodulation, bias = (gain * demodulation).to(out.dtype), (gain * bias).to(out.dtype)
        return torch.addcmul(bias[:, None, None], out, demodulation[:, :, None, None])

    def _scales(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """The scales of the input channels (B, in), and of the output channels (B, out)."""
        with torch.autocast(style.device.type, enabled=False):
            scale = self.affine(style.float()) * self.weight_gain
            power = scale.square() @ self.weight.float().square().sum((2, 3)).t()
        return scale, torch.rsqrt(power + EPSILON)


class StyledConv(nn.Module):
    """A modulated 3 x 3 convolution, noise of a learned strength (0 at first), bias and activation.

    beside: channels of features that are used instead of noise. They are multiplied by the learned strength,
    concatenated to the convolution's output, and get a bias and the activation too: Yang et al., "GAN prior embedded
    network for blind face restoration in the wild", 2021. Their strength is 1 at first (choice), so that layers that
    do not use them yet can learn to.
    """

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, upsample: bool = False, beside: int = 0
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim, upsample)
        self.noise_strength = nn.Parameter(torch.ones(()) if beside else torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels + beside))
        self.beside = beside

    def forward(self, features: Tensor, style: Tensor, noisy: bool, beside: Tensor | None = None) -> Tensor:
        """(B, in, H, W) and styles (B, S) to (B, out, H, W), or twice as high and wide.

        beside: (B, beside, H, W) of the output's height and width; out is then (B, out + beside, H, W), without noise.
        """
        bias, bias_beside = torch.split(self.bias, [len(self.bias) - self.beside, self.beside])
        out: Tensor = self.conv(features, style, bias, ACTIVATION_GAIN)
        if beside is not None:
            gain = (ACTIVATION_GAIN * self.noise_strength).to(out.dtype)
            bias_beside = (ACTIVATION_GAIN * bias_beside).to(out.dtype)[:, None, None]
            out = torch.cat([out, torch.addcmul(bias_beside, beside.to(out.dtype), gain)], 1)
        elif noisy:
            noise = torch.randn_like(out[:, :1], memory_format=torch.contiguous_format)
            out = out + noise * (self.noise_strength * ACTIVATION_GAIN).to(out.dtype)
        return leaky_relu(out, SLOPE)


class ToRGB(nn.Module):
    """A modulated 1 x 1 convolution to colours, without demodulation.

    With three outputs, separate weights for each sample are cheaper than scaled features: one batched matrix product.
    """

    def __init__(self, in_channels: int, style_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.affine = EqualLinear(style_dim, in_channels, bias_start=1.0)
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """(B, in, H, W) and styles (B, S) to colours (B, 3, H, W) in float32."""
        with torch.autocast(style.device.type, enabled=False):
            scale = self.affine(style.float()) * self.weight_gain
        weights = (self.weight[:, :, 0, 0] * scale[:, None]).to(features.dtype)
        colours = torch.bmm(weights, features.flatten(2)).float()
        return (colours + self.bias[:, None]).view(-1, 3, *features.shape[2:])
