"""`facerefs train`: train a model from the user's options, and report how the run ended."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.storage.lock import locked
from facerefs.pipeline.training.job import Job, TrainOptions, check_not_foreign, check_options, write_settings
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.distributed import joined, rank_from_env
from facerefs.trainers.loop.checkpoint import checkpoints
from facerefs.trainers.loop.nan_guard import Diverged
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.loop.stopping import asked_to_stop
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.train import CannotTrain, TrainingResult, train


def train_command(options: TrainOptions, console: Console) -> None:
    """Check the options, then train. Raises UserError, RunError, and KeyboardInterrupt if it was stopped."""
    rank, world_size, _ = rank_from_env()
    check_local(options.run, "--run")
    run = options.run.absolute()
    check_not_foreign(run)
    with locked(run) if rank == 0 else nullcontext():
        job, changes = check_options(options, run)
        announce: Callable[[str], None] = _to(console) if rank == 0 else _nobody
        for change in changes:
            announce(f"changed     {change}")
        try:
            if options.workers == 1 and options.address is None:
                outcome = _train_here(job, announce)
            elif world_size > 1:
                raise UserError("torchrun starts the workers itself: leave out --workers and --address")
            else:
                from facerefs.pipeline.training.ray_train import train_on_ray

                outcome = train_on_ray(job, options.workers, options.address, options.verbose, announce)
        except (CannotTrain, MissingWeights) as error:
            raise UserError(str(error)) from None
        except (StreamError, OSError) as error:  # shards that became unreadable, a full disk
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
            f"stopped     at step {outcome.step}, nothing is lost: the same command with --resume continues"
        )
        raise KeyboardInterrupt
    announce(f"trained     {outcome.step} steps: {run}")


def _way_on(run: Path) -> str:
    """What to do after the cause of a failure is fixed."""
    if kept := checkpoints(run / CHECKPOINTS_FOLDER):
        return f"Fix that: {kept[-1].name} is kept, and the same command with --resume continues from there"
    return "There is no checkpoint yet: fix that, and run the same command again"


def _train_here(job: Job, announce: Callable[[str], None]) -> TrainingResult:
    rank, world_size, local = rank_from_env()
    device = torch.device("cuda", local) if job.device == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    begin = partial(write_settings, job)
    with joined(device, rank, world_size) as ranks, asked_to_stop() as stop:
        return train(job.name, job.model, job.places, job.run, job.resume, ranks, announce, stop, begin)


def _to(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, highlight=False)


def _nobody(_line: str) -> None:
    """Print nothing: for all ranks except the first."""
