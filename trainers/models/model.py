"""What a model is to those who train and use it: its settings, from which everything else is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from facerefs.trainers.loop.settings import Data, Loop
from facerefs.trainers.loop.training_module import Networks, TrainingModule


@runtime_checkable
class Model(Protocol):
    """A frozen dataclass whose fields are all settings of a model, its losses and its training."""

    @property
    def loop(self) -> Loop:
        """How long, how exactly and how watched it is trained."""

    @property
    def data(self) -> Data:
        """What of the shards it sees."""

    @property
    def size_px(self) -> int:
        """Side of the faces that the networks work on; stored faces are reduced to it."""

    def networks(self) -> dict[str, nn.Module]:
        """All that learns, freshly drawn from torch's generator. Raises ValueError for settings that cannot be."""

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        """Losses, optimisers and phases for these networks, which lie on the device; loads pretrained weights.

        embedder: name of the engine that made the embeddings in the shards, such as `dlib:...`; `` if there are none.
        Raises MissingWeights in one sentence.
        """


@dataclass(frozen=True, eq=False)
class RestorerInput:
    """What a restorer may see. Images in [-1, 1], landmarks in pixels of H x W, masks in [0, 1]; blind, K is 0."""

    degraded: Tensor  # (B, 3, H, W)
    references: Tensor  # (B, K, 3, H, W); black where there is none
    reference_embeddings: Tensor  # (B, K, D)
    reference_landmarks: Tensor  # (B, K, 68, 2)
    reference_masks: Tensor | None  # (B, K, 1, H, W): 1 where a reference's face is, if the samples tell
    warped: Tensor  # (B, K, 3, H, W): the references on the landmarks of the degraded face
    valid: Tensor  # (B, K, 1, H, W): 1 where `warped` comes from within a reference
    landmarks: Tensor  # (B, 68, 2): of the degraded face, as found or as known


@runtime_checkable
class Restorer(Model, Protocol):
    """A model that makes a clean face of a degraded one, blind (`data.references` is 0) or with references."""

    @property
    def identity(self) -> str:
        """The embedder that its references are embedded by, as `load_embedder` knows it; `` if by none.

        With one, the setting `shape.embedding_dim` says how long its embeddings are.
        """

    @property
    def stochastic(self) -> bool:
        """Whether it gives another face for the same input each time, by chances from torch's generator."""

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        """Restored faces (B, 3, H, W) in about [-1, 1]."""

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        """What else it would show of its work: images (B, 3, H, W) in [-1, 1] by name, in their order."""


@runtime_checkable
class LandmarkModel(Model, Protocol):
    """A model that finds the 68 points of degraded faces."""

    def find(self, networks: Networks, degraded: Tensor) -> Tensor:
        """Points (B, 68, 2) in pixels of the images (B, 3, size_px, size_px), which are in [-1, 1]."""
