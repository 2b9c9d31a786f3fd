"""What an idea of each paper is worth: every model trained as it is, and once more without the idea, on the same faces.

    python -m benchmarks.ablations SET                            # all models, preset tiny, minutes to an hour each
    python -m benchmarks.ablations SET --models rdfr rpf --steps 500
    python -m benchmarks.ablations SET --all-arms                 # each row of the papers' tables, not the first alone
    python -m benchmarks.ablations SET --out FOLDER --jobs 2      # two trainings at a time

SET is a build or a folder of shards. Writes FOLDER/table.md, FOLDER/MODEL.png (the last held-out faces of both) and
benchmarks/out/ablations.json. A training that has ended is not repeated, one that was interrupted goes on. With other
`--steps` than the preset's, what a model's schedule counts in steps is scaled alike, and the steps are rounded up so
that it stays whole.

What the figures say: whether the two variants, with the same faces, degradations, seed, steps and settings, differ
after minutes of training at 64 px, on people who were not trained on. What they cannot say: how good a model is. They
are not the papers' figures (512 px, real faces, hundreds of thousands of steps, pretrained networks); one seed stands
for all, and a difference smaller than that of two seeds means nothing; models of different degradations must not be
compared with each other: the degraded input's figures stand beside. An idea may need more steps than these to pay, or a
harder task. Seconds per step are of the machine as it was, and mean something on a quiet one with `--jobs 1` only.
"""

import argparse
import json
import math
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Column, Table

from benchmarks.paired import OUT
from facerefs.pipeline.config.read_settings import read_settings
from facerefs.pipeline.errors import UserError
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.check import probe
from facerefs.trainers.distributed import joined
from facerefs.trainers.loop.checkpoint import checkpoints, read, step_of
from facerefs.trainers.loop.log import GRIDS_FOLDER, LOG_FILE
from facerefs.trainers.loop.nan_guard import Diverged
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.common.sizes import sizes_of
from facerefs.trainers.models.model import Model, Restorer
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.train import CannotTrain, train

WITHOUT: Mapping[str, Sequence[str]] = {
    "rdfr": ("shape.quantise=false", "shape.gated_fusion=false", "shape.noise=false"),
    "ented": (
        "shape.dictionary=false",
        "shape.refine_latent=false",
        "shape.residuals=false",
        "shape.style=false",
    ),
    "rpf": ("shape.reference=false", "shape.masks=false", "shape.progressive=false"),
    "posevaried": ("shape.mmrb=false", "losses.local=0", "prior_lr=0 losses.frozen_layers=0"),
    "refine": ("losses.objective=baseline",),
}
"""The ablations that each paper makes, as settings; the first one is of its main idea."""

LONGER: Mapping[str, Mapping[str, int]] = {
    "shape.progressive=false": {"schedule.warping_steps": 3, "schedule.synthesis_steps": 3},
}
"""Factors of steps, so that a training without an idea is as long: one block instead of the preset's three."""

SCHEDULES: Mapping[str, Sequence[str]] = {
    "rpf": ("schedule.refinement_steps", "schedule.warping_steps", "schedule.synthesis_steps"),
    "ented": ("codes.warm_up_steps", "codes.every", "codes.until"),
    "posevaried": ("losses.scales_until",),
}
"""The settings that count steps of a training besides loop.steps."""

AS_IT_IS = "as it is"
FIGURES: Mapping[str, str] = {"psnr": "dB", "ssim": "", "identity_truth": "cosine", "lpips_alex": ""}
_SAMPLES = 64
_VALIDATIONS = 4  # the first of them after a quarter of the steps
_TITLE_PX = 22


@dataclass(frozen=True)
class Training:
    """One training: of which model, how it is called, with which settings, and in which folder."""

    name: str
    variant: str
    model: Model
    run: Path

    def is_done(self) -> bool:
        """Whether it has ended. Raises UserError if the folder holds a training with other settings."""
        kept = checkpoints(self.run / CHECKPOINTS_FOLDER)
        if not kept:
            return False
        if read(kept[-1]).settings != to_dict(self.model):
            raise UserError(
                f"{self.run} holds a training with other settings: remove it, or choose another --out"
            )
        return step_of(kept[-1]) >= self.model.loop.steps


@dataclass(frozen=True)
class Result:
    """What a training came to. Figures by name, such as psnr and psnr_degraded, of the first and last validation."""

    name: str
    variant: str
    first_step: int
    first: Mapping[str, float]
    last_step: int
    last: Mapping[str, float]
    step_s: float
    weights: int


