"""Codes that change between steps are the same on all ranks, and so are the networks that learn with them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop.checkpoint import newest, read
from facerefs.trainers.loop.settings import Data, Loop
from facerefs.trainers.loop.training_module import Networks, TrainingModule
from facerefs.trainers.models.model import Model
from facerefs.trainers.networks.dictionary import Dictionary
from facerefs.trainers.train import train
from tests.trainers.loop.test_ranks import in_two_processes
from tests.trainers.loop.toy import write_faces
from tests.trainers.models.test_ented import SMALL as ENTED
from tests.trainers.models.test_rdfr import SMALL as RDFR


@dataclass(frozen=True)
class Watched:
    """A model whose networks are compared over the ranks after each step; but for reservoirs, which are each rank's."""

    model: Model

    @property
    def loop(self) -> Loop:
        return replace(self.model.loop, steps=4, accumulate=2, validate_every=4, checkpoint_every=4)

    @property
    def data(self) -> Data:
        return replace(self.model.data, batch_size=4)

    @property
    def size_px(self) -> int:
        return self.model.size_px

    def networks(self) -> dict[str, nn.Module]:
        return self.model.networks()

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        made = self.model.training_module(networks, device, embedder)

        def between_steps(step: int, ranks: Distributed) -> None:
            assert made.between_steps is not None
            made.between_steps(step, ranks)
            ranks.check_same(shared(networks))

        return replace(made, between_steps=between_steps)


def shared(networks: Networks) -> list[nn.Module]:
    return [
        nn.ParameterList([network.codes]) if isinstance(network, Dictionary) else network
        for network in networks.values()
    ]


MODELS = {
    "ented": ENTED,
    # More codes than are used, so that some are laid onto features anew.
    "rdfr": replace(RDFR, shape=replace(RDFR.shape, codes=400, decay=0.5)),
}


def _train(ranks: Distributed, folder: Path) -> None:
    for name, model in MODELS.items():
        faces = folder / f"{name}-faces"
        train(name, Watched(model), [str(faces)], folder / name, False, ranks, lambda _: None, lambda: False)


def test_two_ranks_hold_the_same_codes_after_each_step(tmp_path: Path) -> None:
    for name, model in MODELS.items():
        write_faces(tmp_path / f"{name}-faces", samples=4, references=model.data.references)
    in_two_processes(_train, tmp_path)
    ends = {name: read(newest(tmp_path / name / "checkpoints")).networks for name in MODELS}
    dictionary, codebook = ends["ented"]["dictionary"], "skips.16.codebook."
    assert dictionary["used"]
    assert dictionary["noted"] == 4 * 2 * ENTED.codes.noted_places
    counts = ends["rdfr"]["generator"][codebook + "counts"]
    assert (counts == counts.mode().values).sum() > 1  # those that were laid anew count alike
