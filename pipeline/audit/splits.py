"""People and shots of a set that lie in two splits."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from facerefs.pipeline.audit.people import people_of_faces
from facerefs.pipeline.build.leakage import leakage
from facerefs.pipeline.storage.folder import Storage


@dataclass(frozen=True)
class StrayPerson:
    """A person with faces in several splits. faces: how many in each; shown: one face of each split."""

    name: str
    faces: dict[str, int]
    shown: dict[str, str]


@dataclass(frozen=True)
class StrayShot:
    """Two copies of one shot in different splits."""

    face: str
    other: str
    split: str
    other_split: str
    photo: str
    other_photo: str
    why: str


@dataclass(frozen=True)
class SplitFindings:
    """Who and what lies in two splits. unknown: faces in samples of whom the build knows no person."""

    faces: int
    unknown: int
    people: int
    strays: list[StrayPerson]  # those with most faces outside their main split first
    copies: int  # pairs of copies in the whole build
    shots: list[StrayShot]


def split_findings(storage: Storage) -> SplitFindings:
    """The findings for the samples of a build. A face is in the splits of its samples, as target or as reference.

    Who is who is what the labels and clusters of the build say, not what published lists do.
    """
    splits_of = _splits_of_faces(storage)
    person = people_of_faces(storage)
    faces_of: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for face in sorted(splits_of):
        if (name := person.get(face)) is not None:
            for split in sorted(splits_of[face]):
                faces_of[name][split].append(face)
    strays = [_stray(name, of_split) for name, of_split in faces_of.items() if len(of_split) > 1]
    strays.sort(key=lambda one: (max(one.faces.values()) - sum(one.faces.values()), one.name))
    found = leakage(storage)
    keys = {row["id"]: row["key"] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    return SplitFindings(
        faces=len(splits_of),
        unknown=sum(person.get(face) is None for face in splits_of),
        people=len(faces_of),
        strays=strays,
        copies=found.pairs,
        shots=[_shot(row, keys) for row in found.two_splits.to_pylist()],
    )


def _splits_of_faces(storage: Storage) -> dict[str, set[str]]:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in _samples(storage):
        for face in (row["target"], *row["references"]):
            splits[face].add(row["split"])
    return splits


def _samples(storage: Storage) -> Iterator[dict[str, Any]]:
    for name in storage.parts("samples"):
        rows = storage.read("samples", name, ("split", "target", "references", "reject")).to_pylist()
        yield from (row for row in rows if row["reject"] is None)


def _stray(name: str, of_split: dict[str, list[str]]) -> StrayPerson:
    faces = Counter({split: len(found) for split, found in of_split.items()})
    return StrayPerson(
        name, dict(faces.most_common()), {split: found[0] for split, found in of_split.items()}
    )


def _shot(row: dict[str, Any], keys: dict[str, str]) -> StrayShot:
    return StrayShot(
        face=row["face"],
        other=row["other"],
        split=row["split"],
        other_split=row["other_split"],
        photo=keys[row["face"]],
        other_photo=keys[row["other"]],
        why=row["why"],
    )
