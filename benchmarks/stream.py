"""Samples/s of two workers, target and one reference in batches of 16: our stream against three other loaders.

All read the same bytes, in random order, and decode with simplejpeg; every run is a process of its own.
mosaicml-streaming and litdata have an environment of their own. Make it once with
`python3.11 -m venv .venv-stream && .venv-stream/bin/pip install torch==2.13.0 torchvision==0.28.0 simplejpeg
mosaicml-streaming==0.13.0 litdata==0.2.76`, or name its Python in STREAM_PEERS.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paired import Comparison, write
from benchmarks.stream_set import make_set

_ABSENT = 3  # exit status of a peer that is not installed
_LONGEST_S = 120.0
_OURS = {"decoded": ("decoded", "faces"), "bytes": ("bytes",)}  # our ways to do what the peers do
_TITLES = {"decoded": "decoded", "faces": "face batches, peers decoded only", "bytes": "not decoded"}


@dataclass(frozen=True)
class Speed:
    """Of one run, once it ran evenly."""

    samples_s: float
    cpu_ms: float  # per sample, of all processes


def compare(folder: Path, case: str, rounds: int, seconds: float) -> list[Comparison]:
    """Ours and each peer in turn, round after round."""
    commands = _commands(case)
    runs: dict[str, list[Speed]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            load = os.getloadavg()[0]
            speed = _run([*command, str(folder), str(seconds)])
            if speed is None:
                print(f"stream: {name} is left out: {command[0]} does not have it. {__doc__}")
                continue
            runs[name].append(speed)
            print(
                f"{_TITLES[case]}, {name}: {speed.samples_s:.0f} samples/s, {speed.cpu_ms:.2f} CPU-ms per sample; "
                f"load of the machine before: {load:.1f}",
                flush=True,
            )
        commands = {name: command for name, command in commands.items() if runs[name]}
    peers = [name for name in commands if name not in _TITLES]
    return [
        line for ours in _OURS[case] for peer in peers for line in _lines(ours, peer, runs[ours], runs[peer])
    ]


def _commands(case: str) -> Mapping[str, list[str]]:
    own = {name: [sys.executable, "-m", "benchmarks.stream_ours", name] for name in _OURS[case]}
    peers = {
        name: [python, "-m", "benchmarks.stream_peers", name, case]
        for name, python in (
            ("webdataset", sys.executable),
            ("mosaicml-streaming", _peers_python()),
            ("litdata", _peers_python()),
        )
    }
    return own | peers


def _run(command: list[str]) -> Speed | None:
    """None if the loader is not installed. Raises SystemExit if it fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)  # noqa: S603 (our own modules)
    if done.returncode == _ABSENT:
        return None
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return Speed(**json.loads(done.stdout.splitlines()[-1]))


def _lines(ours: str, peer: str, own: list[Speed], theirs: list[Speed]) -> list[Comparison]:
    """Ratios above 1 are in our favour."""
    name = f"stream, {_TITLES[ours]}, {peer}"
    pairs = list(zip(own, theirs, strict=True))
    wall = _line(
        name,
        "samples/s",
        [(a.samples_s, b.samples_s) for a, b in pairs],
        [a.samples_s / b.samples_s for a, b in pairs],
    )
    cpu = _line(
        f"{name}, CPU",
        "ms/sample",
        [(a.cpu_ms, b.cpu_ms) for a, b in pairs],
        [b.cpu_ms / a.cpu_ms for a, b in pairs],
    )
    for line in (wall, cpu):
        print(
            f"{line.case}: ours {line.ours:.2f}, peer {line.peer:.2f} {line.unit}, "
            f"ratio {line.ratio:.2f} ({line.low:.2f} to {line.high:.2f})"
        )
    return [wall, cpu]


def _line(name: str, unit: str, figures: list[tuple[float, float]], ratios: list[float]) -> Comparison:
    own, theirs = zip(*figures, strict=True)
    return Comparison(
        case=name,
        ours=statistics.median(own),
        peer=statistics.median(theirs),
        unit=unit,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
    )


def _peers_python() -> str:
    return os.environ.get("STREAM_PEERS", ".venv-stream/bin/python")


def main() -> None:
    """Print what each run reaches, and write benchmarks/out/stream.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="keep the set here, and take it from here the next time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        if not (folder / "samples" / "manifest.json").exists():
            make_set(folder)
        write(
            "stream",
            [line for case in _OURS for line in compare(folder, case, chosen.rounds, chosen.seconds)],
        )


if __name__ == "__main__":
    main()
