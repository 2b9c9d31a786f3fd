"""Targets with their references in rank order, and the references that the copy guard refused."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.album import Album
from pipeline.report.sampling import spread
from pipeline.report.thumbnails import Picture
from pipeline.storage import Storage
from schemas.reject import Reject

_TARGETS = 12
_GUARDED = 4  # targets of which a reference was refused
_REFERENCES = 4


@dataclass(frozen=True)
class Reference:
    """A reference. landmark_distance as a share of the crop's side; pose_gap in degrees; rank None: refused."""

    picture: Picture | None
    key: str
    rank: int | None
    landmark_distance: float | None
    similarity: float | None
    pose_gap: float | None
    detail: str | None


@dataclass(frozen=True)
class Target:
    """A face and its references, best first, then those that were refused."""

    picture: Picture | None
    key: str
    identity: str | None
    references: list[Reference]


@dataclass(frozen=True)
class References:
    """Some targets, and of how many."""

    targets_total: int
    refused_total: int
    targets: list[Target]


def references(storage: Storage, album: Album) -> References:
    """Collect targets with references."""
    pairs = storage.scan("pairs")
    pairs = pairs.filter(pc.is_valid(pairs.column("reference")))
    refused = pairs.filter(pc.equal(pairs.column("reject"), Reject.COPY.value))
    all_targets = sorted(pc.unique(pairs.column("target")).to_pylist())
    guarded = spread(sorted(pc.unique(refused.column("target")).to_pylist()), _GUARDED)
    others = [target for target in all_targets if target not in set(guarded)]
    chosen = guarded + spread(others, _TARGETS - len(guarded))
    return References(len(all_targets), len(refused), [_target(face, pairs, album) for face in chosen])


def _target(face: str, pairs: pa.Table, album: Album) -> Target:
    rows = pairs.filter(pc.equal(pairs.column("target"), face)).to_pylist()
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"] or 0, row["landmark_distance"] or 0))
    accepted = [row for row in rows if row["reject"] is None]
    refused = [row for row in rows if row["reject"] is not None]
    return Target(
        picture=album.face(face),
        key=album.origin(face).key,
        identity=rows[0]["identity"],
        references=[_reference(row, album) for row in accepted[:_REFERENCES] + refused[:_REFERENCES]],
    )


def _reference(row: dict[str, Any], album: Album) -> Reference:
    return Reference(
        picture=album.face(row["reference"]),
        key=album.origin(row["reference"]).key,
        rank=row["rank"],
        landmark_distance=row["landmark_distance"],
        similarity=row["similarity"],
        pose_gap=row["pose_gap"],
        detail=row["reject_detail"],
    )
