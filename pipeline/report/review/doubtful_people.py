"""The decisions on who is who that are nearest to having been made otherwise."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.decision import (
    Decision,
    Group,
    Side,
    face_side,
    least_certain,
    once_each,
)
from facerefs.pipeline.report.review.paste import first_that_shows, line
from facerefs.pipeline.report.sections.people import identified, typical_face
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure

_OF_FACES = {
    "Kept": ("kept", "discovered"),
    "Moved to another person": ("corrected",),
    "Dropped": ("dropped",),
}
_COSINES = "The cosines are to the centre of the person and to that of the nearest other."
_ONE_OF_EACH = (
    "The least certain face of each name, beside the most typical one of whom it was compared with."
)


def doubtful_people(storage: Storage, album: Album) -> Iterator[Group]:
    """Faces, then names; a group may be empty."""
    rows = storage.scan("identities")
    rows = rows.filter(pc.invert(pc.fill_null(rows["forced"], False)))
    rows = rows.sort_by([("certainty", "ascending"), ("face", "ascending")])
    known = identified(storage)
    for title, decisions in _OF_FACES.items():
        own = rows.filter(pc.is_in(rows["decision"], pa.array(decisions)))
        shown = [_face(row, known, album) for row in least_certain(own).to_pylist()]
        yield Group(title, _COSINES, len(own), shown)
    for title, decision, show in (
        ("Names taken for one person", "merged", _merged),
        ("Names taken for several people", "split", _split),
    ):
        names = once_each(rows.filter(pc.equal(rows["decision"], decision)), ["label", "identity"])
        shown = [show(row, known, album) for row in least_certain(names).to_pylist()]
        yield Group(title, _ONE_OF_EACH, len(names), shown)


def _face(row: dict[str, Any], known: pa.Table, album: Album) -> Decision:
    """A face: whose it was taken for, and whose it could be as well."""
    own, other = row["identity"] or row["label"], row["other"]
    if row["decision"] == "corrected":
        rest = [("it is", own), ("was labelled", row["label"])]
    else:
        rest = [("labelled" if row["identity"] is None else "its person", own), ("nearest other", other)]
    sides = [face_side(album, row["face"], "this face", row["label"])]
    sides += [_typical(name, role, known, album, row["face"]) for role, name in rest if name is not None]
    if row["decision"] in ("kept", "discovered"):
        lines = [line("drop", row["face"])]
    elif row["label"] is not None:
        lines = [line("keep", row["face"])]
    else:
        lines = [] if other is None else [line("same", row["face"], other)]
    return _decision(row, sides, lines)


def _merged(row: dict[str, Any], known: pa.Table, album: Album) -> Decision:
    """A label that was taken for another name of a person."""
    sides = [
        face_side(album, row["face"], "merged, labelled", row["label"]),
        _typical(row["identity"], "one with", known, album, row["face"]),
    ]
    return _decision(row, sides, _of_names("different", row, known, row["label"], row["identity"]))


def _split(row: dict[str, Any], known: pa.Table, album: Album) -> Decision:
    """A person who was found under the name of another."""
    sides = [
        face_side(album, row["face"], "split, labelled", row["label"]),
        _typical(row["label"], "apart from", known, album, row["face"]),
    ]
    return _decision(row, sides, _of_names("same", row, known, row["identity"], row["label"]))


def _of_names(
    word: str, row: dict[str, Any], known: pa.Table, name: str | None, other: str | None
) -> list[str]:
    """The decision on two names; or, if those cannot be pasted, on a face of each."""
    lines = [line(word, name, other)] if name is not None and other is not None and name != other else []
    compared = row["identity"] if word == "different" else row["label"]
    others = known.filter(pc.not_equal(known["face"], row["face"]))
    if word == "different":  # from faces of the other name, not from those that share its own
        others = others.filter(pc.fill_null(pc.not_equal(others["label"], row["label"]), True))
    typical = typical_face(others, compared)
    if typical is not None:
        lines.append(line(word, row["face"], typical))
    return lines


def _decision(row: dict[str, Any], sides: list[Side], lines: list[str]) -> Decision:
    figures = [("own", figure(row["similarity"])), ("other", figure(row["other_similarity"]))]
    return Decision(row["decision"], sides, figures, row["certainty"], row["why"], first_that_shows(lines))


def _typical(name: str, role: str, known: pa.Table, album: Album, besides: str) -> Side:
    face = typical_face(known.filter(pc.not_equal(known["face"], besides)), name)
    return Side(None, role, name, "nobody else") if face is None else face_side(album, face, role, name)
