"""A driver for tests with a cluster: `python -m tests.pipeline.runner.on_cluster ADDRESS OUT FILES MARKS DIES_AT`."""

import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from facerefs.pipeline.runner.cluster import check_cluster
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.schemas.arrays import Int64s
from facerefs.stages.executor import Shared
from tests.pipeline.runner.toy import Marked

_PIECES = 24


def product(died: Path, shared: Shared[Int64s], number: int) -> tuple[int, str]:
    """A number and the node that multiplied it; the first worker dies at the seventh piece."""
    if number == 7 and not died.exists():
        died.touch()
        os._exit(1)
    time.sleep(0.1)
    return number * int(shared.get()[0]), os.environ["TEST_NODE"]


def spread(address: str, marks: Path) -> Iterator[str]:
    """Lines on pieces that all nodes of the cluster have done."""
    lost: list[str] = []
    pool = RayWorkers(1, address, is_count_given=False).pieces(1 << 24, lost.append)
    assert pool is not None
    work = partial(product, marks / "piece died", pool.share(np.array([3])))
    done = list(pool.map(work, ((number,) for number in range(_PIECES))))
    assert [number for number, _ in done] == [3 * number for number in range(_PIECES)]
    yield f"pieces on {' '.join(sorted({node for _, node in done}))}, lost {len(lost)}"


if __name__ == "__main__":
    address, out, files, marks, dies_at = sys.argv[1:]
    check_cluster(address)
    from tests.pipeline.runner.test_runner import run

    print(run(out, Path(files), stage=Marked(marks=marks, dies_at=dies_at), address=address))  # noqa: T201
    print(*spread(address, Path(marks)))  # noqa: T201
