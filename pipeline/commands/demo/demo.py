"""`facerefs demo`: the whole pipeline end to end, offline, in minutes."""

import math
import os
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from facerefs.pipeline.build.folder import check_new
from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.commands.demo.defect_scores import DefectScore, score_defects
from facerefs.pipeline.commands.demo.plant import PhotoTruth, plant_defects, write_truth
from facerefs.pipeline.commands.demo.set_scores import score_pairs, score_people
from facerefs.pipeline.commands.report import report_command
from facerefs.pipeline.commands.verify import verify_command
from facerefs.pipeline.errors import RunError
from facerefs.pipeline.report.sections.training import RUNS_FOLDER
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.synthetic_people.folder import write_people

_TRAINING_STEPS = 300


def run_demo(
    out: Path, identities: int, per_identity: int, size: int, seed: int, workers: int | None
) -> None:
    """Render synthetic people, plant defects, build a set, print how many defects were found, and train for a moment.

    Raises RunError if a pair of the result shows the same photo twice: that must never happen.
    """
    check_new(out)
    console = Console(soft_wrap=True, markup=False)
    started = time.monotonic()
    photos, folder = out / "photos", out / "build"
    for _ in write_people(photos, identities, per_identity, size, seed, workers or os.cpu_count() or 1):
        pass
    truth = plant_defects(photos, seed)
    write_truth(out / "truth.jsonl", truth)
    rendered = time.monotonic()
    console.print(f"rendered    {len(truth)} files, {rendered - started:.0f} s", highlight=False)
    build_command(BuildOptions(source=str(photos), out=folder, workers=workers), console)
    storage = Storage(str(folder.absolute()))
    _print_scores(console, score_defects(storage, truth))
    _print_result(console, storage, truth, out)
    if not verify_command(folder, replay=8):
        raise RunError("the training set that was just built is faulty: this is a bug in facerefs")
    built = time.monotonic()
    _train(folder, console)
    console.print(
        f"{time.monotonic() - started:.0f} s in all: {rendered - started:.0f} s to render, {built - rendered:.0f} s to "
        f"build, {time.monotonic() - built:.0f} s to train\nnow open {folder / 'report.html'}", highlight=False,
    )  # fmt: skip


def _train(folder: Path, console: Console) -> None:
    """Train ReFine for a moment: the losses fall, and the pictures are on their way; the report shows them."""
    from facerefs.pipeline.training.job import TrainOptions
    from facerefs.pipeline.training.train import train_command

    some_held_out = any((folder / "samples").glob("val-*.tar"))
    train_command(
        TrainOptions(
            model="refine",
            run=folder / RUNS_FOLDER / "refine",
            data=(str(folder),),
            preset="tiny",
            steps=_TRAINING_STEPS,
            settings=(f"data.validation_split={'val' if some_held_out else 'train'}",),
        ),
        console,
    )
    report_command(folder)


def _print_scores(console: Console, scores: list[DefectScore]) -> None:
    table = Table(
        "planted defects",
        "planted",
        "found",
        "wrongly found",
        "precision",
        "recall",
        box=None,
        pad_edge=False,
    )
    for line in scores:
        table.add_row(
            line.defect, str(line.planted), str(line.found), str(line.wrong),
            _share(line.precision), _share(line.recall),
        )  # fmt: skip
    console.print()
    console.print(table)
    console.print(
        "\nFaces wrongly found as copies are different shots that look the same: both stay in the set, "
        "but neither is a reference of the other.",
        highlight=False,
    )


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _print_result(console: Console, storage: Storage, truth: list[PhotoTruth], out: Path) -> None:
    pairs = score_pairs(storage, truth)
    people = score_people(storage, truth)
    shards = [
        part for name in storage.parts("samples") if (part := storage.part("samples", name)) and part.tar
    ]
    size = sum(part.tar.size for part in shards if part.tar)
    console.print(
        f"\n{people.people} people as {people.identities} identities: pairwise F {people.pairwise_f:.3f}, BCubed F "
        f"{people.bcubed_f:.3f}\n{pairs.pairs} pairs: {pairs.of_two_people} of two people, {pairs.of_copies} of a "
        f"photo and its copy; {pairs.in_two_splits} shots in two splits\n"
        f"{sum(part.rows for part in shards)} samples in {len(shards)} shards, {size / 1e6:.0f} MB, "
        f"in {out / 'build' / 'samples'}",
        highlight=False,
    )
    if pairs.of_copies:
        raise RunError(f"{pairs.of_copies} references are copies of their targets: this is a bug in facerefs")
