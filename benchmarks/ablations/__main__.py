"""`python -m benchmarks.ablations`."""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

import benchmarks.ablations as package
from benchmarks.ablations.arms import WITHOUT, arms_of, known_arms
from benchmarks.ablations.pictures import beneath
from benchmarks.ablations.run import Result, finished, train_all
from benchmarks.ablations.tables import comparisons, markdown, means, verdicts
from benchmarks.ablations.trainings import folder_of, trainings, without_ablation
from benchmarks.paired import OUT
from facerefs.pipeline.errors import UserError
from facerefs.trainers.loop.log import GRIDS_FOLDER
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.shards import open_shards

_LEAST_FACES = 200  # held-out ones; fewer are told


def main() -> None:
    """Train what is not trained yet, and write tables, pictures and figures of all that has ended."""
    words = _words()
    say = Console(soft_wrap=True).print
    for name in without_ablation():
        say(f"{name} is left out: no setting in WITHOUT takes away its idea")
    place, out = _place(words.data), words.out or words.data / "runs" / "ablations"
    try:
        faces = len(open_shards(place, "val"))
        every = [
            training
            for seed in range(words.seeds)
            for name in words.models
            for training in trainings(
                name, arms_of(name, words.arms), seed, out, words.steps, faces, words.set
            )
        ]
        waiting = [training for training in every if not training.is_done()]
    except (UserError, StreamError, ValueError) as error:
        print(f"ablations: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    until_s = math.inf if words.budget_minutes is None else time.time() + 60 * words.budget_minutes
    whole = train_all(waiting, str(place), words.jobs, until_s)
    done = sum(training.is_done() for training in every)
    write(finished(out), out)
    say(f"{done} of {len(every)} trainings are done, judged on {faces} held-out faces; they stay in {out}")
    if faces < _LEAST_FACES:
        say(f"{faces} held-out faces are few: build with a larger shard.val_share for {_LEAST_FACES} or more")
    raise SystemExit(0 if whole else 1)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablations",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="SET")
    parser.add_argument("--models", nargs="+", choices=WITHOUT, default=list(WITHOUT))
    parser.add_argument("--arms", nargs="+", default=["main"], help="their settings, `main` or `all`")
    parser.add_argument("--seeds", type=int, default=10, help="trainings of each arm")
    parser.add_argument("--steps", type=int, help="of each training; those of its preset if not given")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of all arms")
    parser.add_argument("--budget-minutes", type=float, help="stop then; a second run goes on")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--out", type=Path, help="SET/runs/ablations if not given")
    words = parser.parse_args()
    known = known_arms(words.models)
    for arm in words.arms:
        if arm not in ("main", "all", *known):
            parser.error(f"--arms has no {arm}: choose main, all, or of {', '.join(known)}")
    if words.jobs < 1:
        parser.error(f"--jobs cannot be {words.jobs}: one training at a time is the least")
    if words.seeds < 1:
        parser.error(f"--seeds cannot be {words.seeds}: one is the least, and three the least for a verdict")
    return words


def write(results: Sequence[Result], out: Path) -> None:
    """Print the tables, and write them with pictures of the first seed and benchmarks/out/ablations.json."""
    if not results:
        return
    names = dict.fromkeys(result.name for result in results)
    tables = [means([one for one in results if one.name == name]) for name in names] + [verdicts(results)]
    for head, rows in tables:
        table = Table(*(Column(name, overflow="fold") for name in head), box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        Console(soft_wrap=True).print(table)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text("\n".join(markdown(*table) for table in tables), encoding="utf-8")
    for name in names:
        grids = {
            one.variant: grid
            for one in results
            if (one.name, one.seed) == (name, 0)
            and (grid := _last_grid(folder_of(out, name, one.variant, 0)))
        }
        if grids:
            beneath(grids, name).save(out / f"{name}.png")
    OUT.mkdir(exist_ok=True)
    (OUT / "ablations.json").write_text(json.dumps(list(comparisons(results)), indent=1) + "\n")


def _last_grid(run: Path) -> Path | None:
    return max((run / GRIDS_FOLDER).glob("step-*.png"), default=None)


def _place(data: Path) -> Path:
    samples = data / "samples"
    return samples if samples.is_dir() else data


if __name__ == "__main__":
    main()
