"""All that only a GPU can tell, in less than 9 minutes: `make gpu`.

The tests marked `gpu`; degradation and stream; and for each model at 512 px the time of a step, memory, and the share
of time that it waits for data, with and without bfloat16, channels-last and compiling. Each part is a process of its
own with a time limit: one that fails or takes too long is a line with its reason; what it had said before is kept.
Prints tables, and writes benchmarks/out/gpu.json. Without a GPU it ends with status 2.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_model import WAYS
from benchmarks.paired import OUT
from benchmarks.stream_set import make_set
from facerefs.trainers.models.catalogue import MODULES

TOTAL_S = 520.0
_TESTS_S, _DEGRADE_S, _STREAM_S, _LEAST_S = 90.0, 75.0, 60.0, 15.0
_DIMENSIONS = 128  # dlib's
_PYTHON = (sys.executable, "-m")


@dataclass(frozen=True)
class Part:
    """The end of one part. said: its lines on standard output; reason: why it did not end well."""

    name: str
    seconds: float
    said: tuple[str, ...]
    reason: str = ""


def run_part(name: str, command: Sequence[str], longest_s: float) -> Part:
    """Run a command until its end, or for `longest_s`; what it started ends with it."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        process = subprocess.Popen(command, stdout=said, stderr=complained, start_new_session=True)  # noqa: S603
        reason = ""
        try:
            if process.wait(longest_s):
                reason = f"it ended with status {process.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"it was stopped after {longest_s:.0f} s"
        finally:
            _end(process)
        said.seek(0)
        complained.seek(0)
        if reason and (last := complained.read().strip().splitlines()):
            reason += f": {last[-1][:200]}"
        return Part(name, time.perf_counter() - began, tuple(said.read().splitlines()), reason)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def rows_of(part: Part) -> list[dict[str, Any]]:
    """The costs that a model's part printed, and a row with the reason for each way of which it printed nothing."""
    rows = [json.loads(line) for line in part.said if line.startswith("{")]
    if part.reason:
        done = {row["way"] for row in rows}
        rows += [
            {"model": part.name, "part": "", "way": way, "reason": part.reason}
            for way in WAYS
            if way not in done
        ]
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| model | way | batch | step | memory | waiting |", f"|{'---|' * 6}"]
    for row in rows:
        name = ", ".join(filter(None, (f"`{row['model']}`", row["part"])))
        if row["reason"]:
            lines.append(f"| {name} | {row['way']} | {row['reason']} | | | |")
            continue
        memory = "" if row["memory_gb"] is None else f"{row['memory_gb']:.1f} GB"
        lines.append(
            f"| {name} | {row['way']} | {row['batch']} | {row['step_ms']:.0f} ms | {memory} | "
            f"{row['waiting_share']:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run all parts, print the tables, and write benchmarks/out/gpu.json."""
    if not torch.cuda.is_available():
        print("gpu: torch finds no NVIDIA GPU here; run this on a machine that has one", file=sys.stderr)
        raise SystemExit(2)
    ends = time.perf_counter() + TOTAL_S
    with tempfile.TemporaryDirectory() as folder:
        place = make_set(Path(folder), dimensions=_DIMENSIONS)
        tests = [*_PYTHON, "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
        stream = [*_PYTHON, "benchmarks.stream", "--rounds", "1", "--seconds", "5", "--folder", folder]
        parts = [
            _told(run_part("tests", tests, _TESTS_S)),
            _told(run_part("degrade", [*_PYTHON, "benchmarks.degrade", "--gpu-only"], _DEGRADE_S)),
            _told(run_part("stream", stream, _STREAM_S)),
        ]
        rows: list[dict[str, Any]] = []
        for number, name in enumerate(MODULES):
            share_s = max(_LEAST_S, (ends - time.perf_counter()) / (len(MODULES) - number))
            part = run_part(name, [*_PYTHON, "benchmarks.gpu_model", name, str(place)], share_s)
            rows += rows_of(part)
    print(table(rows))
    OUT.mkdir(exist_ok=True)
    found = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "parts": [asdict(part) for part in parts],
        "models": rows,
    }
    (OUT / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")


def _told(part: Part) -> Part:
    """The part, whose last lines are printed."""
    end = f" ({part.reason})" if part.reason else ""
    print(f"{part.name}: {part.seconds:.0f} s{end}", *part.said[-20:], sep="\n", flush=True)
    return part


if __name__ == "__main__":
    main()
