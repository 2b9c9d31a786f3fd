"""Which candidates a target gets: the best by a score, or those that differ most from each other."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.references.comparison import Compared, inner
from facerefs.stages.references.face_arrays import Block
from facerefs.stages.references.reasons import COPY, FREE, SESSION, Reasons

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class Chosen:
    """Pairs as arrays of one length: references, and shots of the target that would have been references."""

    target: Int64s  # place among the portraits
    reference: Int64s
    rank: Int64s  # -1 for a refused one
    place: Int64s  # rank; of a refused one what its rank were if it were none's shot
    reason: Reasons  # FREE, SESSION, UNSURE, COPY
    landmark_distance: Float32s
    similarity: Float32s
    pose_gap: Float32s
    hash_distance: Int64s

    def take(self, rows: NDArray[np.bool_]) -> "Chosen":
        """The pairs for which `rows` is true."""
        return Chosen(*(getattr(self, column.name)[rows] for column in fields(Chosen)))

    @classmethod
    def joined(cls, parts: list["Chosen"]) -> "Chosen":
        """The pairs of all parts; there must be one part."""
        return cls(
            *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls))
        )


def chosen(
    block: Block, pairs: Compared, why: Reasons, picks: Int64s, refused: tuple[Int64s, Int64s, Int64s, Int64s]
) -> Chosen:
    """The pairs of a block that go on. why: (P, t, n). picks: (P, t, k), from `best` or `farthest`."""
    person, target, rank = np.nonzero(picks >= 0)
    free = person, target, picks[person, target, rank], rank
    person, target, reference, place = (np.concatenate(both) for both in zip(free, refused, strict=True))
    at = person, target, reference
    return Chosen(
        target=block.target(person, target),
        reference=block.reference(person, reference),
        rank=np.where(why[at] == FREE, place, -1),
        place=place,
        reason=why[at],
        landmark_distance=pairs.landmark_distance[at],
        similarity=pairs.similarity[at],
        pose_gap=pairs.pose_gap[at],
        hash_distance=pairs.hash_distance[at],
    )


def best(score: Scores, why: Reasons, k: int) -> Int64s:
    """The k free candidates of each target with the smallest score, (P, t, k), -1 where there are fewer.

    score and why: (P, t, n). Of equal ones the first is better.
    """
    order = np.argsort(np.where(why == FREE, score, np.inf), axis=2, kind="stable")[:, :, :k]
    return np.where(np.take_along_axis(why, order, axis=2) == FREE, order, -1)


def farthest(score: Scores, why: Reasons, vectors: Float32s, k: int) -> Int64s:
    """k free candidates of each target by farthest-point sampling, (P, t, k), -1 where there are fewer.

    The first is that with the smallest score, each further one that whose largest cosine to those before is the
    smallest; of equal ones the first. score and why: (P, t, n); vectors: float32 (P, n, D), unit length.
    """
    people, targets, size = why.shape
    person, target = np.ogrid[:people, :targets]
    nearest = np.where(why == FREE, np.float32(-np.inf), np.float32(np.inf))
    picks = np.full((people, targets, min(k, size)), -1)
    pick = np.where(why == FREE, score, np.inf).argmin(axis=2)
    for rank in range(picks.shape[2]):
        if rank:
            nearest = np.maximum(nearest, inner(vectors[person, picks[:, :, rank - 1]], vectors))
            pick = nearest.argmin(axis=2)
        there = nearest[person, target, pick] < np.inf
        picks[:, :, rank] = np.where(there, pick, -1)
        nearest[person, target, pick] = np.inf
    return picks


def refused(score: Scores, why: Reasons, k: int) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Person, target, candidate and place of the target's own shots that would have been among its k best.

    score and why: (P, t, n). Four arrays of one length.
    """
    person, target = np.nonzero((why >= SESSION).any(axis=2))
    score, why = score[person, target], why[person, target]
    barred = (why != FREE) & (why < SESSION)
    order = np.argsort(np.where(barred, np.inf, score), axis=1, kind="stable")[:, :k]
    why = np.take_along_axis(why, order, axis=1)
    row, place = np.nonzero((why >= SESSION) & (why <= COPY))
    return person[row], target[row], order[row, place], place
