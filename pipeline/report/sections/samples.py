"""Samples as a model sees them: degraded face, reference, ground truth, and how the face was degraded."""

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album, Origin
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas import theta

_SAMPLES = 10


@dataclass(frozen=True)
class ShownSample:
    """One sample. degradation: its theta as text."""

    key: str
    split: str
    identity: str
    degraded: Picture | None
    reference: Picture | None
    truth: Picture | None
    mask: Picture | None  # of the truth; also None in sets without masks
    references: int
    synthesised: bool  # whether the first reference was made from the target
    degradation: str
    origins: list[Origin]  # of the target, then of the first reference

    @property
    def truth_key(self) -> str:
        """The key of the target's photo."""
        return self.origins[0].key

    @property
    def reference_key(self) -> str | None:
        """The key of the photo of the first reference; None if the reference was made from the target."""
        return None if self.synthesised else self.origins[-1].key


@dataclass(frozen=True)
class SplitCounts:
    """The sizes of one split."""

    name: str
    samples: int
    people: int
    shards: int
    size_bytes: int


@dataclass(frozen=True)
class SamplesSection:
    """Some samples, the total number, and the splits."""

    total: int
    splits: list[SplitCounts]
    samples: list[ShownSample]


def samples(storage: Storage, album: Album) -> SamplesSection:
    """The samples of a build to show."""
    table = storage.scan("samples")
    table = table.filter(pc.is_null(table.column("reject"))).sort_by("key")
    chosen = [table.slice(at, 1).to_pylist()[0] for at in spread(range(len(table)), _SAMPLES)]
    return SamplesSection(len(table), _splits(storage), [_sample(row, album) for row in chosen])


def _sample(row: dict[str, Any], album: Album) -> ShownSample:
    degraded, reference, truth, mask = album.sample(row["files"], ("lq", "ref0", "gt", "mask"))
    return ShownSample(
        key=row["key"],
        split=row["split"],
        identity=row["identity"],
        degraded=degraded,
        reference=reference,
        truth=truth,
        mask=mask,
        references=len(row["references"]),
        synthesised=row["target"] in row["references"][:1],
        degradation=theta.describe(theta.from_json(row["theta"])),
        origins=[album.origin(face) for face in dict.fromkeys((row["target"], *row["references"][:1]))],
    )


def _splits(storage: Storage) -> list[SplitCounts]:
    rows = storage.scan("samples", ("part", "split", "identity", "reject"))
    rows = rows.filter(pc.is_null(rows.column("reject")))
    splits = []
    for name in ("train", "val", "test"):
        own = rows.filter(pc.equal(rows.column("split"), name))
        parts = [storage.part("samples", part) for part in pc.unique(own.column("part")).to_pylist()]
        size = sum(part.tar.size for part in parts if part and part.tar)
        splits.append(
            SplitCounts(name, len(own), pc.count_distinct(own.column("identity")).as_py(), len(parts), size)
        )
    return splits
