"""Choose the references of a target: the best by a score, or those that differ most from each other."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.references.comparison import Compared
from facerefs.stages.references.face_arrays import Block
from facerefs.stages.references.reasons import ALLOWED, COPY, SESSION, Reasons
from facerefs.stages.search.similarity import inner_products

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class ChosenPairs:
    """Pairs as arrays of one length: references, and copies and session shots that would have been references."""

    target: Int64s  # row in `FaceArrays`
    reference: Int64s
    rank: Int64s  # 0 is the best; -1 for a refused one
    place: Int64s  # the rank, or the rank that a refused one would have had
    reason: Reasons  # ALLOWED, SESSION, UNSURE, COPY
    landmark_distance: Float32s
    similarity: Float32s
    pose_gap: Float32s
    hash_distance: Int64s

    def take(self, rows: NDArray[np.bool_] | Int64s) -> "ChosenPairs":
        """Some of the pairs: those for which `rows` is true, or those with these numbers."""
        return ChosenPairs(*(getattr(self, column.name)[rows] for column in fields(ChosenPairs)))

    @classmethod
    def concatenated(cls, parts: list["ChosenPairs"]) -> "ChosenPairs":
        """The pairs of all parts, of which there must be at least one."""
        return cls(
            *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls))
        )


def chosen_pairs(
    block: Block, pairs: Compared, why: Reasons, picks: Int64s, refused: tuple[Int64s, Int64s, Int64s, Int64s]
) -> ChosenPairs:
    """The chosen and the refused pairs of a block. why: (P, t, n). picks: (P, t, k), from `best` or `farthest`."""
    person, target, rank = np.nonzero(picks >= 0)
    free = person, target, picks[person, target, rank], rank
    person, target, reference, place = (np.concatenate(both) for both in zip(free, refused, strict=True))
    at = person, target, reference
    return ChosenPairs(
        target=block.target(person, target),
        reference=block.reference(person, reference),
        rank=np.where(why[at] == ALLOWED, place, -1),
        place=place,
        reason=why[at],
        landmark_distance=pairs.landmark_distance[at],
        similarity=pairs.similarity[at],
        pose_gap=pairs.pose_gap[at],
        hash_distance=pairs.hash_distance[at],
    )


def best(score: Scores, why: Reasons, k: int) -> Int64s:
    """The k allowed candidates of each target with the smallest score, (P, t, k), -1 where there are fewer.

    score and why: (P, t, n). Of candidates with equal scores the first is better.
    """
    order = np.argsort(np.where(why == ALLOWED, score, np.inf), axis=2, kind="stable")[:, :, :k]
    return np.where(np.take_along_axis(why, order, axis=2) == ALLOWED, order, -1)


def farthest(score: Scores, why: Reasons, vectors: Float32s, k: int) -> Int64s:
    """k allowed candidates of each target by farthest-point sampling, (P, t, k), -1 where there are fewer.

    The first is the one with the smallest score; each further one has the smallest largest cosine to those before it;
    of equal ones the first. score and why: (P, t, n); vectors: float32 (P, n, D), unit length.
    """
    people, targets, size = why.shape
    person, target = np.ogrid[:people, :targets]
    nearest = np.where(why == ALLOWED, np.float32(-np.inf), np.float32(np.inf))
    picks = np.full((people, targets, min(k, size)), -1)
    pick = np.where(why == ALLOWED, score, np.inf).argmin(axis=2)
    for rank in range(picks.shape[2]):
        if rank:
            last = vectors[person, picks[:, :, rank - 1]]
            nearest = np.maximum(nearest, inner_products(last[:, :, None], vectors[:, None]))
            pick = nearest.argmin(axis=2)
        there = nearest[person, target, pick] < np.inf
        picks[:, :, rank] = np.where(there, pick, -1)
        nearest[person, target, pick] = np.inf
    return picks


def refused(score: Scores, why: Reasons, k: int) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Person, target, candidate and place of the copies and session shots that would have been among the k best.

    score and why: (P, t, n). Four arrays of one length.
    """
    person, target = np.nonzero((why >= SESSION).any(axis=2))
    score, why = score[person, target], why[person, target]
    barred = (why != ALLOWED) & (why < SESSION)
    order = np.argsort(np.where(barred, np.inf, score), axis=1, kind="stable")[:, :k]
    why = np.take_along_axis(why, order, axis=1)
    row, place = np.nonzero((why >= SESSION) & (why <= COPY))
    return person[row], target[row], order[row, place], place
