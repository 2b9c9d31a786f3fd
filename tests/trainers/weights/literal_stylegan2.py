"""StyleGAN2 by the book, sample by sample: what NVIDIA's weights mean, and the operators that basicsr lacks."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, pad

State = dict[str, Tensor]
ROOT = math.sqrt(2)


def activated(x: Tensor) -> Tensor:
    return leaky_relu(x, 0.2) * ROOT


def upfirdn2d(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Zeros between pixels, padding, true convolution of each channel, every `down`-th pixel."""
    batch, channels, height, width = x.shape
    zeros = x.new_zeros(batch, channels, height * up, width * up)
    zeros[:, :, ::up, ::up] = x
    padded = nn.functional.pad(zeros, (*pad, *pad)).flatten(0, 1)[:, None]
    filtered = conv2d(padded, kernel.flip(0, 1)[None, None])[:, 0]
    return filtered[:, ::down, ::down].unflatten(0, (batch, channels))


def fused_leaky_relu(x: Tensor, bias: Tensor, *_: float) -> Tensor:
    return activated(x + bias.view(1, -1, *[1] * (x.ndim - 2)))


class FusedLeakyReLU(nn.Module):
    def __init__(self, channels: int, *_: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return fused_leaky_relu(x, self.bias)


def fir(x: Tensor, before: int, after: int, up: int = 1, down: int = 1) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return upfirdn2d(x, torch.outer(taps, taps) / 64 * up**2, up, down, (before, after))


def linear(state: State, name: str, x: Tensor, rate: float = 1.0) -> Tensor:
    weight = state[f"{name}.weight"] * rate / math.sqrt(x.shape[1])
    return x @ weight.t() + state[f"{name}.bias"] * rate


def nvidia_generator(state: State, latent: Tensor, size_px: int, layers: int) -> Tensor:
    """The image (1, 3, H, W) of one latent (1, S), without noise."""
    style = latent / torch.sqrt(latent.square().mean() + 1e-8)
    for i in range(layers):
        style = activated(linear(state, f"mapping.fc{i}", style, 0.01))

    def conv(x: Tensor, name: str, up: bool) -> Tensor:
        scale = linear(state, f"{name}.affine", style)
        weight = state[f"{name}.weight"] * scale[0][None, :, None, None]
        weight = weight / torch.sqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        # Doubling ones are true convolutions of the doubled image, the others are correlations.
        y = conv2d(fir(x, 3, 2, up=2), weight.flip(2, 3)) if up else conv2d(pad(x, (1, 1, 1, 1)), weight)
        return activated(y + state[f"{name}.bias"][:, None, None])

    x = state["synthesis.b4.const"][None]
    image: Any = None
    side = 4
    while side <= size_px:
        block = f"synthesis.b{side}"
        if side > 4:
            x = conv(x, f"{block}.conv0", up=True)
            image = fir(image, 2, 1, up=2)
        x = conv(x, f"{block}.conv1", up=False)
        weight = state[f"{block}.torgb.weight"]
        scale = linear(state, f"{block}.torgb.affine", style) / math.sqrt(weight.shape[1])
        colours = (
            conv2d(x, weight * scale[0][None, :, None, None]) + state[f"{block}.torgb.bias"][:, None, None]
        )
        image = colours if image is None else image + colours
        side *= 2
    return image


def nvidia_discriminator(state: State, images: Tensor) -> Tensor:
    """Logits (B, 1) of images that are one group."""
    size_px = images.shape[-1]

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return conv2d(x, weight / math.sqrt(weight[0].numel()), stride=stride)

    def biased(x: Tensor, name: str) -> Tensor:
        return activated(x + state[f"{name}.bias"][:, None, None])

    x = biased(conv(images, f"b{size_px}.fromrgb"), f"b{size_px}.fromrgb")
    side = size_px
    while side > 4:
        block = f"b{side}"
        skipped = conv(fir(x, 1, 1, down=2), f"{block}.skip")
        x = biased(conv(pad(x, (1, 1, 1, 1)), f"{block}.conv0"), f"{block}.conv0")
        x = biased(conv(fir(x, 2, 2), f"{block}.conv1", stride=2), f"{block}.conv1")
        x = (x + skipped) / ROOT
        side //= 2
    deviation = torch.sqrt((x - x.mean(0)).square().mean(0) + 1e-8).mean()
    x = torch.cat([x, deviation.expand(len(x), 1, 4, 4)], 1)
    x = biased(conv(pad(x, (1, 1, 1, 1)), "b4.conv"), "b4.conv")
    return linear(state, "b4.out", activated(linear(state, "b4.fc", x.flatten(1))))
