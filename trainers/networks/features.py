"""The convolutional parts of VGG16, VGG19 and AlexNet, frozen; they return inner activations.

Simonyan and Zisserman, "Very deep convolutional networks", 2014 (tables D and E), and Krizhevsky, "One weird trick",
2014, both without their classifiers, as in torchvision; the parameters have torchvision's names, so its files
can be loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor, nn

# Mean and standard deviation of ImageNet, (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225) in [0, 1], for images in
# [-1, 1]. The scaling layer of LPIPS has the same numbers.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class Conv:
    """A convolution; a ReLU follows. Their activations are called `convNAME` and `reluNAME`."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Pool:
    """Max pooling."""

    kernel: int
    stride: int


Layer: TypeAlias = Conv | Pool


@dataclass(frozen=True)
class Architecture:
    """A network as data."""

    name: str
    layers: tuple[Layer, ...]


def _vgg(name: str, *blocks: tuple[int, int]) -> Architecture:
    """Blocks are (convolutions, channels); a pool ends each."""
    layers: list[Layer] = []
    for block, (count, channels) in enumerate(blocks, 1):
        layers += [Conv(f"{block}_{number}", channels) for number in range(1, count + 1)]
        layers.append(Pool(2, 2))
    return Architecture(name, tuple(layers))


VGG16 = _vgg("VGG16", (2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
VGG19 = _vgg("VGG19", (2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
ALEXNET = Architecture(
    "AlexNet",
    (
        Conv("1", 64, kernel=11, stride=4, padding=2),
        Pool(3, 2),
        Conv("2", 192, kernel=5, padding=2),
        Pool(3, 2),
        Conv("3", 384),
        Conv("4", 256),
        Conv("5", 256),
        Pool(3, 2),
    ),
)


class Features(nn.Module):
    """A frozen network that returns chosen activations; layers after the last of them are left out.

    activations: such as `relu3_3`, or `conv5_4` for the values before the ReLU; of AlexNet `relu1` to `relu5`.
    The weights are undefined until `facerefs.trainers.weights.imagenet` sets them. Raises ValueError for an activation
    that the network does not have.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, architecture: Architecture, activations: Sequence[str]) -> None:
        super().__init__()
        self.architecture = architecture
        self.activations = tuple(activations)
        self._layers = _needed(architecture, self.activations)
        self.features = nn.ModuleDict()
        channels = 3
        for place, layer in self._layers:
            if isinstance(layer, Conv):
                self.features[str(place)] = _undefined(channels, layer)
                channels = layer.channels
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def smallest_px(self) -> int:
        """The smallest allowed height and width of an image."""
        side = 1
        for _, layer in reversed(self._layers):
            padding = layer.padding if isinstance(layer, Conv) else 0
            side = (side - 1) * layer.stride + layer.kernel - 2 * padding
        return side

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Activations (B, C, h, w) by name, in the network's order, differentiable in the images.

        images: (B, 3, H, W) RGB in [-1, 1], not clamped. Raises ValueError if they are too small.
        """
        if min(images.shape[-2:]) < self.smallest_px:
            raise ValueError(
                f"{self.architecture.name} needs images of at least {self.smallest_px} px, "
                f"not {images.shape[-2]} x {images.shape[-1]}"
            )
        found: dict[str, Tensor] = {}
        values = (images - self.shift) / self.scale
        for place, layer in self._layers:
            if isinstance(layer, Pool):
                values = F.max_pool2d(values, layer.kernel, layer.stride)
                continue
            values = self.features[str(place)](values)
            before, after = _names(layer)
            if before in self.activations:
                found[before] = values
            values = F.relu(values, inplace=before not in self.activations)
            if after in self.activations:
                found[after] = values
        return found


def _names(layer: Conv) -> tuple[str, str]:
    return f"conv{layer.name}", f"relu{layer.name}"


def _needed(architecture: Architecture, activations: Sequence[str]) -> list[tuple[int, Layer]]:
    """The layers up to the last of these activations, each with its index in torchvision, which counts ReLUs."""
    placed: list[tuple[int, Layer]] = []
    known: list[str] = []
    place = needed = 0
    for layer in architecture.layers:
        placed.append((place, layer))
        place += 2 if isinstance(layer, Conv) else 1
        if isinstance(layer, Conv):
            known += _names(layer)
            if not set(_names(layer)).isdisjoint(activations):
                needed = len(placed)
    if unknown := [name for name in activations if name not in known]:
        raise ValueError(f"{architecture.name} has no activation {unknown[0]!r}; it has {', '.join(known)}")
    if not needed:
        raise ValueError(f"no activation of {architecture.name} is asked for")
    return placed[:needed]


def _undefined(channels: int, layer: Conv) -> nn.Conv2d:
    """A convolution with uninitialised weights, so that the state of torch's generator does not change."""
    meta = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.padding, device="meta")
    return meta.to_empty(device="cpu")
