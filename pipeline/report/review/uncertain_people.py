"""The least certain decisions on identities: faces, then merged and split names."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.decision import (
    Decision,
    DecisionGroup,
    Side,
    face_side,
    first_of_each,
    least_certain,
)
from facerefs.pipeline.report.review.override_lines import first_pasteable, override_line
from facerefs.pipeline.report.sections.people import identified_faces, typical_face
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure

_OF_FACES = {
    "Kept": ("kept", "discovered"),
    "Moved to another person": ("corrected",),
    "Dropped": ("dropped",),
}
_COSINES = (
    "Figures are cosines: to the centre of the face's own person and to that of the nearest other person."
)
_ONE_OF_EACH = (
    "For each name its least certain face, beside the most typical face of the person it was compared with."
)


def uncertain_people(storage: Storage, album: Album) -> Iterator[DecisionGroup]:
    """Groups of decisions: on faces, then on names. A group may be empty."""
    rows = storage.scan("identities")
    rows = rows.filter(pc.invert(pc.fill_null(rows["forced"], False)))
    rows = rows.sort_by([("certainty", "ascending"), ("face", "ascending")])
    known = identified_faces(storage)
    for title, decisions in _OF_FACES.items():
        own = rows.filter(pc.is_in(rows["decision"], pa.array(decisions)))
        shown = [_face(row, known, album) for row in least_certain(own).to_pylist()]
        yield DecisionGroup(title, _COSINES, len(own), shown)
    for title, decision, show in (
        ("Names merged into one person", "merged", _merged),
        ("Names split into several people", "split", _split),
    ):
        names = first_of_each(rows.filter(pc.equal(rows["decision"], decision)), ["label", "identity"])
        shown = [show(row, known, album) for row in least_certain(names).to_pylist()]
        yield DecisionGroup(title, _ONE_OF_EACH, len(names), shown)


def _face(row: dict[str, Any], known: pa.Table, album: Album) -> Decision:
    """The decision on a face: the person it was assigned to, and the person it could be instead."""
    own, other = row["identity"] or row["label"], row["other"]
    if row["decision"] == "corrected":
        rest = [("it is", own), ("was labelled", row["label"])]
    else:
        rest = [("labelled" if row["identity"] is None else "its person", own), ("nearest other", other)]
    sides = [face_side(album, row["face"], "this face", row["label"])]
    sides += [_typical(name, role, known, album, row["face"]) for role, name in rest if name is not None]
    if row["decision"] in ("kept", "discovered"):
        lines = [override_line("drop", row["face"])]
    elif row["label"] is not None:
        lines = [override_line("keep", row["face"])]
    else:
        lines = [] if other is None else [override_line("same", row["face"], other)]
    return _decision(row, sides, lines)


def _merged(row: dict[str, Any], known: pa.Table, album: Album) -> Decision:
    """The decision that a label is another name of a person."""
    sides = [
        face_side(album, row["face"], "merged label", row["label"]),
        _typical(row["identity"], "merged into", known, album, row["face"]),
    ]
    return _decision(row, sides, _of_names("different", row, known, row["label"], row["identity"]))


def _split(row: dict[str, Any], known: pa.Table, album: Album) -> Decision:
    """The decision that a second person was found under a label."""
    sides = [
        face_side(album, row["face"], "split from", row["label"]),
        _typical(row["label"], "kept the name", known, album, row["face"]),
    ]
    return _decision(row, sides, _of_names("same", row, known, row["identity"], row["label"]))


def _of_names(
    decision: str, row: dict[str, Any], known: pa.Table, name: str | None, other: str | None
) -> list[str]:
    """Lines of overrides.csv on two names and, if those cannot be pasted, on a face of each."""
    lines = (
        [override_line(decision, name, other)]
        if name is not None and other is not None and name != other
        else []
    )
    compared = row["identity"] if decision == "different" else row["label"]
    others = known.filter(pc.not_equal(known["face"], row["face"]))
    if decision == "different":  # from faces of the other name, not from those that share its own
        others = others.filter(pc.fill_null(pc.not_equal(others["label"], row["label"]), True))
    typical = typical_face(others, compared)
    if typical is not None:
        lines.append(override_line(decision, row["face"], typical))
    return lines


def _decision(row: dict[str, Any], sides: list[Side], lines: list[str]) -> Decision:
    figures = [("own person", figure(row["similarity"])), ("nearest other", figure(row["other_similarity"]))]
    return Decision(row["decision"], sides, figures, row["certainty"], row["why"], first_pasteable(lines))


def _typical(name: str, role: str, known: pa.Table, album: Album, besides: str) -> Side:
    face = typical_face(known.filter(pc.not_equal(known["face"], besides)), name)
    return Side(None, role, name, "no other face") if face is None else face_side(album, face, role, name)
