"""`facerefs train`: from the user's words to a run, and how it ends."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from rich.console import Console

from pipeline.errors import RunError, UserError
from pipeline.lock import locked
from pipeline.settings import differences, read_settings, read_yaml
from stages.engines.engine import MissingWeights
from trainers.loop.check import check_none_there
from trainers.loop.checkpoint import CheckpointError, checkpoints
from trainers.loop.guard import Diverged
from trainers.loop.plain import plain
from trainers.loop.ranks import joined, told_by_environment
from trainers.loop.record import CHECKPOINTS_FOLDER
from trainers.loop.stopping import asked_to_stop
from trainers.models.catalogue import MODULES, presets
from trainers.models.model import Model
from trainers.stream.errors import StreamError
from trainers.train import CannotTrain, Outcome, train

RUN_FILE = "settings.yaml"
_EXAMPLE = "loop.steps=1000"
_CHANGEABLE = {
    "data",  # shards that have moved; the stream refuses others than those
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
"""Settings that a resumed run may have otherwise: they change nothing of what has been computed."""


@dataclass(frozen=True)
class Words:
    """What the user said."""

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
    """What is to be trained: all that a worker needs to know."""

    name: str
    preset: str
    model: Model
    places: tuple[str, ...]
    run: Path
    resume: bool
    device: Literal["cpu", "cuda"]

    def tree(self) -> dict[str, Any]:
        """As it is written into the run's folder."""
        places = list(self.places)
        return {"model": self.name, "preset": self.preset, "data": places, "settings": plain(self.model)}


def train_command(words: Words) -> None:
    """Check every word of the user, then train."""
    console = Console(soft_wrap=True, markup=False)
    rank, world, _ = told_by_environment()
    run = words.run.absolute()
    _check_not_foreign(run)
    with locked(run) if rank == 0 else nullcontext():
        job, changes = _job(words, run)
        announce: Callable[[str], None] = _to(console) if rank == 0 else _nobody
        for change in changes:
            announce(f"changed     {change}")
        try:
            if words.workers == 1 and words.address is None:
                outcome = _train_here(job, announce)
            elif world > 1:
                raise UserError("torchrun starts the workers itself: leave out --workers and --address")
            else:
                from pipeline.ray_train import train_on_ray

                outcome = train_on_ray(job, words.workers, words.address, words.verbose, announce)
        except (CannotTrain, MissingWeights) as error:
            raise UserError(str(error)) from None
        except (StreamError, OSError) as error:  # shards that broke on the way, a full disk
            raise RunError(f"{error}. {_way_on(run)}", again=False) from None
        except Diverged as error:
            raise RunError(str(error), again=False) from None
        except torch.OutOfMemoryError as error:
            size = job.model.data.batch_size
            raise UserError(
                f"the GPU's memory is too small for batches of {size}: make data.batch_size smaller than that and "
                f"loop.accumulate larger than {job.model.loop.accumulate} ({str(error).splitlines()[0][:100]})"
            ) from None
    if outcome.stopped:
        announce(
            f"stopped     at step {outcome.step}, nothing is lost: the same command with --resume goes on"
        )
        raise KeyboardInterrupt
    announce(f"trained     {outcome.step} steps: {run}")


def _way_on(run: Path) -> str:
    """What to do when that is mended which ended a run."""
    if kept := checkpoints(run / CHECKPOINTS_FOLDER):
        return f"Mend that: {kept[-1].name} is kept, and the same command with --resume goes on from there"
    return "There is no checkpoint yet: mend that, and run the same command again"


def _train_here(job: Job, announce: Callable[[str], None]) -> Outcome:
    rank, world, local = told_by_environment()
    device = torch.device("cuda", local) if job.device == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with joined(device, rank, world) as ranks, asked_to_stop() as stop:
        _write_settings(job, ranks.first)
        return train(job.name, job.model, job.places, job.run, job.resume, ranks, announce, stop)


