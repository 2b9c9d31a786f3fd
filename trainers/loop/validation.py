"""Validation: metrics and an image grid on a fixed set of samples, with the same pixels each time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from facerefs.stages.degrade import apply_theta
from facerefs.trainers.geometry.points import TRUTH, PointsSource
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.grids import grid
from facerefs.trainers.loop.precision import evaluating
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.loop.training_module import Networks, TrainingModule
from facerefs.trainers.stream.batches.batch import FaceBatch, collate
from facerefs.trainers.stream.batches.device_batch import DeviceBatch, to_device
from facerefs.trainers.stream.dataset import SampleDataset
from facerefs.trainers.stream.samples.prepare import FacePreparation, Prepared
from facerefs.trainers.stream.shards.shards import ShardSet


@dataclass(frozen=True, eq=False)
class FixedSet:
    """Batches on the CPU, as undegraded uint8; they are degraded on the device for each use, always in the same way."""

    batches: Sequence[FaceBatch]
    device: torch.device

    def ready(self, points: PointsSource = TRUTH) -> Iterator[DeviceBatch]:
        """The batches on the device, in their order. points: source of the landmarks of the degraded faces."""
        for batch in self.batches:
            warp = warp_for(batch.target.shape[-1]) if batch.references.shape[1] else None
            degrade = apply_theta.degrade_and_resize_back
            yield to_device(batch, self.device, degrade, warp, torch.float32, (-1.0, 1.0), points)


def draw_fixed_set(
    place: str, split: str, preparation: FacePreparation, samples: int, batch_size: int, device: torch.device
) -> FixedSet:
    """A fixed set of `samples` samples of a split, spread over as many people as possible. Raises StreamError."""
    faces: SampleDataset[Prepared] = SampleDataset(place, preparation, split, preparation.seed)
    rows = spread_rows(faces.shards, samples)
    at_once = None if device.type == "cuda" else 1
    gather = partial(collate, references=preparation.references, at_once=at_once)
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return FixedSet([gather([faces[row] for row in part]) for part in parts], device)


def spread_rows(shards: ShardSet, samples: int) -> list[int]:
    """Row numbers: the first row of each person, then the second of each and so on; without names, the first rows."""
    people = shards.columns.identities
    if people is None:
        return list(range(min(samples, len(shards))))
    of_person: dict[Any, list[int]] = {}
    for row, person in enumerate(people.tolist()):
        of_person.setdefault(person, []).append(row)
    rounds = zip_longest(*of_person.values())
    return [row for row in chain.from_iterable(rounds) if row is not None][:samples]


def validate(
    training_module: TrainingModule, networks: Networks, held_out: FixedSet, rows: int, seed: int
) -> tuple[dict[str, float], Image]:
    """The metrics by name, each the mean over the samples to which it applies, and an image grid of the first rows.

    Computed in float32, with torch seeded in the same way each time. A metric that applies to no sample is NaN.
    """
    figures: dict[str, list[Tensor]] = {}
    pictures: dict[str, list[Tensor]] = {}
    with evaluating(networks):
        for number, batch in enumerate(held_out.ready(training_module.points.at_test)):
            seed_torch(seed, "validation", batch=number)
            _add(figures, training_module.scores(networks, batch))
            if sum(len(part) for part in next(iter(pictures.values()), [])) < rows:
                seed_torch(seed, "pictures", batch=number)
                _add(pictures, training_module.pictures(networks, batch))
    means = {name: float(torch.cat(parts).double().nanmean()) for name, parts in figures.items()}
    return means, grid({name: torch.cat(parts)[:rows] for name, parts in pictures.items()})


def _add(parts: dict[str, list[Tensor]], more: Mapping[str, Tensor]) -> None:
    for name, tensor in more.items():
        parts.setdefault(name, []).append(tensor.detach().cpu())
