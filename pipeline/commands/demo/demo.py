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
from facerefs.pipeline.commands.demo.whole_photo import restore_a_photo
from facerefs.pipeline.commands.report import report_command
from facerefs.pipeline.commands.verify import verify_command
from facerefs.pipeline.errors import RunError
from facerefs.pipeline.report.sections.training import training_runs
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import RUNS_FOLDER
from facerefs.stages.synthetic_people.folder import write_people

_MODEL = "rpf"


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
    """Train RPF for two minutes, say if its faces are better than the degraded ones, and restore a whole photo."""
    from facerefs.pipeline.training.job import TrainOptions
    from facerefs.pipeline.training.train import train_command
    from facerefs.trainers.models.rpf.rpf import PRESETS

    some_held_out = any((folder / "samples").glob("val-*.tar"))
    run = folder / RUNS_FOLDER / _MODEL
    train_command(
        TrainOptions(
            model=_MODEL,
            run=run,
            data=(str(folder),),
            preset="demo",
            settings=(f"data.validation_split={'val' if some_held_out else 'train'}",),
        ),
        console,
    )
    console.print(f"{'trained':<11} {_verdict(run, some_held_out)}", highlight=False)
    shape = PRESETS["demo"].shape
    restore_a_photo(Storage(str(folder.absolute())), run, shape.size_px, shape.factor, console)
    report_command(folder, blur=False)


def _verdict(run: Path, held_out: bool) -> str:
    """Whether the restored faces of the last validation are better than the degraded ones, and of whom they are."""
    (last,) = [
        one for one in training_runs(Storage(str(run.parent.parent.absolute()))) if one.name == run.name
    ]
    figures = {metric.name: metric for metric in last.metrics}
    psnr, angle = figures["psnr"], figures["identity_degrees"]
    if psnr.degraded is None or angle.degraded is None:
        return "without a comparison with the degraded faces"
    gains = {"PSNR": psnr.value - psnr.degraded, "identity": angle.degraded - angle.value}
    better = [name for name, gain in gains.items() if gain > 0]
    verdict = (
        f"better than the degraded ones in {' and '.join(better)}"
        if better
        else "no better than the degraded ones"
    )
    whose = "people whom it never saw" if held_out else "the people of training, as nobody was held out"
    return (
        f"restored faces of {whose} are {verdict}: PSNR {psnr.degraded:.2f} -> {psnr.value:.2f} dB, "
        f"angle to the true identity {angle.degraded:.1f} -> {angle.value:.1f} degrees"
    )


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