def main() -> None:
    """Train what is not trained yet, and write table, pictures and figures of all that has ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("data", type=Path, metavar="SET")
    parser.add_argument("--models", nargs="+", choices=WITHOUT, default=list(WITHOUT))
    parser.add_argument("--steps", type=int, help="of each training; those of its preset if not given")
    parser.add_argument("--out", type=Path, help="SET/runs/ablations if not given")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--all-arms", action="store_true", help="every ablation of each model's paper")
    words = parser.parse_args()
    for name in without_ablation():
        Console(soft_wrap=True).print(f"{name} is left out: no setting in WITHOUT takes away its idea")
    if words.jobs < 1:
        parser.error(f"--jobs cannot be {words.jobs}: one training at a time is the least")
    place, out = _place(words.data), words.out or words.data / "runs" / "ablations"
    try:
        trainings = [
            one for name in words.models for one in variants(name, words.steps, out, place, words.all_arms)
        ]
        waiting = [training for training in trainings if not training.is_done()]
    except (UserError, ValueError) as error:
        raise SystemExit(f"ablations: {error}") from None
    ended = _train_all(waiting, str(place), words.jobs)
    write([result_of(training) for training in trainings if training.is_done()], trainings, out)
    raise SystemExit(0 if ended else 1)


def without_ablation() -> list[str]:
    """The restorers whose idea cannot be left out."""
    restorers = [name for name in MODULES if isinstance(presets(name)["tiny"], Restorer)]
    return [name for name in restorers if name not in WITHOUT]


def variants(
    name: str, steps: int | None, out: Path, place: Path, all_arms: bool = False
) -> Iterator[Training]:
    """A model's training as it is, and those without an idea: the main one, or each.

    Raises UserError for settings that cannot be.
    """
    embedder = probe(str(place), "train").embedder
    main, *others = WITHOUT[name]
    folders = {AS_IT_IS: name, main: f"{name}-without"}
    if all_arms:
        folders |= {arm: f"{name}-without-{number}" for number, arm in enumerate(others, 2)}
    for variant, folder in folders.items():
        tiny: Any = presets(name)["tiny"]
        idea = [] if variant == AS_IT_IS else variant.split()
        settings = [*lasting(name, tiny, steps, LONGER.get(variant, {})), *_judged(tiny, embedder), *idea]
        model = read_settings(type(tiny), "loop.steps=1000", settings=settings, under=to_dict(tiny))
        yield Training(name, variant, model, out / folder)


def lasting(
    name: str, tiny: Model, steps: int | None, longer: Mapping[str, int] = MappingProxyType({})
) -> list[str]:
    """Settings for a training of so many steps, or of a few more, so that its schedule is scaled in whole numbers."""
    counts = {key: _setting(tiny, key) for key in SCHEDULES.get(name, ())}
    own = tiny.loop.steps
    unit = own // math.gcd(own, *counts.values())
    total = own if steps is None else -(-steps // unit) * unit
    at_times = max(1, total // _VALIDATIONS)
    return [
        f"loop.steps={total}",
        f"loop.validate_every={at_times}",
        f"loop.checkpoint_every={at_times}",
        *(f"{key}={count * total // own * longer.get(key, 1)}" for key, count in counts.items()),
    ]


def _judged(tiny: Any, embedder: str) -> list[str]:
    """More to validate on, and figures of identity where the shards' embeddings are dlib's, as tiny ones are."""
    silent = hasattr(tiny, "weights") and getattr(tiny.weights, "identity", None) == ""
    identity = ["weights.identity=dlib"] if silent and embedder.startswith("dlib") else []
    return [f"loop.validation_samples={_SAMPLES}", *identity]


def _setting(model: Model, key: str) -> int:
    value: Any = model
    for name in key.split("."):
        value = getattr(value, name)
    return int(value)


def _train_all(trainings: Sequence[Training], place: str, jobs: int) -> bool:
    """Train each in a process of its own, so many at a time; one that cannot be trained is told, and left out.

    Whether all could be.
    """
    ended = True
    threads = max(1, (os.cpu_count() or 1) // jobs)
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, fresh, max_tasks_per_child=1) as processes:
        running = [(one, processes.submit(train_one, one, place, threads)) for one in trainings]
        for training, outcome in running:
            try:
                outcome.result()
            except (CannotTrain, MissingWeights, StreamError, Diverged) as error:
                ended = False
                print(f"{training.run.name}: {error}", flush=True)
    return ended


def train_one(training: Training, place: str, threads: int) -> None:
    """Train, or go on after an interruption; prints the validations."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    resume = bool(checkpoints(training.run / CHECKPOINTS_FOLDER))

    def announce(line: str) -> None:
        if line.startswith("validation"):
            print(f"{training.run.name}: {line}", flush=True)

    with joined(device, 0, 1) as ranks:
        train(training.name, training.model, [place], training.run, resume, ranks, announce, lambda: False)


