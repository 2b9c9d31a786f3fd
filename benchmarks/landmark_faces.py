"""Degraded faces with the truth about their landmarks, for `benchmarks.landmarks`."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from facerefs.stages.faces import geometry
from facerefs.trainers.check import probe
from facerefs.trainers.geometry.similarity import move_images, move_points, random_similarities
from facerefs.trainers.metrics.nme import strength
from facerefs.trainers.models.landmarks import Moves
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.dataset import SampleDataset
from facerefs.trainers.stream.samples.prepare import FacePreparation
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import open_shards

BATCH = 8
Points: TypeAlias = list[list[float]]
# dlib's HOG finds aligned faces here, in shares of the side: the median of 242 real and rendered ones.
FACE_BOX = (0.185, 0.320, 0.793, 0.928)


@dataclass(frozen=True, eq=False)
class Faces:
    """Degraded faces as all detectors see them, with what is true of them; points in pixels of S x S."""

    degraded: Tensor  # (B, 3, S, S) in [-1, 1]
    clean: Tensor  # the same before the degradation
    boxes: Tensor  # (B, 4): left, top, right, bottom
    stored: Tensor  # (B, 68, 2), of the shards
    truth: Tensor  # (B, 68, 2)
    strength: Tensor  # (B,)


def degraded_faces(
    shards: Path, split: str, recipe: str, seed: int, truth: Path | None = None
) -> Iterator[Faces]:
    """All faces of a split, degraded by a recipe; with a `truth` (see `benchmarks.landmarks`) those that it knows."""
    truths = None if truth is None else _truths(truth, shards, split)
    for batch in _batches(shards, split, recipe, seed):
        side = batch.target.shape[-1]
        chosen = [i for i, key in enumerate(batch.keys) if truths is None or key in truths]
        if not chosen or batch.degraded is None:
            continue
        stored = batch.landmarks[chosen]
        yield Faces(
            degraded=batch.degraded[chosen],
            clean=batch.target[chosen],
            boxes=(torch.tensor(FACE_BOX) * side).expand(len(chosen), -1),
            stored=stored,
            truth=stored if truths is None else torch.stack([truths[batch.keys[i]] for i in chosen]),
            strength=strength(batch.thetas, side)[chosen],
        )


def moved(faces: Faces, moves: Moves, seed: int) -> Faces:
    """The same faces in other places, as if they had been aligned badly; their boxes go with them."""
    torch.manual_seed(seed)
    side = faces.degraded.shape[-1]
    amounts = moves.shift_share, moves.scale_share, moves.turn_deg
    transforms = random_similarities(len(faces.truth), side, *amounts, torch.device("cpu"))
    centres = move_points((faces.boxes[:, None, :2] + faces.boxes[:, None, 2:]) / 2, transforms)[:, 0]
    scale = torch.linalg.det(transforms[:, :, :2]).sqrt()[:, None]
    half = (faces.boxes[:, 2:] - faces.boxes[:, :2]) / 2 * scale
    return replace(
        faces,
        degraded=move_images(faces.degraded, transforms),
        clean=move_images(faces.clean, transforms),
        boxes=torch.cat([centres - half, centres + half], dim=1),
        stored=move_points(faces.stored, transforms),
        truth=move_points(faces.truth, transforms),
    )


def _batches(shards: Path, split: str, recipe: str, seed: int) -> Iterator[DeviceBatch]:
    side_px = probe(str(shards), split).side_px
    preparation = FacePreparation(seed, side_px, references=0, flip_chance=0, degradation=recipe)
    dataset = SampleDataset(shards, preparation, split)
    numbers = [range(start, min(start + BATCH, len(dataset))) for start in range(0, len(dataset), BATCH)]
    some = (collate([dataset[i] for i in batch], references=0, at_once=1) for batch in numbers)
    return on_device(some, "cpu", warp=None)


def _truths(truth: Path, shards: Path, split: str) -> dict[str, Tensor]:
    """True landmarks (68, 2) in the crop's pixels by the sample's key, where those in the photo are known."""
    photos = _by_photo(truth)
    reader = ShardReader([open_shards(shards, split)])
    found = {}
    for row in range(len(reader.sets[0])):
        files = reader.files(0, row)
        target: Any = json.loads(files["json"])["target"]
        points = photos(target["key"])
        if points is not None:
            placed = geometry.apply_transform(np.reshape(target["transform"], (2, 3)), points)
            found[files.key] = torch.from_numpy(placed).float()
    return found


def _by_photo(truth: Path) -> Callable[[str], Points | None]:
    if truth.is_file():
        lines = map(json.loads, truth.read_text().splitlines())
        return {str(line["path"]): line["landmarks"] for line in lines}.get

    def read(key: str) -> Points | None:
        path = truth / f"{key}.txt"
        if not path.is_file():
            return None
        return [
            [float(number) for number in line.split()]
            for line in path.read_text().splitlines()
            if line.strip()
        ]

    return read
