"""Train one model with several workers, on this machine or a cluster, with Ray Train."""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.runner.part_pool import last_line
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.training.job import Job, write_settings
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.check import check
from facerefs.trainers.loop.nan_guard import Diverged
from facerefs.trainers.loop.stopping import asked_to_stop
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.train import CannotTrain, TrainingResult

_POLL_S = 0.3
_STORAGE = ".ray"  # Ray Train requires a folder shared by all machines; we store nothing there
_SENTENCES = (CannotTrain, StreamError, MissingWeights, Diverged)


class DriverChannel:
    """A Ray actor between the driver and the first worker: passes on messages, the stop request and the result."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._stop = False
        self._end: tuple[str, Any] | None = None

    def say(self, line: str) -> None:
        """Called by the worker: add a message for the user."""
        self._said.append(line)

    def heard(self) -> list[str]:
        """Called by the driver: the new messages."""
        said, self._said = self._said, []
        return said

    def stop(self) -> None:
        """Called by the driver: request a stop after the current step."""
        self._stop = True

    def is_stopped(self) -> bool:
        """Called by the worker: whether a stop was requested."""
        return self._stop

    def end_with(self, kind: str, what: Any) -> None:
        """Called by a worker: store how training ended; only the first call counts."""
        self._end = self._end or (kind, what)

    def end(self) -> tuple[str, Any] | None:
        """Called by the driver: how training ended, None if unknown."""
        return self._end


@dataclass
class StopSignal:
    """Whether a stop was requested; polled without blocking, since a step must not wait for the network."""

    driver_channel: Any
    _asked: Any = None
    _yes: bool = False

    def __call__(self) -> bool:
        import ray

        if self._asked is None:
            self._asked = self.driver_channel.is_stopped.remote()
        elif ray.wait([self._asked], timeout=0)[0]:
            self._yes = bool(ray.get(self._asked))
            self._asked = None
        return self._yes


def train_on_ray(
    job: Job, workers: int, address: str | None, verbose: bool, announce: Callable[[str], None]
) -> TrainingResult:
    """Train with `workers` processes. Raises the errors of `train`, UserError for too few GPUs or CPUs, RunError."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    import ray

    try:
        check(job.model, job.places, workers)  # Ray takes seconds to start
    except ValueError as error:
        raise CannotTrain(str(error)) from None
    RayWorkers(workers, address, verbose).start()
    logging.getLogger("ray.train").setLevel(logging.INFO if verbose else logging.CRITICAL)
    _check_resources(job, workers, ray.cluster_resources())  # type: ignore[no-untyped-call]  # Ray has none here
    driver_channel: Any = ray.remote(num_cpus=0)(DriverChannel)
    driver_channel = driver_channel.remote()
    failures: list[Exception] = []
    fit = threading.Thread(target=_fit, args=(job, workers, driver_channel, failures), daemon=True)
    with asked_to_stop() as asked:
        fit.start()
        while fit.is_alive():
            fit.join(_POLL_S)
            if asked():
                driver_channel.stop.remote()
            for line in ray.get(driver_channel.heard.remote()):
                announce(line)
    for line in ray.get(driver_channel.heard.remote()):
        announce(line)
    shutil.rmtree(job.run / _STORAGE, ignore_errors=True)
    return _outcome(ray.get(driver_channel.end.remote()), failures)


def _check_resources(job: Job, workers: int, there: dict[str, float]) -> None:
    kind = "GPU" if job.device == "cuda" else "CPU"
    if there.get(kind, 0) < workers:
        raise UserError(
            f"{workers} workers need {workers} {kind}s, and Ray finds {there.get(kind, 0):g}: choose fewer --workers"
        )


def _fit(job: Job, workers: int, driver_channel: Any, failures: list[Exception]) -> None:
    """Run Ray Train to its end; in a thread, so that it installs no signal handlers."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    try:
        trainer = TorchTrainer(
            _work,
            train_loop_config={"job": job, "driver_channel": driver_channel},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=job.device == "cuda"),
            run_config=RunConfig(name="train", storage_path=str(job.run / _STORAGE)),
        )
        trainer.fit()
    except Exception as error:  # noqa: BLE001 (it is reported in the main thread)
        failures.append(error)


def _work(config: dict[str, Any]) -> None:
    """Train; runs in each worker."""
    import ray
    import ray.train
    import ray.train.torch

    from facerefs.trainers.distributed import joined
    from facerefs.trainers.train import train

    job, driver_channel = config["job"], config["driver_channel"]
    context = ray.train.get_context()
    device = ray.train.torch.get_device()
    first = context.get_world_rank() == 0
    stop: Callable[[], bool] = StopSignal(driver_channel) if first else lambda: False

    def say(line: str) -> None:
        driver_channel.say.remote(line)

    try:
        with joined(device, context.get_world_rank(), context.get_world_size()) as ranks:
            begin = partial(write_settings, job)
            outcome = train(job.name, job.model, job.places, job.run, job.resume, ranks, say, stop, begin)
    except _SENTENCES as error:
        ray.get(driver_channel.end_with.remote(type(error).__name__, str(error)))
        raise
    if first:
        ray.get(driver_channel.end_with.remote("", outcome))


def _outcome(end: tuple[str, Any] | None, failures: list[Exception]) -> TrainingResult:
    if end is not None:
        kind, what = end
        for sentence in _SENTENCES:
            if kind == sentence.__name__:
                raise sentence(what)
        if isinstance(what, TrainingResult):
            return what
    text = str(failures[0]) if failures else "no worker reported a result"
    raise RunError(f"Ray Train ended the workers: {last_line(text)}", text)
