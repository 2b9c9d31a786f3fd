"""Scores of the finished set against the planted truth: its people, and its pairs of target and reference."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facerefs.pipeline.commands.demo.plant import PhotoTruth
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.arrays import Int64s
from facerefs.schemas.reject import Reject
from facerefs.stages.identities.clustering_metrics import bcubed, pairwise
from facerefs.stages.identities.people import UNASSIGNED


@dataclass(frozen=True)
class PairScore:
    """Faults among the accepted pairs of target and reference."""

    pairs: int
    of_two_people: int  # pairs
    of_copies: int  # pairs of a photo and its copy
    in_two_splits: int  # shots


@dataclass(frozen=True)
class PeopleScore:
    """How well the identities agree with the true people: pairwise and BCubed F, 0 to 1."""

    people: int
    identities: int
    pairwise_f: float
    bcubed_f: float


@dataclass(frozen=True)
class ScoredFace:
    """A row of `identities`, with the truth about its photo."""

    id: str
    photo: PhotoTruth
    identity: str | None
    decision: str
    reject: str | None


def score_pairs(storage: Storage, truth: list[PhotoTruth]) -> PairScore:
    """Score the accepted pairs: how many show two people, or the same photo twice."""
    by_path = {photo.path: photo for photo in truth}
    photo_of = {row["id"]: by_path[row["key"]] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    pairs = [
        (photo_of[row["target"]], photo_of[row["reference"]])
        for row in storage.scan("pairs", ("target", "reference", "synthesis", "reject")).to_pylist()
        if row["reject"] is None and row["synthesis"] is None
    ]
    return PairScore(
        pairs=len(pairs),
        of_two_people=sum(a.person != b.person for a, b in pairs),
        of_copies=sum(a.shot == b.shot for a, b in pairs),
        in_two_splits=_in_two_splits(storage, photo_of),
    )


def _in_two_splits(storage: Storage, photo_of: dict[str, PhotoTruth]) -> int:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in storage.scan("samples", ("split", "target", "references", "reject")).to_pylist():
        for face in (row["target"], *row["references"]):
            splits[photo_of[face].shot].add(row["split"])
    return sum(len(found) > 1 for found in splits.values())


def score_people(storage: Storage, truth: list[PhotoTruth]) -> PeopleScore:
    """Score the identities against the true people; a rejected face counts as not found."""
    faces = list(scored_faces(storage, {photo.path: photo for photo in truth}))
    faces = [
        face for face in faces if face.reject != Reject.SECOND_NAME
    ]  # another copy of the shot is counted
    true, found = (
        _numbered(names)
        for names in ([face.photo.person for face in faces], [face.identity for face in faces])
    )
    return PeopleScore(
        people=len(np.unique(true)),
        identities=len(np.unique(found[found != UNASSIGNED])),
        pairwise_f=pairwise(true, found).f,
        bcubed_f=bcubed(true, found).f,
    )


def _numbered(names: list[str | None]) -> Int64s:
    numbers = np.unique(np.array([name or "" for name in names], str), return_inverse=True)[1]
    return np.where([name is None for name in names], UNASSIGNED, numbers)


def scored_faces(storage: Storage, truth: dict[str, PhotoTruth]) -> Iterable[ScoredFace]:
    """The faces that `analyse` accepted."""
    key = {row["id"]: row["key"] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    for row in storage.scan("identities", ("face", "identity", "decision", "reject")).to_pylist():
        identity = None if row["reject"] else row["identity"]
        yield ScoredFace(row["face"], truth[key[row["face"]]], identity, row["decision"], row["reject"])
