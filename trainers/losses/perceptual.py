"""Perceptual loss: the distance of two images in the features of an ImageNet network (Johnson et al. 2016)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor, nn

from facerefs.trainers.networks.features import VGG19, Architecture, Features
from facerefs.trainers.weights.imagenet import load_features

# GFPGAN's published options (train_gfpgan_v1, "before relu").
GFPGAN_LAYERS: Mapping[str, float] = MappingProxyType(
    {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
)

# Published options of Ren et al., "Neural texture extraction and distribution", 2022 (config/fashion_512.yaml); its
# three scales and its style loss are left out.
NTED_LAYERS: Mapping[str, float] = MappingProxyType({f"relu{block}_1": 1.0 for block in range(1, 6)})


class Perceptual(nn.Module):
    """Perceptual loss: frozen, differentiable in the restored images.

    weights: the network's ImageNet weights: a path, `cache`, `download` or `random`. note: names these weights.
    layers: the weight of each activation. The default (choice) is GFPGAN's: ENTED (eq. 10) and RDFR (eq. 10) only
        say "VGG-19", and RDFR cites GFPGAN. GFPGAN's style loss is left out.
    distance: of two activations; `l1` is the mean absolute difference (ENTED, RDFR), `l2` the mean squared one
        (eq. 2 of Johnson et al.), our reading (choice) of the norms in RPF, eq. 8, and the pose-varied paper, eq. 14.

    Raises MissingWeights; ValueError for a layer that the network does not have.
    """

    note: str

    def __init__(
        self,
        weights: str,
        layers: Mapping[str, float] = GFPGAN_LAYERS,
        distance: Literal["l1", "l2"] = "l1",
        architecture: Architecture = VGG19,
    ) -> None:
        super().__init__()
        self.layers = dict(layers)
        self.network = Features(architecture, tuple(layers))
        self.note = f"perceptual loss by {load_features(self.network, weights)}"
        self._distance = F.l1_loss if distance == "l1" else F.mse_loss

    def forward(self, restored: Tensor, truth: Tensor) -> Tensor:
        """The loss, a scalar; images (B, 3, H, W) RGB in [-1, 1]. No gradient goes to the truth."""
        with torch.no_grad():
            wanted = self.network(truth)
        found = self.network(restored)
        terms = [
            self.layers[name] * self._distance(found[name].float(), wanted[name].float()) for name in found
        ]
        return torch.stack(terms).sum()
