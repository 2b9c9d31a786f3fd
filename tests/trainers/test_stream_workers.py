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
from trainers.stream.stream import Source, Stream

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
