"""LPIPS, the learned perceptual distance of Zhang et al. 2018, as a map and as one number per image.

The linear heads (version 0.1) are files of the package lpips, which is not imported because it imports torchvision.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import read_tensors
from facerefs.trainers.networks.features import ALEXNET, VGG16, Features
from facerefs.trainers.weights.imagenet import load_features

Net: TypeAlias = Literal["alex", "vgg"]

_ARCHITECTURES = {"alex": ALEXNET, "vgg": VGG16}
_ACTIVATIONS = {
    "alex": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "vgg": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}
_EPSILON = 1e-10  # added to a length, as in lpips


class Lpips(nn.Module):
    """LPIPS: frozen, differentiable in the images.

    net: its authors recommend `alex` as a metric and `vgg` as a loss. weights: that network's ImageNet weights: a path,
    `cache`, `download` or `random`. note: names these weights. Raises MissingWeights.

    Images are (B, 3, H, W) RGB in [-1, 1], for `alex` of at least 31 px, for `vgg` of 16.
    """

    note: str
    net: Net

    def __init__(self, net: Net, weights: str) -> None:
        super().__init__()
        self.net = net
        self.network = Features(_ARCHITECTURES[net], _ACTIVATIONS[net])
        self.note = f"LPIPS by {load_features(self.network, weights)}"
        self._heads = [f"head{layer}" for layer in range(len(_ACTIVATIONS[net]))]
        for name, head in zip(self._heads, _heads(net), strict=True):
            self.register_buffer(name, head, persistent=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """The distance of each pair (B,), float32: the mean over each layer's locations, summed over layers."""
        return _mean(self._layers(self._features(one), self._features(other)))

    def distances(self, one: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
        """The distances (B,) from one to each of the others. `one` passes through the network once."""
        features = self._features(one)
        return [_mean(self._layers(self._features(other), features)) for other in others]

    def distance_maps(self, one: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, 1, H, W), float32, of the distance at each pixel from one to each of the others.

        The sum of each layer's map, resized to H x W bilinearly. `one` passes through the network once.
        """
        size, features = one.shape[-2:], self._features(one)
        return [_summed(self._layers(features, self._features(other)), size) for other in others]

    def _features(self, images: Tensor) -> list[Tensor]:
        """Unit vectors (B, C, h, w) of each layer; with a graph only if the images need gradients."""
        return [_unit(values) for values in self.network(images).values()]

    def _layers(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
        """Distances (B, 1, h, w) of each layer: squared differences, weighted by channel."""
        heads = (self.get_buffer(name) for name in self._heads)
        pairs = zip(one, other, heads, strict=True)
        return [((a - b).square() * head).sum(1, keepdim=True) for a, b, head in pairs]


def _mean(layers: Sequence[Tensor]) -> Tensor:
    """The mean over each layer's locations, summed over layers: (B,)."""
    return torch.stack([layer.mean((1, 2, 3)) for layer in layers]).sum(0)


def _summed(layers: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    height, width = size
    full = [F.interpolate(layer, (height, width), mode="bilinear", align_corners=False) for layer in layers]
    return torch.stack(full).sum(0)


def _unit(values: Tensor) -> Tensor:
    """Values scaled to length 1 along the channels, as in lpips; 0 where all channels are 0."""
    values = values.float()  # squares overflow in half precision, and the epsilon vanishes
    length: Tensor = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    return values / (length + _EPSILON)


def _heads(net: Net) -> list[Tensor]:
    """Weights (C, 1, 1) of each layer's channels, none below 0."""
    spec = find_spec("lpips")  # finds the folder without importing lpips
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingWeights("the linear heads of LPIPS are files of the package lpips: `pip install lpips`")
    path = Path(folders[0]) / "weights" / "v0.1" / f"{net}.pth"
    heads = read_tensors(path, "LPIPS's linear heads")
    return [heads[f"lin{layer}.model.1.weight"][0] for layer in range(len(_ACTIVATIONS[net]))]
