"""Runs a target on many changed inputs in processes of their own, and says which ended otherwise than promised."""

import os
import random
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutate import mutated

_BATCH = 500
_MEMORY_BYTES = 4 << 30  # more than the process has at the start
_HANG_S = 20


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    run: called with the data, and a folder that it may write to. promised: the exceptions that a user's command turns
    into a sentence. seeds: good inputs.
    """

    name: str
    run: Callable[[bytes, Path], object]
    promised: tuple[type[BaseException], ...]
    seeds: Sequence[bytes]


@dataclass
class Report:
    """Executions of a target, how many were refused as promised, and what else happened, each with an input."""

    name: str
    executions: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: dict[str, bytes] = field(default_factory=dict)


def fuzz(target: Target, executions: int, seed: int = 0) -> Report:
    """Run a target that often, in batches; a batch that dies is one finding."""
    report = Report(target.name)
    began = time.monotonic()
    first = 0
    while first < executions:
        count = min(_BATCH, executions - first)
        _run_batch(target, seed + first, count, report)
        first += count
    report.seconds = time.monotonic() - began
    return report


def _run_batch(target: Target, first: int, count: int, report: Report) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        child = os.fork()
        if child == 0:
            _work(target, first, count, folder)
        _, status = os.waitpid(child, 0)
        _read_log(target, (folder / "log").read_text().splitlines(), report)
        if status == 0:
            return
        last = int((folder / "now").read_text())
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    ended = signal.Signals(signalled).name if signalled else f"exit {os.WEXITSTATUS(status)}"
    report.findings.setdefault(f"the process ended: {ended}", _input(target, last))
    done = last - first + 1
    report.executions += done
    if done < count:
        _run_batch(target, last + 1, count - done, report)


def _read_log(target: Target, lines: Sequence[str], report: Report) -> None:
    for line in lines:
        what, number, *sentence = line.split(" ", 2)
        match what:
            case "done":
                report.executions += int(number)
            case "refused":
                report.refused += int(number)
            case _:
                report.findings.setdefault(sentence[0], _input(target, int(number)))


def _input(target: Target, number: int) -> bytes:
    return mutated(target.seeds, random.Random(number))


def _work(target: Target, first: int, count: int, folder: Path) -> None:
    """In the child: run the inputs, and end it."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY_BYTES, size + _MEMORY_BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    work = folder / "work"
    work.mkdir()
    now = os.open(folder / "now", os.O_CREAT | os.O_WRONLY)
    refused = 0
    with (folder / "log").open("w", buffering=1) as log:  # what a killed process wrote must be there
        for number in range(first, first + count):
            os.pwrite(now, f"{number:<20}".encode(), 0)
            signal.alarm(_HANG_S)
            try:
                target.run(_input(target, number), work)
            except target.promised:
                refused += 1
            except BaseException as error:  # noqa: BLE001 (whatever else it is, it is a finding)
                place = traceback.extract_tb(error.__traceback__)[-1]
                log.write(f"finding {number} {type(error).__name__} at {place.filename}:{place.lineno}\n")
        signal.alarm(0)
        log.write(f"done {count}\nrefused {refused}\n")
    os._exit(0)
