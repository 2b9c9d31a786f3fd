"""Targets with their references in rank order, and the references that the copy guard refused."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject

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
    synthesised: bool
    reject: str | None
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
    copies_total: int  # references that were refused
    sessions_total: int
    targets: list[Target]


def references(storage: Storage, album: Album) -> References:
    """Collect targets with references."""
    pairs = storage.scan("pairs")
    pairs = pairs.filter(pc.is_valid(pairs.column("reference")))
    refused = pairs.filter(
        pc.is_in(pairs.column("reject"), pa.array([Reject.COPY.value, Reject.SESSION.value]))
    )
    all_targets = sorted(pc.unique(pairs.column("target")).to_pylist())
    guarded = spread(sorted(pc.unique(refused.column("target")).to_pylist()), _GUARDED)
    others = [target for target in all_targets if target not in set(guarded)]
    chosen = guarded + spread(others, _TARGETS - len(guarded))
    copies, sessions = (
        int(pc.sum(pc.equal(refused["reject"], reason.value)).as_py() or 0)
        for reason in (Reject.COPY, Reject.SESSION)
    )
    targets = [_target(face, pairs, album, storage) for face in chosen]
    return References(len(all_targets), copies, sessions, targets)


def _target(face: str, pairs: pa.Table, album: Album, storage: Storage) -> Target:
    rows = pairs.filter(pc.equal(pairs.column("target"), face)).to_pylist()
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"] or 0, row["landmark_distance"] or 0))
    accepted = [row for row in rows if row["reject"] is None]
    refused = [row for row in rows if row["reject"] is not None]
    return Target(
        picture=album.face(face),
        key=album.origin(face).key,
        identity=rows[0]["identity"],
        references=[
            _reference(row, album, storage) for row in accepted[:_REFERENCES] + refused[:_REFERENCES]
        ],
    )


def _reference(row: dict[str, Any], album: Album, storage: Storage) -> Reference:
    synthesised = row["synthesis"] is not None
    return Reference(
        picture=_stored(row, album, storage) if synthesised else album.face(row["reference"]),
        key=album.origin(row["reference"]).key,
        rank=row["rank"],
        landmark_distance=row["landmark_distance"],
        similarity=row["similarity"],
        pose_gap=row["pose_gap"],
        synthesised=synthesised,
        reject=row["reject"],
        detail=row["reject_detail"],
    )


def _stored(row: dict[str, Any], album: Album, storage: Storage) -> Picture | None:
    """A synthesised reference, which is nowhere but in its sample."""
    for part in storage.parts("samples"):
        for sample in storage.rows_in("samples", part, "target", {row["target"]}):
            return album.sample(sample["files"], (f"ref{row['rank']}",))[0]
    return None
