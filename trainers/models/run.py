"""A trained model, read back from the folder of its run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from facerefs.trainers.loop.checkpoint import CheckpointError, checkpoints, newest, read
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.landmarks import find_landmarks
from facerefs.trainers.models.model import LandmarkModel, Model


@dataclass(frozen=True, eq=False)
class Run:
    """The trained model of a run: its networks in eval mode, with moving averages where the run has them."""

    name: str  # of the model
    model: Model
    networks: dict[str, nn.Module]
    embedder: str  # of the shards that it was trained on
    step: int
    notes: tuple[str, ...]


def load_run(folder: Path, device: torch.device) -> Run:
    """Read the newest checkpoint of a run. Raises CheckpointError in one sentence."""
    if not checkpoints(folder / CHECKPOINTS_FOLDER):
        raise CheckpointError(
            f"{folder} holds no trained model: give the folder that facerefs train --run wrote"
        )
    kept = read(newest(folder / CHECKPOINTS_FOLDER))
    if kept.model not in MODULES:
        raise CheckpointError(
            f"{folder} holds a run of {kept.model!r}, which this version of facerefs does not know"
        )
    kind = type(next(iter(presets(kept.model).values())))
    try:
        model = TypeAdapter(kind).validate_python(dict(kept.settings))
        networks = model.networks()
        for name, network in networks.items():
            network.load_state_dict(kept.averages.get(name, kept.networks[name]))
    except (ValidationError, ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the checkpoint of {folder} does not fit {kept.model} ({reason}): use the version of facerefs that made it"
        ) from None
    ready = {name: network.to(device).eval().requires_grad_(False) for name, network in networks.items()}
    return Run(kept.model, model, ready, kept.embedder, kept.step, kept.notes)


def load_finder(folder: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function that finds landmarks (B, 68, 2) of degraded faces (B, 3, H, W) in [-1, 1], from a landmarks run.

    Raises CheckpointError in one sentence.
    """
    run = load_run(folder, device)
    if not isinstance(run.model, LandmarkModel):
        raise CheckpointError(
            f"{folder} holds a run of {run.name}, and landmarks are found by one of landmarks"
        )
    model, networks = run.model, run.networks

    @torch.no_grad()
    def find(images: Tensor) -> Tensor:
        return find_landmarks(model, networks, images)

    return find
