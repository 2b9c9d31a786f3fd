"""Labels that were not taken as they stood: corrected, dropped, merged, split; with the faces that tell why."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.sections.people import identified, typical_face
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage

_CASES = 12
_RENAMINGS = 6
_FACES = 5


@dataclass(frozen=True)
class Typical:
    """The typical face of a person, and how like its centre the face in question is (cosine)."""

    name: str
    picture: Picture | None
    similarity: float | None


@dataclass(frozen=True)
class Case:
    """A face whose label was corrected or dropped."""

    picture: Picture | None
    key: str
    label: str | None
    identity: str | None
    labelled: Typical | None  # whom the label names
    other: Typical | None  # who it is, or the nearest other person
    why: str | None


@dataclass(frozen=True)
class Renaming:
    """Faces of a label under a person's name: another name of that person (merged), or one of two (split)."""

    label: str
    identity: str
    count: int
    faces: list[Picture | None]
    person_faces: list[Picture | None]
    why: str | None


@dataclass(frozen=True)
class Labels:
    """Examples, and of how many."""

    corrected_total: int
    dropped_total: int
    merged_total: int
    split_total: int
    corrected: list[Case]
    dropped: list[Case]
    merged: list[Renaming]
    split: list[Renaming]


def labels(storage: Storage, album: Album) -> Labels:
    """Collect what was decided against labels."""
    rows = storage.scan("identities").sort_by([("label", "ascending"), ("face", "ascending")])
    known = identified(storage)
    corrected, dropped, merged, split = (
        rows.filter(pc.equal(rows.column("decision"), decision))
        for decision in ("corrected", "dropped", "merged", "split")
    )
    merged_names, split_names = _names(merged), _names(split)
    return Labels(
        corrected_total=len(corrected),
        dropped_total=len(dropped),
        merged_total=len(merged_names),
        split_total=len(split_names),
        corrected=[_case(row, known, album) for row in _some(corrected)],
        dropped=[_case(row, known, album) for row in _some(dropped)],
        merged=[
            _renaming(name, merged, known, "identity", album) for name in spread(merged_names, _RENAMINGS)
        ],
        split=[_renaming(name, split, known, "label", album) for name in spread(split_names, _RENAMINGS)],
    )


def _names(rows: pa.Table) -> list[dict[str, Any]]:
    names = rows.group_by(["label", "identity"]).aggregate([("face", "count")])
    names = names.sort_by([("label", "ascending"), ("identity", "ascending")])
    return list(names.to_pylist())


def _some(rows: pa.Table) -> list[dict[str, Any]]:
    return [rows.slice(at, 1).to_pylist()[0] for at in spread(range(len(rows)), _CASES)]


def _case(row: dict[str, Any], known: pa.Table, album: Album) -> Case:
    moved = row["identity"] is not None
    # The row's figures are of the person it belongs to; of a dropped face, of the one the label names.
    to_label = None if moved else row["similarity"]
    other, to_other = (
        (row["identity"], row["similarity"]) if moved else (row["other"], row["other_similarity"])
    )
    return Case(
        picture=album.face(row["face"]),
        key=album.origin(row["face"]).key,
        label=row["label"],
        identity=row["identity"],
        labelled=_typical(row["label"], to_label, known, album),
        other=_typical(other, to_other, known, album),
        why=row["why"],
    )


def _typical(name: str | None, similarity: float | None, known: pa.Table, album: Album) -> Typical | None:
    if name is None:
        return None
    face = typical_face(known, name)
    return Typical(name, None if face is None else album.face(face), similarity)


def _renaming(name: dict[str, Any], rows: pa.Table, known: pa.Table, end: str, album: Album) -> Renaming:
    """The faces, beside those that kept the name `name[end]`."""
    faces = rows.filter(
        pc.and_(
            pc.equal(rows.column("label"), name["label"]), pc.equal(rows.column("identity"), name["identity"])
        )
    )
    own = known.filter(
        pc.and_(pc.equal(known.column("identity"), name[end]), pc.equal(known.column("decision"), "kept"))
    )
    return Renaming(
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
