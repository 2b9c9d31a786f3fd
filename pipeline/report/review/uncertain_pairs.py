"""The least certain decisions on copies and sessions, of faces and of photos."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.decision import (
    Decision,
    DecisionGroup,
    Side,
    face_side,
    first_of,
    first_of_each,
    least_certain,
    not_overridden,
    percent,
)
from facerefs.pipeline.report.review.override_lines import first_pasteable, override_line
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DUPLICATES
from facerefs.stages.join import left_join

_COPIES = (
    (
        "copy",
        "Judged to be the same shot",
        "Neither can be a reference of the other. Under two names, one of them is rejected.",
    ),
    ("unsure", "Possibly the same shot", "Treated as two shots of one session, unless you decide otherwise."),
)


def uncertain_pairs(storage: Storage, album: Album) -> Iterator[DecisionGroup]:
    """Groups of decisions: copies of faces, faces of one session, copies of photos. A group may be empty."""
    copies = not_overridden(storage.scan("copies"), "why")
    copies = copies.sort_by([("certainty", "ascending"), ("face", "ascending"), ("other", "ascending")])
    copies = _labelled(copies, storage)
    for kind, title, note in _COPIES:
        own = copies.filter(pc.equal(copies["kind"], kind))
        yield DecisionGroup(title, note, len(own), copies_of_faces(least_certain(own), album))
    yield _sessions(storage, album)
    yield _photos(storage, album)


def _labelled(copies: pa.Table, storage: Storage) -> pa.Table:
    """Rows of `copies` with `label` and `other_label`."""
    labels = storage.scan("identities", ("face", "label"))
    copies = left_join(copies, "face", labels, "face")
    return left_join(copies, "other", labels.rename_columns(["face", "other_label"]), "face")


def copies_of_faces(rows: pa.Table, album: Album) -> list[Decision]:
    """Decisions of rows of `copies`, which may also have columns with identities and splits."""
    return [_copy(row, album) for row in rows.to_pylist()]


def _copy(row: dict[str, Any], album: Album) -> Decision:
    sides = [
        face_side(
            album,
            row[face],
            row.get(f"{prefix}split") or "labelled",
            row.get(f"{prefix}identity") or row.get(f"{prefix}label"),
        )
        for face, prefix in (("face", ""), ("other", "other_"))
    ]
    figures = [
        ("hash distance, bits", _bits(row["hash_distance"], row["mirrored"])),
        ("landmarks", percent(row["landmark_distance"])),
        ("cosine", figure(row["similarity"])),
    ]
    overturn = override_line("copy" if row["kind"] == "unsure" else "keep", row["face"], row["other"])
    return Decision(row["kind"], sides, figures, row["certainty"], row["why"], overturn)


def _sessions(storage: Storage, album: Album) -> DecisionGroup:
    """Pairs of faces that cannot be each other's reference because they are of one session; each pair once."""
    columns = (
        "target",
        "reference",
        "identity",
        "landmark_distance",
        "similarity",
        "reject",
        "reject_detail",
    )
    rows = storage.scan("pairs", columns)
    rows = not_overridden(rows.filter(pc.equal(rows["reject"], Reject.SESSION.value)), "reject_detail")
    ends = rows["target"], rows["reference"]
    rows = rows.append_column("a", pc.min_element_wise(*ends)).append_column("b", pc.max_element_wise(*ends))
    rows = rows.sort_by([("similarity", "ascending"), ("a", "ascending"), ("b", "ascending")])
    pairs = first_of_each(rows, ["a", "b"])
    note = "Neither can be a reference of the other. The least similar pairs come first."
    shown = [_session(row, album) for row in first_of(pairs).to_pylist()]
    return DecisionGroup("Judged to be of one session", note, len(pairs), shown)


def _session(row: dict[str, Any], album: Album) -> Decision:
    faces = row["a"], row["b"]
    sides = [face_side(album, face, "face of", row["identity"]) for face in faces]
    figures = [("landmarks", percent(row["landmark_distance"])), ("cosine", figure(row["similarity"]))]
    return Decision("session", sides, figures, None, row["reject_detail"], override_line("keep", *faces))


def _photos(storage: Storage, album: Album) -> DecisionGroup:
    """Photos that were dropped as near copies, the least similar first."""
    rows = duplicates_after_analysis(storage, tuple(DUPLICATES.names))
    rows = not_overridden(rows.filter(pc.is_valid(rows["reject"])), "why")
    rows = rows.filter(pc.is_in(rows["kind"], pa.array(["near", "mirror"])))
    rows = rows.sort_by([("certain", "ascending"), ("distance", "descending"), ("key", "ascending")])
    note = "The distance is the number of different bits of the perceptual hash."
    shown = [_photo(row, album) for row in first_of(rows).to_pylist()]
    return DecisionGroup("Photos dropped as near copies", note, len(rows), shown)


def _photo(row: dict[str, Any], album: Album) -> Decision:
    sides = [
        Side(album.photo(row["key"]), "dropped", row["label"], row["key"], "photo"),
        Side(album.photo(row["kept_key"]), "kept", row["kept_label"], row["kept_key"], "photo"),
    ]
    figures = [("hash distance, bits", _bits(row["distance"], row["kind"] == "mirror"))]
    lines = [override_line("keep", row["id"])] if row["id"] else []
    return Decision(row["kind"], sides, figures, None, row["why"], first_pasteable(lines))


def _bits(distance: int | None, mirrored: bool | None) -> str:
    return f"{'–' if distance is None else distance}{', mirrored' if mirrored else ''}"
