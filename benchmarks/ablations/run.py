"""Run trainings until they are done or the budget is spent, and read what they came to."""

import json
import math
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.ablations.start import start_as
from benchmarks.ablations.trainings import Training
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.distributed import joined
from facerefs.trainers.loop.checkpoint import checkpoints
from facerefs.trainers.loop.log import LOG_FILE
from facerefs.trainers.loop.nan_guard import Diverged
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.train import CannotTrain, train


@dataclass(frozen=True)
class Result:
    """What a training came to: figures by name, such as psnr and psnr_degraded, of its last validation.

    step_s: seconds per step, which mean something on a quiet machine with one training at a time.
    """

    name: str
    variant: str
    adds: bool
    seed: int
    steps: int
    figures: Mapping[str, float]
    step_s: float


RESULT_FILE = "result.json"
_VALIDATION = "validation/"


def train_all(waiting: Sequence[Training], place: str, jobs: int, until_s: float = math.inf) -> bool:
    """Train each, so many at a time, until the clock (Unix time) says `until_s`; whether none failed.

    One that cannot be trained is told, and left out.
    """
    if not waiting:
        return True
    threads = max(1, (os.cpu_count() or 1) // jobs)
    whole = True
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as processes:
        running = [(one, processes.submit(train_one, one, place, threads, until_s)) for one in waiting]
        for training, outcome in running:
            try:
                outcome.result()
            except (CannotTrain, MissingWeights, StreamError, Diverged) as error:
                whole = False
                print(f"{_called(training)}: {error}", flush=True)
    return whole


def train_one(training: Training, place: str, threads: int, until_s: float = math.inf) -> None:
    """Train, or go on after an interruption; stops, to be resumed, when the clock says `until_s`."""
    if time.time() >= until_s:
        return
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    resume = bool(checkpoints(training.run / CHECKPOINTS_FOLDER))

    def start(networks: Networks) -> None:
        print(f"{_called(training)}: {start_as(networks, training.first)}", flush=True)

    def announce(line: str) -> None:
        if line.startswith("validation"):
            print(f"{_called(training)}: {line}", flush=True)

    with joined(device, 0, 1) as ranks:
        end = train(
            training.name,
            training.model,
            [place],
            training.run,
            resume,
            ranks,
            announce,
            stop=lambda: time.time() >= until_s,
            start_from=start,
        )
    if not end.stopped:
        (training.run / RESULT_FILE).write_text(json.dumps(asdict(result_of(training)), indent=1) + "\n")


def result_of(training: Training) -> Result:
    """Read the log of a training that has ended."""
    lines = [json.loads(line) for line in (training.run / LOG_FILE).read_text().splitlines()]
    last = [line for line in lines if any(name.startswith(_VALIDATION) for name in line)][-1]
    batch = training.model.data.batch_size * training.model.loop.accumulate
    speeds = [(line["steps"], line["images_per_s"]) for line in lines if "images_per_s" in line]
    seconds = sum(steps * batch / speed for steps, speed in speeds)
    return Result(
        name=training.name,
        variant=training.variant,
        adds=training.adds,
        seed=training.seed,
        steps=last["step"],
        figures={
            name.removeprefix(_VALIDATION): value
            for name, value in last.items()
            if name.startswith(_VALIDATION) and value is not None
        },
        step_s=seconds / sum(steps for steps, _ in speeds),
    )


def finished(out: Path) -> list[Result]:
    """The results of all trainings that have ended in a folder, also in earlier runs, in the order of their seeds."""
    files = [json.loads(path.read_text()) for path in sorted(out.glob(f"*/*/*/{RESULT_FILE}"))]
    return sorted((Result(**fields) for fields in files), key=lambda one: (one.name, one.seed))


def _called(training: Training) -> str:
    return f"{training.name}, {training.variant}, seed {training.seed}"
