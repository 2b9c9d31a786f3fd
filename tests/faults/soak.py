"""`python -m tests.faults.soak`: commands are killed at random moments, and disks are full; then they run again.

Each round copies a small build, starts a command in a process group of its own, kills the group with SIGKILL after a
random time, runs the command to its end, and compares every file with what an undisturbed run leaves. Then builds run
onto disks that are too small (a tmpfs, which only root can make), which then grow. Prints a table.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.folders import contents

_SETTINGS = ("--set", "shard.val_share=0", "--set", "shard.test_share=0", "--set", "analyse.min_face_px=48")
_NEVER_SAME = ("log.jsonl", "removals/", "removed.json", ".lock", "runs/")


@dataclass(frozen=True)
class Command:
    """A command that is killed. start: the folder that it begins with, None for an empty one."""

    name: str
    words: tuple[str, ...]
    start: str | None


@dataclass
class Tally:
    """What happened in the rounds of a command."""

    rounds: int = 0
    killed: int = 0  # the others had ended before
    same: int = 0
    faults: list[str] = field(default_factory=list)


def run(words: Sequence[str], folder: Path, kill_after_s: float | None = None) -> tuple[int, str]:
    """The exit status and the output of a command; -9 if it was killed."""
    entry = [sys.executable, "-c", "import sys; from facerefs.pipeline.cli import main; sys.exit(main())"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        [*entry, *words], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=kill_after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return -9, ""
    return process.returncode, output


def result(folder: Path) -> dict[str, bytes]:
    """The files of a build that must be the same, however it came to be."""
    return {name: data for name, data in contents(folder).items() if not name.startswith(_NEVER_SAME)}


def commands() -> list[Command]:
    """What is killed."""
    build = ("build", "photos", "--out", "build", *_SETTINGS)
    return [
        Command("build", build, None),
        Command("build on two workers", (*build, "--workers", "2"), None),
        Command("build, more photos", ("build", "more", "--out", "build", *_SETTINGS, "--update"), "build"),
        Command("purge", ("purge", "build", "--person", "person-001"), "build"),
        Command("merge", ("merge", "build", "other", "--out", "merged"), "build"),
    ]


def main() -> int:
    """Kill and compare; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="Of each command.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    bad = False
    with tempfile.TemporaryDirectory() as name:
        base = _prepared(Path(name))
        sys.stdout.write(
            "| killed | rounds | killed in time | same bytes afterwards | otherwise |\n|---|---|---|---|---|\n"
        )
        for command in commands():
            bad |= _said(command.name, _soak(command, base, options.rounds, rng))
        if os.getuid() == 0:
            bad |= _said("disk full: build", _full_disks(commands()[0], base, options.rounds, rng))
    return int(bad)


def _said(name: str, tally: Tally) -> bool:
    """Print a line of the table; returns whether there were faults."""
    faults = "; ".join(sorted(set(tally.faults))) or "nothing"
    sys.stdout.write(f"| {name} | {tally.rounds} | {tally.killed} | {tally.same} | {faults} |\n")
    sys.stdout.flush()
    return bool(tally.faults)


def _prepared(folder: Path) -> Path:
    """A folder with photos, more photos, and builds of them."""
    base = folder / "work"
    list(write_people(base / "photos", identities=3, per_identity=3, size_px=320, seed=3))
    list(write_people(base / "others", identities=2, per_identity=2, size_px=320, seed=4))
    shutil.copytree(base / "photos", base / "more")
    for path in sorted((base / "others").rglob("*.jpg")):
        target = base / "more" / f"new-{path.parent.name}"
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.name)
    for source, out in (("photos", "build"), ("others", "other")):
        status, output = run(("build", source, "--out", out, *_SETTINGS), base)
        if status != 0:
            raise RuntimeError(output)
    return base.rename(folder / "base")


def _soak(command: Command, base: Path, rounds: int, rng: random.Random) -> Tally:
    tally = Tally()
    began = time.monotonic()
    with _copy(base, command) as undisturbed:
        status, output = run(command.words, undisturbed)
        if status != 0:
            raise RuntimeError(f"{command.name}: {output}")
        wanted = result(undisturbed / _out(command))
    duration_s = time.monotonic() - began
    for _ in range(rounds):
        tally.rounds += 1
        with _copy(base, command) as folder:
            # From before the first file until shortly after the end.
            status, _ = run(command.words, folder, kill_after_s=rng.uniform(0.1, 1.05) * duration_s)
            tally.killed += status == -9
            status, output = run(command.words, folder)
            if status != 0:
                tally.faults.append(f"exit {status}: {output.strip().splitlines()[-1][:200]}")
                continue
            found = result(folder / _out(command))
            if found == wanted:
                tally.same += 1
            else:
                names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
                tally.faults.append(f"other bytes in {', '.join(names[:3])}")
    return tally


def _full_disks(command: Command, base: Path, rounds: int, rng: random.Random) -> Tally:
    """As `_soak`, on a disk of random size, which then gets room; `killed` counts builds that ended for want of it."""
    tally = Tally()
    with _copy(base, command) as undisturbed:
        run(command.words, undisturbed)
        wanted = result(undisturbed / "build")
    needed_kb = sum(map(len, wanted.values())) // 1024
    for _ in range(rounds):
        tally.rounds += 1
        with _copy(base, command) as folder:
            disk = folder / "build"
            disk.mkdir()
            size_kb = rng.randrange(16, needed_kb)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "none", disk], check=True)
            try:
                status, output = run(command.words, folder)
                tally.killed += status != 0
                if status == 0 or "Traceback" in output:
                    tally.faults.append(
                        f"{size_kb} kB, exit {status}: {output.strip().splitlines()[-1][:200]}"
                    )
                subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
                status, output = run(command.words, folder)
                if status == 0 and result(disk) == wanted:
                    tally.same += 1
                else:
                    tally.faults.append(f"afterwards, exit {status}: {output.strip().splitlines()[-1][:200]}")
            finally:
                subprocess.run(["umount", disk], check=True)
    return tally


def _out(command: Command) -> str:
    return "merged" if command.name == "merge" else "build"


@contextmanager
def _copy(base: Path, command: Command) -> Iterator[Path]:
    """A copy of the base folder, without the builds if the command begins with nothing.

    Always at the same path, since a build says where its photos lie.
    """
    folder = base.parent / "work"
    folder.mkdir()
    for path in base.iterdir():
        if command.start is not None or path.name not in ("build", "other"):
            shutil.copytree(path, folder / path.name)
    yield folder
    shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
