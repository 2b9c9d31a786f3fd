"""Do moles come back? The claim of ReFine's paper, counted on rendered people, whose moles lie at known places.

    facerefs sample PEOPLE --identities 100 && facerefs build PEOPLE --out SET --labels trust
    facerefs train refine --data SET --run REFINE --preset tiny
    facerefs train refine --data SET --run BASELINE --preset tiny --set losses.objective=baseline
    python -m benchmarks.moles --people PEOPLE --data SET REFINE BASELINE --landmarks LANDMARKS jitter truth

References are warped onto landmarks of the degraded faces, from each source that `--landmarks` names: a run of `train
landmarks` finds them, `jitter` (the default) moves those of the clean faces as a detector errs, and `truth` is what no
user has, to see what the errors cost.

A mole counts if truth and reference both show it and the degraded face has lost it; it has come back if the output
shows it. To show it is to be darker there than around it by half of what the truth is. Other skin, at the places of
somebody else's moles, says how often that happens by chance.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from facerefs.stages.faces import geometry
from facerefs.trainers.check import probe
from facerefs.trainers.geometry.points import TRUTH, PointsSource, detected, jittered
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.metrics.nme import nme
from facerefs.trainers.metrics.psnr_ssim import psnr, quantise_uint8
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import Restorer
from facerefs.trainers.models.run import Run, load_finder, load_run
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.dataset import SampleDataset
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation, Prepared

_OUT = Path(__file__).parent / "out" / "moles.json"
_RING = (2.2, 4.0)  # inner and outer radius of the skin around a mole, in radii of the mole
_SHOWN = 0.5  # of the truth's contrast
_LOST = 0.25
_LEAST_CONTRAST = 0.04  # of gray from 0 to 1: what the truth does not show, nobody can bring back
_LEAST_RADIUS_PX = 0.7
_BATCH = 8
Record: TypeAlias = dict[str, Any]
Truth: TypeAlias = Mapping[str, Record]


@dataclass(frozen=True)
class Spot:
    """A place in a face, in pixels of what the network sees."""

    x: float
    y: float
    radius_px: float


@dataclass(frozen=True)
class Count:
    """Of how many moles that were lost, how many came back; and the same of places where no mole is.

    psnr: mean over the restored faces, in dB. nme: mean error of the landmarks, as a share of the eyes' distance.
    """

    lost: int
    back: int
    elsewhere: int
    dark: int
    psnr: float
    nme: float


def main() -> None:
    """Print a table of the runs, and write benchmarks/out/moles.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--people", type=Path, required=True, help="folder of `facerefs sample`")
    parser.add_argument("--data", type=Path, required=True, help="the build of that folder")
    parser.add_argument("--splits", nargs="+", default=["val", "test"])
    parser.add_argument("--draws", type=int, default=4, help="degradations of each face")
    parser.add_argument("--landmarks", nargs="+", default=["jitter"], help="runs, jitter or truth")
    words = parser.parse_args()
    truth = {row["path"]: row for row in map(json.loads, (words.people / "truth.jsonl").open())}
    lines = []
    for folder, source in product(words.runs, words.landmarks):
        run, points = load_run(folder, torch.device("cpu")), points_of(source)
        count = count_moles(run, words.data, words.splits, words.draws, truth, points)
        share, chance = count.back / max(1, count.lost), count.dark / max(1, count.elsewhere)
        case = f"{folder.name}, landmarks: {points.name}"
        print(
            f"{case} ({count.nme:.1%} off): {count.psnr:.2f} dB, {count.back} of {count.lost} lost moles came back "
            f"({share:.0%}); dark spots on other skin: {count.dark} of {count.elsewhere} ({chance:.0%})"
        )
        lines.append({"case": case, "ours": share, "peer": chance, "unit": "share of lost moles that came "
                      "back; peer: of other skin", "ratio": share / chance if chance else None, "low": None,
                      "high": None})  # fmt: skip
    _OUT.parent.mkdir(exist_ok=True)
    _OUT.write_text(json.dumps(lines, indent=1) + "\n")


def points_of(source: str) -> PointsSource:
    """The source of landmarks that a word of `--landmarks` names."""
    known = {"truth": TRUTH, "jitter": jittered()}
    return known.get(source) or detected(source, load_finder(Path(source), torch.device("cpu")))


