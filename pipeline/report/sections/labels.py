"""Labels that were changed: corrected, dropped, merged or split, with the faces that show why."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.sections.people import identified_faces, typical_face
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage

_MAX_FACES_OF_A_KIND = 12
_MAX_LABELS_OF_A_KIND = 6
_FACES = 5


@dataclass(frozen=True)
class TypicalFace:
    """The most typical face of a person. similarity: of the face in question to the person's centre (cosine)."""

    name: str
    picture: Picture | None
    similarity: float | None


@dataclass(frozen=True)
class OverruledFace:
    """A face whose label was corrected or dropped."""

    picture: Picture | None
    key: str
    label: str | None
    identity: str | None
    labelled: TypicalFace | None  # the person that the label names
    other: TypicalFace | None  # the person it was assigned to, or the nearest other person
    why: str | None


@dataclass(frozen=True)
class RenamedLabel:
    """Faces of a label under another name: the label was merged into that person, or split into several people."""

    label: str
    identity: str
    count: int
    faces: list[Picture | None]
    person_faces: list[Picture | None]
    why: str | None


@dataclass(frozen=True)
class LabelChanges:
    """Examples of changed labels, and the total numbers."""

    corrected_total: int
    dropped_total: int
    merged_total: int
    split_total: int
    corrected: list[OverruledFace]
    dropped: list[OverruledFace]
    merged: list[RenamedLabel]
    split: list[RenamedLabel]


def label_changes(storage: Storage, album: Album) -> LabelChanges:
    """The changed labels of a build."""
    rows = storage.scan("identities").sort_by([("label", "ascending"), ("face", "ascending")])
    known = identified_faces(storage)
    corrected, dropped, merged, split = (
        rows.filter(pc.equal(rows.column("decision"), decision))
        for decision in ("corrected", "dropped", "merged", "split")
    )
    merged_names, split_names = _names(merged), _names(split)
    return LabelChanges(
        corrected_total=len(corrected),
        dropped_total=len(dropped),
        merged_total=len(merged_names),
        split_total=len(split_names),
        corrected=[_overruled_face(row, known, album) for row in _some(corrected)],
        dropped=[_overruled_face(row, known, album) for row in _some(dropped)],
        merged=[
            _renamed_label(name, merged, known, "identity", album)
            for name in spread(merged_names, _MAX_LABELS_OF_A_KIND)
        ],
        split=[
            _renamed_label(name, split, known, "label", album)
            for name in spread(split_names, _MAX_LABELS_OF_A_KIND)
        ],
    )


def _names(rows: pa.Table) -> list[dict[str, Any]]:
    names = rows.group_by(["label", "identity"]).aggregate([("face", "count")])
    names = names.sort_by([("label", "ascending"), ("identity", "ascending")])
    return list(names.to_pylist())


def _some(rows: pa.Table) -> list[dict[str, Any]]:
    return [rows.slice(at, 1).to_pylist()[0] for at in spread(range(len(rows)), _MAX_FACES_OF_A_KIND)]


def _overruled_face(row: dict[str, Any], known: pa.Table, album: Album) -> OverruledFace:
    moved = row["identity"] is not None
    # The row's similarity is to its own person; for a dropped face, to the person that the label names.
    to_label = None if moved else row["similarity"]
    other, to_other = (
        (row["identity"], row["similarity"]) if moved else (row["other"], row["other_similarity"])
    )
    return OverruledFace(
        picture=album.face(row["face"]),
        key=album.origin(row["face"]).key,
        label=row["label"],
        identity=row["identity"],
        labelled=_typical(row["label"], to_label, known, album),
        other=_typical(other, to_other, known, album),
        why=row["why"],
    )


def _typical(name: str | None, similarity: float | None, known: pa.Table, album: Album) -> TypicalFace | None:
    if name is None:
        return None
    face = typical_face(known, name)
    return TypicalFace(name, None if face is None else album.face(face), similarity)


def _renamed_label(
    name: dict[str, Any], rows: pa.Table, known: pa.Table, end: str, album: Album
) -> RenamedLabel:
    """The faces of a renamed label, beside faces that kept the name `name[end]`."""
    faces = rows.filter(
        pc.and_(
            pc.equal(rows.column("label"), name["label"]), pc.equal(rows.column("identity"), name["identity"])
        )
    )
    own = known.filter(
        pc.and_(pc.equal(known.column("identity"), name[end]), pc.equal(known.column("decision"), "kept"))
    )
    return RenamedLabel(
        label=name["label"],
        identity=name["identity"],
        count=name["face_count"],
        faces=_best(faces, album),
        person_faces=_best(own, album),
        why=faces.column("why")[0].as_py(),
    )


def _best(rows: pa.Table, album: Album) -> list[Picture | None]:
    rows = rows.sort_by([("similarity", "descending"), ("face", "ascending")]).slice(0, _FACES)
    return [album.face(face) for face in rows.column("face").to_pylist()]
