"""Blend: nobody, "A model of one convolution", 2026: the degraded face and its reference, blended.

It is what a contributor writes: one file, in the order network, losses, phases, presets.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.common.tiny import TINY_LOOP
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


class Blender(nn.Module):
    """Weighs the degraded face and the warped reference at each place."""

    def __init__(self, kernel_px: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(6, 1, kernel_px, padding="same")

    def forward(self, degraded: Tensor, warped: Tensor) -> Tensor:
        """(B, 3, H, W) each -> (B, 3, H, W)."""
        share: Tensor = self.weigh(torch.cat([degraded, warped], 1)).sigmoid()
        return share * degraded + (1 - share) * warped


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    size_px: Positive = 512
    """Side of the faces that the network works on, in pixels."""
    kernel_px: Positive = 3
    """Side of the kernel that weighs the images, in pixels."""


@dataclass(frozen=True)
class Blend:
    """All settings of Blend."""

    shape: Shape = Shape()
    adam: Adam = Adam(lr=1e-3, beta1=0.9, beta2=0.99)
    data: Data = Data(batch_size=4, references=1, degradation="gfpgan")
    loop: Loop = Loop(steps=1_000, precision="tf32")

    @property
    def size_px(self) -> int:
        """Side of the faces that the network works on."""
        return self.shape.size_px

    @property
    def identity(self) -> str:
        """None: no embedding is looked at."""
        return ""

    @property
    def stochastic(self) -> bool:
        """Never."""
        return False

    def networks(self) -> dict[str, nn.Module]:
        return {"blender": Blender(self.shape.kernel_px)}

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        blended: Tensor = networks["blender"](seen.degraded, seen.warped[:, 0])
        return blended

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        return {"warped": seen.warped[:, 0]}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        evaluator = Evaluator(self)

        def blend(batch: DeviceBatch) -> Terms:
            return {"pixels": l1_loss(self.restore(networks, restorer_input(batch)), batch.target)}

        return TrainingModule(
            networks=networks,
            averaged=("blender",),
            optimisers={"blender": adam_for(networks["blender"].parameters(), self.adam)},
            phases=[Phase("blender", "blender", ("blender",), blend)],
            pictures=evaluator.pictures,
            scores=evaluator.scores,
        )


PRESETS = {
    "paper": Blend(),
    "tiny": Blend(shape=Shape(size_px=32), data=Data(batch_size=2, references=1), loop=TINY_LOOP),
}