def result_of(training: Training) -> Result:
    """Read the log of a training that has ended."""
    lines = [json.loads(line) for line in (training.run / LOG_FILE).read_text().splitlines()]
    validations = [(line["step"], _figures(line)) for line in lines if "validation/psnr" in line]
    (first_step, first), (last_step, last) = validations[0], validations[-1]
    batch = training.model.data.batch_size * training.model.loop.accumulate
    speeds = [(line["steps"], line["images_per_s"]) for line in lines if "images_per_s" in line]
    seconds = sum(steps * batch / speed for steps, speed in speeds)
    return Result(
        name=training.name,
        variant=training.variant,
        first_step=first_step,
        first=first,
        last_step=last_step,
        last=last,
        step_s=seconds / sum(steps for steps, _ in speeds),
        weights=sum(sizes_of(training.model).parameters.values()),
    )


def _figures(line: Mapping[str, Any]) -> dict[str, float]:
    """Those that were measured."""
    prefix = "validation/"
    return {
        name.removeprefix(prefix): value
        for name, value in line.items()
        if name.startswith(prefix) and value is not None
    }


def write(results: Sequence[Result], trainings: Sequence[Training], out: Path) -> None:
    """Print the table, and write it with pictures and figures."""
    head, rows = table_of(results)
    table = Table(*(Column(name, overflow="fold") for name in head), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=True).print(table)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(markdown(head, rows), encoding="utf-8")
    for name in dict.fromkeys(result.name for result in results):
        grids = {one.variant: grid for one in trainings if one.name == name and (grid := _last_grid(one.run))}
        beneath(grids, name).save(out / f"{name}.png")
    OUT.mkdir(exist_ok=True)
    (OUT / "ablations.json").write_text(json.dumps(list(comparisons(results)), indent=1) + "\n")


def table_of(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: for each model its degraded input, and for each variant its first and its last validation."""
    measured = [name for name in FIGURES if any(name in result.last for result in results)]
    units = [f"{name}, {FIGURES[name]}" if FIGURES[name] else name for name in measured]
    rows, told = [], set()
    for one in results:
        if one.name not in told:
            told.add(one.name)
            degraded = {
                name: one.last[f"{name}_degraded"] for name in measured if f"{name}_degraded" in one.last
            }
            rows.append([one.name, "degraded input", "", *_cells(degraded, measured), "", ""])
        rows.append([one.name, one.variant, str(one.first_step), *_cells(one.first, measured), "", ""])
        cost = [f"{one.step_s:.3f}", f"{one.weights / 1e6:.2f} M"]
        rows.append([one.name, one.variant, str(one.last_step), *_cells(one.last, measured), *cost])
    return ["model", "variant", "step", *units, "s/step", "weights"], rows


def _cells(figures: Mapping[str, float], names: Sequence[str]) -> list[str]:
    return [(f"{figures[name]:.{2 if name == 'psnr' else 3}f}" if name in figures else "") for name in names]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def beneath(grids: Mapping[str, Path], name: str) -> Image.Image:
    """Pictures beneath each other, each with its title above."""
    images = {title: Image.open(path) for title, path in grids.items()}
    width = max(image.width for image in images.values())
    sheet = Image.new("RGB", (width, sum(image.height + _TITLE_PX for image in images.values())), "white")
    pen, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(14), 0
    for title, image in images.items():
        pen.text((2, top + 2), f"{name}, {title}", "black", font)
        sheet.paste(image, (0, top + _TITLE_PX))
        top += image.height + _TITLE_PX
    return sheet


def comparisons(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """A line for each figure of each model that was trained both ways. ours: as it is; peer: without the idea."""
    whole = {result.name: result for result in results if result.variant == AS_IT_IS}
    for peer in results:
        ours = whole.get(peer.name)
        if ours is None or peer is ours:
            continue
        for figure, unit in FIGURES.items():
            if figure in ours.last and figure in peer.last:
                own, other = ours.last[figure], peer.last[figure]
                yield {"case": f"{ours.name}, {figure}, {ours.last_step} steps, against {peer.variant}", "ours": own,
                       "peer": other, "unit": unit or figure, "ratio": own / other if other else None, "low": None,
                       "high": None}  # fmt: skip


def _last_grid(run: Path) -> Path | None:
    return max((run / GRIDS_FOLDER).glob("step-*.png"), default=None)


def _place(data: Path) -> Path:
    samples = data / "samples"
    return samples if samples.is_dir() else data


if __name__ == "__main__":
    main()
