"""The job of a training run: the checked options of the user, and the settings file in the folder of the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from facerefs.pipeline.config.read_settings import completed, differences, read_settings, read_yaml
from facerefs.pipeline.config.renamed_settings import with_new_names
from facerefs.pipeline.errors import UserError
from facerefs.schemas.file_names import RUN_FILE
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.model import Model
from facerefs.trainers.training_set import shards_of

_EXAMPLE = "loop.steps=1000"
_CHANGEABLE = {
    "data",  # the shards may have moved; the stream refuses different shards
    "data.workers",
    *(
        f"loop.{name}"
        for name in (
            "steps",
            "clip_norm",
            "precision",
            "channels_last",
            "compile",
            "log_every",
            "validate_every",
            "grid_samples",
            "checkpoint_every",
            "keep_checkpoints",
        )
    ),
}
"""Settings that may change when a run is resumed: they do not invalidate the steps already computed."""


@dataclass(frozen=True)
class TrainOptions:
    """The options of `facerefs train`, not yet checked."""

    model: str
    run: Path
    data: tuple[str, ...]
    preset: str | None = None
    steps: int | None = None
    config_file: Path | None = None
    settings: tuple[str, ...] = ()
    resume: bool = False
    device: str | None = None
    workers: int = 1
    address: str | None = None
    verbose: bool = False


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs to know about a training run."""

    name: str
    preset: str
    model: Model
    places: tuple[str, ...]
    run: Path
    resume: bool
    device: Literal["cpu", "cuda"]

    def tree(self) -> dict[str, Any]:
        """The content of the settings file of the run."""
        places = list(self.places)
        return {"model": self.name, "preset": self.preset, "data": places, "settings": to_dict(self.model)}


def check_options(options: TrainOptions, run: Path) -> tuple[Job, list[str]]:
    """The job, and the changes of a resumed run, such as `loop.steps: 100 -> 200`. Raises UserError."""
    if options.model not in MODULES:
        raise UserError(f"there is no model {options.model!r}: choose {', '.join(MODULES)}")
    stored = _stored(run) if options.resume else {}
    if stored and stored["model"] != options.model:
        raise UserError(
            f"{run} holds a run of {stored['model']}, not of {options.model}: choose another --run"
        )
    preset = options.preset or (stored["preset"] if stored else "paper")
    known = presets(options.model)
    if preset not in known:
        raise UserError(f"{options.model} has no preset {preset!r}: choose {', '.join(known)}")
    base = stored["settings"] if stored else to_dict(known[preset])
    model = read_settings(
        type(known[preset]),
        _EXAMPLE,
        options.config_file,
        options.settings,
        over={"loop": {"steps": options.steps}} if options.steps is not None else {},
        under=base,
        record=("settings", "model"),
    )
    places = tuple(map(shards_of, options.data)) or tuple(stored.get("data", ()))
    if not places:
        raise UserError("nothing to train on: add --data with the folder of a build")
    device = chosen_device(options.device, here=options.address is None)
    job = Job(options.model, preset, model, places, run, options.resume, device)
    if stored:
        stored |= {"settings": completed(type(model), stored["settings"])}
    changes = differences(stored, job.tree()) if stored else []
    changes = [change.removeprefix("settings.") for change in changes]
    fixed = [change for change in changes if change.partition(":")[0] not in _CHANGEABLE]
    if fixed:
        raise UserError(
            f"{run} was trained with other settings ({'; '.join(fixed)}): leave them as they were, or start a new run"
        )
    return job, changes


def _stored(run: Path) -> dict[str, Any]:
    """The settings file of a run, with the present names of settings. Raises UserError."""
    path = run / RUN_FILE
    if not path.is_file():
        raise UserError(f"{run} holds no run to resume: leave out --resume to begin one")
    tree = read_yaml(path, _EXAMPLE)
    kinds = {"model": str, "preset": str, "data": list, "settings": dict}
    if not all(isinstance(tree.get(name), kind) for name, kind in kinds.items()) or not all(
        isinstance(place, str) for place in tree["data"]
    ):
        raise UserError(f"{path} is damaged, or of something else than a run: choose a new folder for --run")
    return tree | {"settings": with_new_names(tree["settings"])}


def check_not_foreign(run: Path) -> None:
    """Raise UserError if `run` holds files that do not belong to a run, which we would mix up or overwrite."""
    if not run.is_dir():
        return
    if (run / RUN_FILE).exists():
        _stored(run)
    elif any(not path.name.startswith((".", RUN_FILE)) for path in run.iterdir()):
        raise UserError(f"{run} holds other files and no run: choose a new or empty folder for --run")


def write_settings(job: Job) -> None:
    """Write the settings file into the folder of the run."""
    part = job.run / f"{RUN_FILE}.part"
    part.write_text(yaml.safe_dump(job.tree(), sort_keys=False), encoding="utf-8")
    part.replace(job.run / RUN_FILE)


def chosen_device(wanted: str | None, here: bool = True) -> Literal["cpu", "cuda"]:
    """The device to train on. here: whether it is this machine; for a cluster, Ray checks for GPUs."""
    if wanted not in (None, "cpu", "cuda"):
        raise UserError(f"--device cannot be {wanted!r}: choose cpu or cuda")
    if wanted == "cuda" and here and not torch.cuda.is_available():
        raise UserError("--device cuda needs an NVIDIA GPU, and torch finds none: choose --device cpu")
    return "cuda" if wanted == "cuda" or (wanted is None and torch.cuda.is_available()) else "cpu"
