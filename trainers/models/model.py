"""The interface of models: settings, from which everything else is built."""

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
        """Settings of the training loop: length, precision, validation and checkpoints."""

    @property
    def data(self) -> Data:
        """Settings of the data that it gets from the shards."""

    @property
    def size_px(self) -> int:
        """Side of the faces that the networks work on; stored faces are reduced to it."""

    def networks(self) -> dict[str, nn.Module]:
        """All trainable networks, newly initialised from torch's generator. Raises ValueError for invalid settings."""

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        """Losses, optimisers and phases for these networks, which lie on the device; loads pretrained weights.

        embedder: name of the engine that made the embeddings in the shards, such as `dlib:...`; `` if there are none.
        Raises MissingWeights in one sentence.
        """


@dataclass(frozen=True, eq=False)
class RestorerInput:
    """The input of a restorer. Images in [-1, 1], landmarks in pixels of H x W, masks in [0, 1]; K is 0 if blind."""

    degraded: Tensor  # (B, 3, H, W)
    references: Tensor  # (B, K, 3, H, W); black where there is none
    reference_embeddings: Tensor  # (B, K, D)
    reference_landmarks: Tensor  # (B, K, 68, 2)
    reference_masks: Tensor | None  # (B, K, 1, H, W): 1 on a reference's face; None if samples have none
    warped: Tensor  # (B, K, 3, H, W): the references on the landmarks of the degraded face
    valid: Tensor  # (B, K, 1, H, W): 1 where `warped` comes from within a reference
    landmarks: Tensor  # (B, 68, 2): of the degraded face, as a user has them: detected, or jittered


@runtime_checkable
class Restorer(Model, Protocol):
    """A model that restores a clean face from a degraded one, blind (`data.references` is 0) or with references."""

    @property
    def identity(self) -> str:
        """The embedder of its references, as a setting for `load_embedder`; `` if it uses none.

        With an embedder, the setting `shape.embedding_dim` is the length of its embeddings.
        """

    @property
    def stochastic(self) -> bool:
        """Whether its output for the same input differs each time, by random numbers from torch's generator."""

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        """Restored faces (B, 3, H, W) in about [-1, 1]."""

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        """Additional pictures of its work: images (B, 3, H, W) in [-1, 1] by name, in their order."""


@runtime_checkable
class WarpingRestorer(Restorer, Protocol):
    """A restorer that uses the warped references, and so the landmarks of the degraded face."""

    @property
    def landmark_run(self) -> str | None:
        """The run of `train landmarks` that found the landmarks in training; None if none did."""


@runtime_checkable
class MaskingRestorer(Restorer, Protocol):
    """A restorer that masks its references."""

    def mask_note(self, device: torch.device) -> str:
        """What finds the faces in a user's references; `` if nothing has to. Loads it; raises MissingWeights."""


@runtime_checkable
class LandmarkModel(Model, Protocol):
    """A model that finds the 68 points of degraded faces."""

    def find(self, networks: Networks, degraded: Tensor) -> Tensor:
        """Points (B, 68, 2) in pixels of the images (B, 3, size_px, size_px), which are in [-1, 1]."""
