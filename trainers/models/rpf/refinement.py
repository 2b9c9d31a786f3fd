"""RPF's refinement module (section III.B.3, figure 6): an encoder and a decoder of style and feature modulation.

Based on GCFSR: He et al., "GCFSR: a generative and controllable face super resolution method without facial and GAN
priors", CVPR 2022.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from facerefs.trainers.networks.blocks import RELU_GAIN, DownBlock, convolution
from facerefs.trainers.networks.stylegan2.layers import ModulatedConv2d
from facerefs.trainers.networks.stylegan2.widths import Widths


class Modulation(nn.Module):
    """The upscale block k: d_{k-1}, e_k (B, in, H, W) and v_k (B, style_dim) to d_k (B, out, 2 H, 2 W).

    Style modulation computes s_k from d_{k-1} and v_k by StyleGAN2's modulated convolution; feature modulation blends,
    alpha_k s_k + beta_k e_k, with separate coefficients for each channel (choice), initially sqrt(1/2); another
    modulated convolution by v_k doubles the resolution (choice: as e_1 is both d_0 and the features that s_1 is blended
    with, the doubling comes last).
    """

    def __init__(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        super().__init__()
        self.style = ModulatedConv2d(in_channels, in_channels, 3, style_dim)
        self.style_bias = nn.Parameter(torch.zeros(in_channels))
        self.alpha = nn.Parameter(torch.full((in_channels, 1, 1), math.sqrt(0.5)))
        self.beta = nn.Parameter(torch.full((in_channels, 1, 1), math.sqrt(0.5)))
        self.doubling = ModulatedConv2d(in_channels, out_channels, 3, style_dim, upsample=True)
        self.doubling_bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, before: Tensor, encoded: Tensor, style: Tensor) -> Tensor:
        styled = relu(self.style(before, style, self.style_bias, RELU_GAIN))
        blended = self.alpha.to(styled.dtype) * styled + self.beta.to(styled.dtype) * encoded.to(styled.dtype)
        return relu(self.doubling(blended, style, self.doubling_bias, RELU_GAIN))


class Refinement(nn.Module):
    """Images (B, 3, S, S) to images (B, 3, S, S), float32.

    channels: at sides 4, 8, ... S. K down-scale blocks lead to e_1 of 4 x 4; two strided convolutions and K fully
    connected layers compute v_k from it; K up-scale blocks lead back. Choice: the output of the last convolution, 0 at
    first, is added to the images, so that details of a synthesised image are kept, although training only has blurred
    ones (section IV.B).
    """

    def __init__(self, channels: Widths, style_dim: int) -> None:
        super().__init__()
        *sides, side_px = sorted(channels)
        self.first = convolution(3, channels[side_px])
        self.down = nn.ModuleList(DownBlock(channels[2 * side], channels[side]) for side in reversed(sides))
        self.embedding = nn.Sequential(
            convolution(channels[sides[0]], style_dim, stride=2),
            nn.ReLU(),
            convolution(style_dim, style_dim, stride=2),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.styles = nn.ModuleList(nn.Linear(style_dim, style_dim) for _ in sides)
        self.up = nn.ModuleList(Modulation(channels[side], channels[2 * side], style_dim) for side in sides)
        self.last = convolution(channels[side_px], 3)
        nn.init.zeros_(self.last.weight)

    def forward(self, images: Tensor) -> Tensor:
        x = relu(self.first(images))
        encoded = []  # e_K to e_1
        for down in self.down:
            x = down(x)
            encoded.append(x)
        embedded = self.embedding(x)
        for up, style, features in zip(self.up, self.styles, reversed(encoded), strict=True):
            x = up(x, features, style(embedded))
        details: Tensor = self.last(x)
        return images + details.float()