def write_settings(job: Job) -> None:
    """Write what is trained into the run's folder. Raises CannotTrain if another run's checkpoints are there."""
    if not job.resume:
        try:
            check_none_there(job.run / CHECKPOINTS_FOLDER)
        except CheckpointError as error:
            raise CannotTrain(str(error)) from None
    part = job.run / f"{RUN_FILE}.part"
    part.write_text(yaml.safe_dump(job.tree(), sort_keys=False), encoding="utf-8")
    part.replace(job.run / RUN_FILE)


def _write_settings(job: Job, first: bool) -> None:
    if first:
        write_settings(job)


def _job(words: Words, run: Path) -> tuple[Job, list[str]]:
    """What to train, and what of a resumed run is otherwise than before."""
    if words.model not in MODULES:
        raise UserError(f"there is no model {words.model!r}: choose {', '.join(MODULES)}")
    stored = _stored(run) if words.resume else {}
    if stored and stored["model"] != words.model:
        raise UserError(f"{run} holds a run of {stored['model']}, not of {words.model}: choose another --run")
    preset = words.preset or (stored["preset"] if stored else "paper")
    known = presets(words.model)
    if preset not in known:
        raise UserError(f"{words.model} has no preset {preset!r}: choose {', '.join(known)}")
    base = stored["settings"] if stored else plain(known[preset])
    model = read_settings(
        type(known[preset]),
        _EXAMPLE,
        words.config_file,
        words.settings,
        over={"loop": {"steps": words.steps}} if words.steps is not None else {},
        under=base,
    )
    places = tuple(map(_place, words.data)) or tuple(stored.get("data", ()))
    if not places:
        raise UserError("nothing to train on: add --data with the folder of a build")
    device = chosen_device(words.device, here=words.address is None)
    job = Job(words.model, preset, model, places, run, words.resume, device)
    changes = differences(stored, job.tree()) if stored else []
    changes = [change.removeprefix("settings.") for change in changes]
    fixed = [change for change in changes if change.partition(":")[0] not in _CHANGEABLE]
    if fixed:
        raise UserError(
            f"{run} was trained with other settings ({'; '.join(fixed)}): leave them as they were, or start a new run"
        )
    return job, changes


def _stored(run: Path) -> dict[str, Any]:
    """What a run was begun with. Raises UserError."""
    path = run / RUN_FILE
    if not path.is_file():
        raise UserError(f"{run} holds no run to resume: leave out --resume to begin one")
    tree = read_yaml(path, _EXAMPLE)
    kinds = {"model": str, "preset": str, "data": list, "settings": dict}
    if not all(isinstance(tree.get(name), kind) for name, kind in kinds.items()) or not all(
        isinstance(place, str) for place in tree["data"]
    ):
        raise UserError(f"{path} is damaged, or of something else than a run: choose a new folder for --run")
    return tree


def _check_not_foreign(run: Path) -> None:
    """Raise UserError if `run` holds files that are of no run: we would mix ours with them, or write over them."""
    if not run.is_dir():
        return
    if (run / RUN_FILE).exists():
        _stored(run)
    elif any(not path.name.startswith((".", RUN_FILE)) for path in run.iterdir()):
        raise UserError(f"{run} holds other files and no run: choose a new or empty folder for --run")


def _place(text: str) -> str:
    """Where the shards lie: an address as it is; of a build, its samples."""
    if "://" in text:
        return text
    folder = Path(text).expanduser().absolute()
    samples = folder / "samples"
    return str(samples if samples.is_dir() and not any(folder.glob("*.tar")) else folder)


def chosen_device(wanted: str | None, here: bool = True) -> Literal["cpu", "cuda"]:
    """What to train on; of a cluster, Ray says whether there is any."""
    if wanted not in (None, "cpu", "cuda"):
        raise UserError(f"--device cannot be {wanted!r}: choose cpu or cuda")
    if wanted == "cuda" and here and not torch.cuda.is_available():
        raise UserError("--device cuda needs an NVIDIA GPU, and torch finds none: choose --device cpu")
    return "cuda" if wanted == "cuda" or (wanted is None and torch.cuda.is_available()) else "cpu"


def _to(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, highlight=False)


def _nobody(_line: str) -> None:
    """Other ranks than the first say nothing."""
