"""The samples on which methods are judged, in batches on the device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from facerefs.pipeline.errors import UserError
from facerefs.schemas.sample import JSON, read_json
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.apply_theta import resize_back
from facerefs.stages.degrade.draws import derive_seed
from facerefs.stages.degrade.operations.padded_batch import pad_batch
from facerefs.trainers.check import probe
from facerefs.trainers.geometry.points import PointsSource
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.validation import spread_rows
from facerefs.trainers.metrics.nme import strength
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device_batch import DeviceBatch, to_device
from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.samples.decode import decode_sample, stored_references
from facerefs.trainers.stream.samples.prepare import Prepared
from facerefs.trainers.stream.samples.reduce import reduced
from facerefs.trainers.stream.samples.sample import Sample
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import open_shards
from facerefs.trainers.training_set import shards_of


@dataclass(frozen=True)
class SampleFacts:
    """What the tables group a sample by.

    strength: of the degradation, as a share of the side (`strength` of trainers/metrics/nme.py). pose_gap: degrees,
    similarity: a cosine, both of the first reference; NaN if the sample does not say, or has no reference. row: of the
    split.
    """

    row: int
    key: str
    identity: str
    recipe: str
    strength: float
    pose_gap: float
    similarity: float
    references: int


@dataclass(frozen=True, eq=False)
class EvaluationBatch:
    """B samples: their facts, and all that a method may see of them, and the truth, on the device."""

    facts: tuple[SampleFacts, ...]
    seen: DeviceBatch

    @property
    def truth(self) -> Tensor:
        """The ground truths (B, 3, S, S), uint8, on the CPU."""
        return as_saved(self.seen.target)

    @property
    def first_references(self) -> Tensor:
        """The first references (B, 3, S, S), uint8, on the CPU; black where there is none."""
        return as_saved(self.seen.references[:, 0])


def as_saved(images: Tensor) -> Tensor:
    """uint8 on the CPU, as images in [-1, 1] are saved."""
    levels = ((images.float() + 1) * 127.5).round().clamp(0, 255)
    return levels.nan_to_num(0).to("cpu", torch.uint8)


def as_seen(images: Tensor, device: torch.device) -> Tensor:
    """Saved images (N, 3, S, S), uint8, as float32 in [-1, 1] on the device."""
    return images.to(device).float() / 127.5 - 1


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """The samples of a split, at the side at which they are judged.

    embedder: of the embeddings in the shards. references: the number to read of each sample, if it has them. rows:
    which samples. left_out: why samples could not be read, by key; filled while they are.
    """

    reader: ShardReader
    split: str
    side_px: int
    size_px: int
    embedder: str
    references: int
    rows: Sequence[int]
    seed: int
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The folder or address of the shards."""
        return self.reader.sets[0].folder.shown

    @property
    def digest(self) -> str:
        """SHA-256 of the shards."""
        return self.reader.sets[0].digest

    @property
    def keys(self) -> list[str]:
        """The keys of all samples, those that cannot be read too."""
        return [self.reader.sets[0].key(row) for row in self.rows]

    def batches(
        self, rows: Sequence[int], batch_size: int, device: torch.device, points: PointsSource
    ) -> Iterator[EvaluationBatch]:
        """The samples of these rows in batches; those that cannot be read are left out, and noted in `left_out`."""
        for first in range(0, len(rows), batch_size):
            loaded = [self._load(row) for row in rows[first : first + batch_size]]
            if found := [one for one in loaded if one is not None]:
                yield self._batch(found, device, points)

    def _load(self, row: int) -> tuple[Sample, SampleFacts] | None:
        try:
            files = self.reader.files(0, row)
            record = read_json(files[JSON.name("json")])
            count = min(self.references, stored_references(files))
            sample = decode_sample(files, range(count), size_px=self.side_px)
        except (BadSample, ValueError) as error:
            self.left_out[self.reader.sets[0].key(row)] = str(error)
            return None
        return sample, _facts(row, sample, record, self.side_px)

    def _batch(
        self, loaded: Sequence[tuple[Sample, SampleFacts]], device: torch.device, points: PointsSource
    ) -> EvaluationBatch:
        samples, facts = zip(*loaded, strict=True)
        degraded = self._degraded(samples).to(device)
        prepared = [
            Prepared(number, self._sized(sample), derive_seed(self.seed, f"{sample.key} evaluated", 0) >> 1)
            for number, sample in enumerate(samples)
        ]
        seen = to_device(
            collate(prepared, self.references),
            device,
            lambda _target, _program: degraded,
            warp_for(self.size_px),
            torch.float32,
            (-1.0, 1.0),
            points,
        )
        return EvaluationBatch(tuple(facts), seen)

    def _sized(self, sample: Sample) -> Sample:
        """The sample without its degraded face and theta, which belong to the stored side."""
        bare = replace(sample, degraded=None, theta=())
        return bare if self.size_px == self.side_px else reduced(bare, self.size_px)

    def _degraded(self, samples: Sequence[Sample]) -> Tensor:
        """The stored degraded faces, resized back to the stored side, and then reduced: (B, 3, S, S) in [0, 1]."""
        packed = pad_batch([sample.degraded for sample in samples if sample.degraded is not None])
        full = resize_back(
            replace(
                packed, pixels=packed.pixels.to(torch.float32, memory_format=torch.contiguous_format) / 255
            ),
            self.side_px,
            self.side_px,
        )
        factor = self.side_px // self.size_px
        return full if factor == 1 else functional.avg_pool2d(full, factor)


def open_evaluation_set(
    place: str, split: str, size_px: int | None, samples: int | None, seed: int
) -> EvaluationSet:
    """The samples of a split, with one reference each. samples: at most so many, of as many people as possible.

    Raises UserError if there is no such set or split, or if its faces cannot be judged at this side.
    """
    try:
        shards_at = shards_of(place)
        info = probe(shards_at, split)
        shards = open_shards(shards_at, split)
    except StreamError as error:
        raise UserError(f"--data {place} cannot be used: {error}") from None
    size = size_px or info.side_px
    if size > info.side_px or info.side_px % size:
        raise UserError(
            f"--size is the side of the faces of the set, {info.side_px} px, or a whole part of it, not {size}"
        )
    rows = range(len(shards)) if samples is None else sorted(spread_rows(shards, samples))
    return EvaluationSet(ShardReader([shards]), split, info.side_px, size, info.embedder, 1, rows, seed)


def _facts(row: int, sample: Sample, record: dict[str, Any], side_px: int) -> SampleFacts:
    listed = record["references"]
    first = listed[0] if listed else {}
    return SampleFacts(
        row=row,
        key=sample.key,
        identity=sample.identity,
        recipe=str(record.get("recipe", ""))[:40],
        strength=_strength(sample.theta, side_px),
        pose_gap=_number(first.get("pose_gap")),
        similarity=_number(first.get("similarity")),
        references=len(listed),
    )


def _strength(theta: Theta, side_px: int) -> float:
    return float(strength([theta], side_px)[0])


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
