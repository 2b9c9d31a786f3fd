"""The workers that part stages run on: Ray actors, local or on a cluster, started only when there is work."""

import logging
import os
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.runner.cluster import check_cluster


@dataclass(frozen=True)
class PartTask:
    """One part to make; if the fingerprint is empty, the worker finds out whether the part is the same as before."""

    name: str
    fingerprint: str


class PartDone(NamedTuple):
    """The number of rows of a part that is made, and how many of them are rejected, or copied from earlier parts."""

    rows: int
    rejected: int
    copied: int = 0
    kept: bool = False  # it was the same as before, and is not made again


class Worker(Protocol):
    """What runs in an actor: makes one part after the other."""

    @property
    def cpus(self) -> float:
        """CPUs that one worker takes."""

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""

    def setup(self) -> None:
        """Load models."""

    def work(self, task: PartTask) -> PartDone:
        """Make one part."""


@dataclass
class RayWorkers:
    """Runs parts on `count` Ray actors, on this machine or on the Ray cluster at `address`."""

    count: int
    address: str | None = None
    verbose: bool = False

    def map_parts(self, worker: Worker, tasks: Sequence[PartTask]) -> Iterator[PartDone]:
        """Results of `worker.work(task)`, in the order in which the parts finish.

        Raises RunError, naming the cause, if a part fails (a bad photo is a rejected row, not a failure); UserError
        if there is no GPU for a worker that needs one.
        """
        import ray
        from ray.data import ActorPoolStrategy, DataContext
        from ray.exceptions import RayError

        self.start()
        logging.getLogger("ray.data").setLevel(logging.INFO if self.verbose else logging.ERROR)
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray has none here
        if worker.gpus > there.get("GPU", 0):
            raise UserError(f"a worker needs {worker.gpus:g} GPU, and Ray finds none: set analyse.device=cpu")
        context = DataContext.get_current()
        context.enable_progress_bars = self.verbose
        context.execution_options.verbose_progress = self.verbose
        context.execution_options.preserve_order = False
        size = min(self.count, len(tasks))
        items = ray.data.from_items([asdict(task) for task in tasks], override_num_blocks=len(tasks))
        with warnings.catch_warnings():
            # Ray has no other way yet to say `max_restarts`, though it will take this one away (2.64).
            warnings.simplefilter("ignore", category=DeprecationWarning)
            results = items.map_batches(
                PartActor,
                fn_constructor_args=(worker,),
                batch_size=1,
                batch_format="numpy",
                compute=ActorPoolStrategy(size=size),
                num_cpus=worker.cpus,
                num_gpus=worker.gpus or None,
                # Ray would restart a worker that dies for ever: better an error.
                ray_remote_args_fn=lambda: {"max_restarts": 0, "max_task_retries": 0},
            )
        try:
            for row in results.iter_rows():
                if row["failure"]:
                    raise RunError(f"part {row['part']} failed: {last_line(row['failure'])}", row["failure"])
                yield PartDone(int(row["rows"]), int(row["rejected"]), int(row["copied"]), bool(row["kept"]))
        except RayError as error:
            raise RunError(f"Ray stopped the workers: {last_line(str(error))}", str(error)) from error

    def start(self) -> None:
        """Start Ray on this machine, or join the cluster; does nothing if that has been done.

        Raises UserError if no cluster answers at the address.
        """
        import ray

        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is ever sent anywhere
        os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "0" if self.verbose else "1")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        level = logging.INFO if self.verbose else logging.ERROR
        if self.address not in (None, "local"):
            self._join(self.address, level)
            return
        # One CPU more than actors: an operator beside a pool that takes all CPUs would wait for ever
        # (Ray issue 44687).
        ray.init(
            address="local",
            num_cpus=self.count + 1,
            include_dashboard=False,
            log_to_driver=self.verbose,
            logging_level=level,
        )

    def _join(self, address: str, level: int) -> None:
        import ray

        check_cluster(address)
        packages = {"py_modules": [_our_package()]}
        try:
            ray.init(address=address, runtime_env=packages, log_to_driver=self.verbose, logging_level=level)
        except (OSError, RuntimeError, ValueError, SystemExit) as error:  # Ray ends the process for some
            raise UserError(
                f"cannot join the Ray cluster at --address {address}: {last_line(str(error))}"
            ) from None


class PartActor:
    """A Ray Data actor around a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        worker.setup()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        tasks = list(map(PartTask, batch["name"].tolist(), batch["fingerprint"].tolist()))
        done = [self._try(task) for task in tasks]
        return {
            "part": [task.name for task in tasks],
            "rows": [part.rows for part, _ in done],
            "rejected": [part.rejected for part, _ in done],
            "copied": [part.copied for part, _ in done],
            "kept": [part.kept for part, _ in done],
            "failure": [failure for _, failure in done],
        }

    def _try(self, task: PartTask) -> tuple[PartDone, str]:
        try:
            return self._worker.work(task), ""
        except Exception:  # noqa: BLE001 (an error of ours: the driver gets the traceback and ends the run)
            return PartDone(0, 0), traceback.format_exc()


def _our_package() -> str:
    """The folder `facerefs`, which Ray sends to the workers of a cluster."""
    return str(Path(__file__).parents[2])  # of the package as it was imported, by way of its links


def last_line(text: str) -> str:
    """The last line of a traceback, which names the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")
