"""A blind restorer small enough for a blink, which makes another face each time by noise that it adds."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facerefs.trainers.loop.settings import Data, Loop
from facerefs.trainers.loop.training_module import Networks, TrainingModule
from facerefs.trainers.models.model import RestorerInput


@dataclass(frozen=True)
class Toy:
    """Settings of the toy."""

    size_px: int = 32
    data: Data = Data(batch_size=2, references=0, degradation="rdfr")
    loop: Loop = Loop()
    identity: str = ""
    noisy: bool = True
    broken: bool = False

    def networks(self) -> dict[str, nn.Module]:
        if self.broken:
            raise ValueError("toys break")
        return {"generator": nn.Conv2d(3, 3, 3, padding=1)}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        raise NotImplementedError

    @property
    def stochastic(self) -> bool:
        return self.noisy

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        assert seen.references.shape[1] == 0
        made: Tensor = networks["generator"](seen.degraded)
        return made + self.noisy * 0.2 * torch.randn_like(made)

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        return {"work": torch.randn_like(seen.degraded)}


PRESETS = {"tiny": Toy(), "paper": Toy(size_px=512), "steady": Toy(noisy=False), "broken": Toy(broken=True)}
