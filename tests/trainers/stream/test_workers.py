"""What workers do when the process that reads the stream is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trainers.small_shards import write_set

_SCRIPT = """
import multiprocessing, sys, time
from tests.trainers.small_shards import collate, prepare
from facerefs.trainers.stream.stream import Source, Stream

if __name__ == "__main__":
    stream = Stream([Source(sys.argv[1])], 4, prepare, collate, workers=2, start_method=sys.argv[2])
    next(stream)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("start_method", ["forkserver", "fork"])
def test_workers_end_when_the_process_that_reads_is_killed(tmp_path: Path, start_method: str) -> None:
    script = tmp_path / "read.py"
    script.write_text(_SCRIPT)
    command = [sys.executable, str(script), str(write_set(tmp_path / "set")), start_method]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    assert len(workers) == 2
    deadline = time.monotonic() + 15
    while any(map(_lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_lives, workers))


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


_TERMINATED = """
import os, signal, sys, time
from tests.trainers.small_shards import collate, prepare
from facerefs.trainers.stream.stream import Source, Stream

def slowly(draw, files):
    if draw.position >= 8:
        time.sleep(1)  # 4 s for a batch, and torch looks for the dead after 2 s
    return prepare(draw, files)

if __name__ == "__main__":
    stream = Stream([Source(sys.argv[1])], 4, slowly, collate, workers=1, prefetch=1)
    next(stream)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
    for _ in range(3):
        next(stream)
    print("still here")
"""


def test_a_sigterm_to_all_processes_does_not_take_the_workers_from_a_reader_that_goes_on(
    tmp_path: Path,
) -> None:
    script = tmp_path / "read.py"
    script.write_text(_TERMINATED)
    done = subprocess.run(
        [sys.executable, str(script), str(write_set(tmp_path / "set"))],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "still here\n"), done.stderr


STRAY = """
import signal, time
from multiprocessing import get_context
from facerefs.trainers.stream.workers.workers import _TimeoutIterator

def work(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    time.sleep(600)

class Loaded:
    def __init__(self, workers):
        self._workers = workers
    def __iter__(self):
        return self
    def __next__(self):
        return 1

if __name__ == "__main__":
    context = get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=work, args=(ready,), daemon=True)
    worker.start()
    ready.wait(60)
    print(next(_TimeoutIterator(Loaded([worker]), 1.0)))  # which is dropped here, and the worker with it
"""


def test_python_ends_though_a_worker_outlived_its_dropped_stream(tmp_path: Path) -> None:
    """As happens if a thread still waits for a batch: the worker ignores SIGTERM, and Python waits for its children."""
    (tmp_path / "stray.py").write_text(STRAY)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(tmp_path / "stray.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
