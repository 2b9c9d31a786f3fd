"""Targets with their references in rank order, and the references that were refused as copies."""

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
_TARGETS_WITH_REFUSED = 4  # of the targets: at least one reference was refused
_REFERENCES = 4


@dataclass(frozen=True)
class ShownReference:
    """A reference. landmark_distance: share of the crop's side; pose_gap: degrees; rank: None if it was refused."""

    picture: Picture | None
    key: str
    rank: int | None
    landmark_distance: float | None
    similarity: float | None
    pose_gap: float | None
    synthesised: bool
    elsewhere: bool  # made elsewhere
    reject: str | None
    detail: str | None


@dataclass(frozen=True)
class ShownTarget:
    """A target face and its references, best first, then the refused ones."""

    picture: Picture | None
    key: str
    identity: str | None
    references: list[ShownReference]


@dataclass(frozen=True)
class References:
    """Some targets, and the total numbers of targets and of refused references."""

    targets_total: int
    copies_total: int  # references that were refused as copies
    sessions_total: int  # and as of the same session
    targets: list[ShownTarget]


def references(storage: Storage, album: Album) -> References:
    """The targets to show, with their references."""
    pairs = storage.scan("pairs")
    pairs = pairs.filter(pc.is_valid(pairs.column("reference")))
    refused = pairs.filter(
        pc.is_in(pairs.column("reject"), pa.array([Reject.COPY.value, Reject.SESSION.value]))
    )
    all_targets = sorted(pc.unique(pairs.column("target")).to_pylist())
    with_refused = spread(sorted(pc.unique(refused.column("target")).to_pylist()), _TARGETS_WITH_REFUSED)
    others = [target for target in all_targets if target not in set(with_refused)]
    chosen = with_refused + spread(others, _TARGETS - len(with_refused))
    copies, sessions = (
        int(pc.sum(pc.equal(refused["reject"], reason.value)).as_py() or 0)
        for reason in (Reject.COPY, Reject.SESSION)
    )
    targets = [_target(face, pairs, album, storage) for face in chosen]
    return References(len(all_targets), copies, sessions, targets)


def _target(face: str, pairs: pa.Table, album: Album, storage: Storage) -> ShownTarget:
    rows = pairs.filter(pc.equal(pairs.column("target"), face)).to_pylist()
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"] or 0, row["landmark_distance"] or 0))
    accepted = [row for row in rows if row["reject"] is None]
    refused = [row for row in rows if row["reject"] is not None]
    return ShownTarget(
        picture=album.face(face),
        key=album.origin(face).key,
        identity=rows[0]["identity"],
        references=[
            _reference(row, album, storage) for row in accepted[:_REFERENCES] + refused[:_REFERENCES]
        ],
    )


def _reference(row: dict[str, Any], album: Album, storage: Storage) -> ShownReference:
    synthesised, elsewhere = row["synthesis"] is not None, row.get("elsewhere") is not None
    of_target = synthesised or elsewhere
    return ShownReference(
        picture=_picture_in_sample(row, album, storage) if of_target else album.face(row["reference"]),
        key=album.origin(row["reference"]).key,
        rank=row["rank"],
        landmark_distance=row["landmark_distance"],
        similarity=row["similarity"],
        pose_gap=row["pose_gap"],
        synthesised=synthesised,
        elsewhere=elsewhere,
        reject=row["reject"],
        detail=row["reject_detail"],
    )


def _picture_in_sample(row: dict[str, Any], album: Album, storage: Storage) -> Picture | None:
    """A reference that was made from its target, from its sample."""
    for part in storage.parts("samples"):
        for sample in storage.rows_in("samples", part, "target", {row["target"]}):
            return album.sample(sample["files"], (f"ref{row['rank']}",))[0]
    return None
