"""Makes the parts of small jobs in this process: Ray takes longer to start than they do."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.runner.part_pool import PartDone, PartTask, Worker, failure_text, last_line

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)  # of libraries that are loaded later


def results_in_process(worker: Worker, tasks: Sequence[PartTask]) -> Iterator[PartDone]:
    """The result of each part, one after the other, with the bytes that a Ray worker makes.

    Raises RunError, naming the cause, if a part fails.
    """
    with one_thread():
        worker.setup()
    for task in tasks:
        with one_thread():
            try:
                done = worker.work(task)
            except Exception as error:
                failure = failure_text(error)
                details = failure if "\n" in failure else ""
                raise RunError(f"part {task.name} failed: {last_line(failure)}", details) from error
        yield done


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each library that computes, as Ray's workers have: sums are rounded in the same order."""
    torch = sys.modules.get("torch")
    torch_threads = torch.get_num_threads() if torch else None
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with threadpool_limits(1):
            if torch:
                torch.set_num_threads(1)
            yield
    finally:
        if torch:
            torch.set_num_threads(torch_threads)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