def count_moles(
    run: Run, data: Path, splits: Sequence[str], draws: int, truth: Truth, points: PointsSource
) -> Count:
    """Restore every face of the splits, degraded in so many ways, and look at its moles."""
    if not isinstance(run.model, Restorer):
        raise TypeError(f"a run of {run.name} restores no faces")
    lost = back = elsewhere = dark = 0
    decibels: list[Tensor] = []
    errors: list[Tensor] = []
    batches = (_batches(run, data, split, draw, points) for split, draw in product(splits, range(draws)))
    for batch, targets, references in chain.from_iterable(batches):
        seen = restorer_input(batch)
        with torch.no_grad():
            restored = run.model.restore(run.networks, seen)
        decibels.append(psnr(quantise_uint8(restored) / 127.5 - 1, batch.target))
        errors.append(nme(seen.landmarks, batch.landmarks))
        layers = [_gray(images) for images in (batch.target, seen.degraded, restored)]
        others = targets[1:] + targets[:1]
        for i, (target, reference, other) in enumerate(zip(targets, references, others, strict=True)):
            clean, bad, out = (layer[i] for layer in layers)
            for spot in _moles(target, reference, truth, batch.target.shape[-1]):
                contrast = _contrast(clean, spot)
                if contrast >= _LEAST_CONTRAST and _contrast(bad, spot) < _LOST * contrast:
                    lost += 1
                    back += _contrast(out, spot) >= _SHOWN * contrast
            if truth[other["key"]]["identity"] != truth[target["key"]]["identity"]:
                for spot in _moles(other, other, truth, batch.target.shape[-1]):
                    if _contrast(clean, spot) < _LOST * _LEAST_CONTRAST:
                        elsewhere += 1
                        dark += _contrast(out, spot) >= _SHOWN * 2 * _LEAST_CONTRAST
    means = [float(torch.cat(parts).double().mean()) for parts in (decibels, errors)]
    return Count(lost, back, elsewhere, dark, *means)


@dataclass(frozen=True)
class _Recorded:
    """Prepares a face, and keeps what the shard says of its photos."""

    preparation: FacePreparation

    def __call__(self, draw: SampleRequest, files: Mapping[str, bytes]) -> tuple[Prepared, dict[str, Any]]:
        return self.preparation(draw, files), json.loads(files["json"])


def _batches(
    run: Run, data: Path, split: str, draw: int, points: PointsSource
) -> Iterator[tuple[DeviceBatch, list[Record], list[Record]]]:
    """All samples with a reference, and the records of their targets and first references."""
    size_px = run.model.size_px
    preparation = FacePreparation(
        seed=draw, size_px=probe(str(data / "samples"), split).side_px, reduce_px=size_px, flip_chance=0.0,
        require_references=True, degradation=run.model.data.degradation,
    )  # fmt: skip
    faces = SampleDataset(data / "samples", _Recorded(preparation), split)
    for start in range(0, len(faces), _BATCH):
        chosen = [faces[index] for index in range(start, min(start + _BATCH, len(faces)))]
        batch = collate([prepared for prepared, _ in chosen], references=1, at_once=1)
        (ready,) = on_device([batch], "cpu", warp=warp_for(size_px), points=points)
        yield (
            ready,
            [record["target"] for _, record in chosen],
            [record["references"][0] for _, record in chosen],
        )


def _moles(target: Record, reference: Record, truth: Truth, side_px: int) -> list[Spot]:
    """Where the moles are in the target that the reference shows too."""
    marks, others = truth[target["key"]]["marks"], truth[reference["key"]]["marks"]
    scale = side_px / target["crop_size"]
    transform = np.reshape(target["transform"], (2, 3))
    radius = scale * geometry.scale_of(transform)
    spots = []
    for mark, other in zip(marks, others, strict=True):
        if mark["visible"] and other["visible"]:
            x, y = (geometry.apply_transform(transform, [mark["x"], mark["y"]]) + 0.5) * scale - 0.5
            spots.append(Spot(float(x), float(y), max(_LEAST_RADIUS_PX, mark["radius_px"] * radius)))
    return spots


def _contrast(gray: Tensor, spot: Spot) -> float:
    """How much darker (H, W) is in the middle of a spot than around it."""
    rows, columns = (torch.arange(length, dtype=gray.dtype) for length in gray.shape)
    away = torch.hypot(columns - spot.x, (rows - spot.y)[:, None]) / spot.radius_px
    middle = torch.exp(-(away**2))
    ring = ((away > _RING[0]) & (away < _RING[1])).to(gray.dtype)
    return float((gray * ring).sum() / ring.sum().clamp(min=1) - (gray * middle).sum() / middle.sum())


def _gray(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] to (B, H, W) from 0 to 1."""
    red, green, blue = images.double().clamp(-1, 1).unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue + 1) / 2


if __name__ == "__main__":
    main()
