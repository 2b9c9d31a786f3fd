"""What a command costs from its start to its end, with all processes that it starts (Linux)."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 900.0
_SAMPLE_S = 0.05
_SHARE = 0.05  # of a core's time, at most, goes into looking
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Wall seconds, CPU seconds (user and system), and the most memory at once in MB (10^6 bytes).

    Memory is the sum of the processes' PSS: what several share is counted once.
    """

    seconds: float
    cpu_s: float
    peak_mb: float


def cost(command: list[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command, and look at it and its descendants every 50 ms, or less often if that takes long.

    What a process does after the last look at it is missed. Processes that outlive the command are waited for,
    without counting. Raises SystemExit if it fails, or takes longer than LONGEST_S.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans become our children, so none is lost
    others = _descendants()
    cpu_s: dict[tuple[int, str], float] = {}  # by process: its id, and its start, since ids are used again
    peak_mb = 0.0
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)  # noqa: S603 (the caller's own)
    while process.poll() is None:
        looked = time.thread_time()
        if time.monotonic() - started > LONGEST_S:
            _kill(_descendants() - others)
            raise SystemExit(f"{command[0]} hangs:\n{_end(log)}")
        pids = _descendants() - others
        cpu_s.update(filter(None, map(_cpu_s, pids)))
        peak_mb = max(peak_mb, sum(map(_pss_mb, pids)))
        time.sleep(max(_SAMPLE_S, (time.thread_time() - looked) / _SHARE))
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"{command[0]} failed with {process.returncode}:\n{_end(log)}")
    while left := _descendants() - others:
        if time.monotonic() - started > LONGEST_S:
            _kill(left)
            raise SystemExit(f"{command[0]} left processes behind: {sorted(left)}")
        os.waitpid(-1, os.WNOHANG)
        time.sleep(_SAMPLE_S)
    return Cost(seconds, sum(cpu_s.values()), peak_mb)


def _descendants() -> set[int]:
    """All processes below this one."""
    parents = {pid: int(stat[1]) for pid in _pids() if (stat := _stat(pid))}
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]  # noqa: PTH208 (20 times a second)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty if the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> tuple[tuple[int, str], float] | None:
    stat = _stat(pid)
    return ((pid, stat[19]), (int(stat[11]) + int(stat[12])) / _TICKS) if stat else None


def _pss_mb(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has gone, or is about to
        return 0.0
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024 / 1e6


def _kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
