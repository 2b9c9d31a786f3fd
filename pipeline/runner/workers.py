"""The workers that part stages run on: Ray actors, local or on a cluster, started only when there is enough work."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.runner.cluster import check_cluster
from facerefs.pipeline.runner.in_process import results_in_process
from facerefs.pipeline.runner.part_pool import PartDone, PartPool, PartTask, Worker, last_line
from facerefs.pipeline.runner.piece_pool import PiecePool


@dataclass
class RayWorkers:
    """Runs parts on `count` Ray actors, on this machine or on the Ray cluster at `address`."""

    count: int
    address: str | None = None
    verbose: bool = False
    is_count_given: bool = True  # False: on a cluster, one worker for each CPU
    rows_in_process: int = 0  # a stage with at most so many rows to do is run in this process, without Ray

    def map_parts(
        self, worker: Worker, tasks: Sequence[PartTask], say: Callable[[str], None]
    ) -> Iterator[PartDone]:
        """Results of `worker.work(task)`, in the order in which the parts finish.

        say: called with what was lost on the way. Raises RunError, naming the cause, if a part fails (a bad photo is a
        rejected row, not a failure); UserError if there is no GPU for a worker that needs one.
        """
        if self._is_small(worker, tasks):
            yield from results_in_process(worker, tasks)
            return
        self.start()
        import ray

        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray has none here
        if worker.gpus > there.get("GPU", 0):
            raise UserError(f"a worker needs {worker.gpus:g} GPU, and Ray finds none: set analyse.device=cpu")
        yield from PartPool(worker, self.size, say).results(tasks)

    def _is_small(self, worker: Worker, tasks: Sequence[PartTask]) -> bool:
        counts = [task.rows for task in tasks if task.rows is not None]
        is_known = len(counts) == len(tasks)
        return is_known and sum(counts) <= self.rows_in_process and self.address is None and not worker.gpus

    def pieces(self, memory_bytes: int, say: Callable[[str], None]) -> PiecePool | None:
        """What runs pieces of a whole stage, which has so much memory; None if this machine has a single worker.

        Ray starts with the first piece. say: called with what was lost on the way.
        """
        if self.address in (None, "local") and self.count == 1:
            return None
        return PiecePool(self.start, self.size, memory_bytes, say)

    def size(self) -> int:
        """How many workers there are to be; on a cluster without --workers one for each CPU, also of new nodes."""
        import ray

        if self.address not in (None, "local") and not self.is_count_given:
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            self.count = max(int(resources.get("CPU", 1)), 1)
        return self.count

    def start(self) -> None:
        """Start Ray on this machine, or join the cluster; does nothing if that has been done.

        Raises UserError if no cluster answers at the address.
        """
        if self.address not in (None, "local") and "ray" not in sys.modules:
            check_cluster(self.address)
        import ray

        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is ever sent anywhere
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        level = logging.INFO if self.verbose else logging.ERROR
        if self.address not in (None, "local"):
            self._join(self.address, level)
            return
        ray.init(
            address="local",
            num_cpus=self.count,
            include_dashboard=False,
            log_to_driver=self.verbose,
            logging_level=level,
        )

    def _join(self, address: str, level: int) -> None:
        import ray

        packages = {"py_modules": [_our_package()]}
        try:
            ray.init(address=address, runtime_env=packages, log_to_driver=self.verbose, logging_level=level)
        except (OSError, RuntimeError, ValueError, SystemExit) as error:  # Ray ends the process for some
            raise UserError(
                f"cannot join the Ray cluster at --address {address}: {last_line(str(error))}"
            ) from None


def _our_package() -> str:
    """The folder `facerefs`, which Ray sends to the workers of a cluster."""
    return str(Path(__file__).parents[2])  # of the package as it was imported, by way of its links
