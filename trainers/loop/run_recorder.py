"""Writes the log lines, validations and checkpoints of a run, each when it is due."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop import checkpoint as checkpoints
from facerefs.trainers.loop.checkpoint import Checkpoint
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.log import Log
from facerefs.trainers.loop.metric_averager import MetricAverager
from facerefs.trainers.loop.nan_guard import Diverged, NanGuard
from facerefs.trainers.loop.settings import Loop
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.loop.validation import FixedSet, validate
from facerefs.trainers.stream.batches.device import DeviceBatches

CHECKPOINTS_FOLDER = "checkpoints"


@dataclass(frozen=True)
class RunDescription:
    """The description of a run that is stored in its checkpoints."""

    model: str
    settings: dict[str, Any]
    embedder: str


@dataclass
class RunRecorder:
    """Writes the outputs of a run. Every rank has one; only rank 0 writes."""

    run: Path
    subject: RunDescription
    training_module: TrainingModule
    averages: EMA
    batches: DeviceBatches
    images: int  # in a batch, over all ranks
    loop: Loop
    ranks: Distributed
    log: Log | None  # on rank 0 only
    held_out: FixedSet | None  # on rank 0 only
    step: int  # of the last log line
    _since: float = field(default_factory=time.perf_counter)
    _waited_s: float = 0.0

    def on_step_end(self, step: int, last: bool, means: MetricAverager, guard: NanGuard) -> None:
        """Log, validate and save what is due after a step. Raises Diverged before it saves a broken state."""
        loop = self.loop
        keeping = last or step % loop.checkpoint_every == 0
        validating = step % loop.validate_every == 0 or step == loop.steps
        if keeping or validating or step % loop.log_every == 0:
            self._check(guard, keeping)
            self._line(step, means)
        if validating:
            self._validate(step)
        if keeping:
            self._keep(step)
        if keeping or validating:
            self._start_the_clock()

    def _check(self, guard: NanGuard, keeping: bool) -> None:
        networks = (
            [*self.training_module.networks.values(), *self.averages.networks.values()] if keeping else []
        )
        where = guard.check(networks)
        if where is None:
            return
        kept = checkpoints.checkpoints(self.run / CHECKPOINTS_FOLDER)
        what = "there is no checkpoint yet:"
        if kept:
            what = (
                f"the last good checkpoint is {kept[-1]}: go on from there with loop.clip_norm set or loop.precision "
                "float32, or"
            )
        raise Diverged(f"training broke: {where}; {what} start anew with a smaller learning rate")

    def _line(self, step: int, means: MetricAverager) -> None:
        waited_s = self.batches.waited_s  # waits for the GPU, so read it before the clock
        figures: dict[str, float | None] = dict(means.take(self.ranks))
        seconds = max(time.perf_counter() - self._since, 1e-9)
        speed = {
            "images_per_s": (step - self.step) * self.images * self.loop.accumulate / seconds,
            "waiting_share": min(1.0, (waited_s - self._waited_s) / seconds),
        }
        if self.ranks.device.type == "cuda":
            speed["gpu_memory_gb"] = torch.cuda.max_memory_allocated(self.ranks.device) / 1e9
        steps, self.step = step - self.step, step
        self._start_the_clock()
        if self.log is not None:
            self.log.line(step, figures | {"steps": steps} | speed)
            left_s = (self.loop.steps - step) * seconds / steps
            self.log.announce(_words(step, self.loop.steps, figures, speed, left_s))

    def _start_the_clock(self) -> None:
        self._since = time.perf_counter()
        self._waited_s = self.batches.waited_s

    def _validate(self, step: int) -> None:
        if self.log is not None and self.held_out is not None:
            networks = self.averages.in_place_of(self.training_module.networks)
            seed, rows = self.loop.seed, self.loop.grid_samples
            figures, picture = validate(self.training_module, networks, self.held_out, rows, seed)
            self.log.line(step, {f"validation/{name}": value for name, value in figures.items()})
            path = self.log.grid(step, picture)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            self.log.announce(f"validation  step {step}: {shown}; {path.name}")
        self.ranks.wait()

    def _keep(self, step: int) -> None:
        if self.log is not None:
            self.log.settle()
            folder = self.run / CHECKPOINTS_FOLDER
            path = checkpoints.write(folder, self._checkpoint(step), self.loop.keep_checkpoints)
            self.log.announce(f"checkpoint  {path}")
        self.ranks.wait()

    def _checkpoint(self, step: int) -> Checkpoint:
        training_module = self.training_module
        return Checkpoint(
            model=self.subject.model,
            settings=self.subject.settings,
            embedder=self.subject.embedder,
            step=step,
            networks={name: network.state_dict() for name, network in training_module.networks.items()},
            averages={name: network.state_dict() for name, network in self.averages.networks.items()},
            optimisers={
                name: optimiser.state_dict() for name, optimiser in training_module.optimisers.items()
            },
            stream=dict(self.batches.state_dict()),
            notes=tuple(training_module.notes),
        )


def load(checkpoint: Checkpoint, training_module: TrainingModule, averages: EMA) -> None:
    """Load a checkpoint into networks, averages and optimisers. Raises CheckpointError if it does not fit them."""
    try:
        for name, network in training_module.networks.items():
            network.load_state_dict(checkpoint.networks[name])
        for name, network in averages.networks.items():
            network.load_state_dict(checkpoint.averages[name])
        for name, optimiser in training_module.optimisers.items():
            optimiser.load_state_dict(checkpoint.optimisers[name])
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise checkpoints.CheckpointError(
            f"the checkpoint of step {checkpoint.step} does not fit the model ({reason}): "
            "go on with the settings and the version of facerefs that made it, or start a new run"
        ) from None


def _words(
    step: int, steps: int, figures: dict[str, float | None], speed: dict[str, float], left_s: float
) -> str:
    terms = ", ".join(f"{name} {value:.3g}" for name, value in figures.items() if value is not None)
    return (
        f"train       step {step}/{steps}, {terms}, {speed['images_per_s']:.1f} images/s, "
        f"{speed['waiting_share']:.0%} waiting, {_duration(left_s)} left"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
