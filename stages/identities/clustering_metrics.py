"""Metrics of a clustering of faces against the truth: pairwise and BCubed.

Arguments are int64 (N,): the number of each face's true and of its found group. UNASSIGNED (-1) is a group of its own
for every such face. It is in no pair, so leaving faces out lowers recall, not precision.
"""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.people import UNASSIGNED


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision, recall, and their harmonic mean `f`; each 0 to 1."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """2 P R / (P + R), 0 if both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def pairwise(truth: Int64s, found: Int64s) -> PrecisionRecall:
    """Precision and recall over pairs of faces in one group; 1 where there are no pairs."""
    right, true, predicted = (
        _pairs(np.unique(groups, return_counts=True)[1]) for groups in _numbered(truth, found)
    )
    return PrecisionRecall(right / predicted if predicted else 1.0, right / true if true else 1.0)


def bcubed(truth: Int64s, found: Int64s) -> PrecisionRecall:
    """The mean over faces of the precision and recall of the face's group, itself included (Bagga and Baldwin 1998).

    Raises ValueError without faces.
    """
    together, true, predicted = (np.bincount(groups)[groups] for groups in _numbered(truth, found))
    if not len(together):
        raise ValueError("BCubed of no faces")
    return PrecisionRecall(float((together / predicted).mean()), float((together / true).mean()))


def _numbered(truth: Int64s, found: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """For each face the numbers of its pair of groups, its true group and its found group, from 0 without gaps."""
    true, predicted = (
        np.unique(np.where(groups == UNASSIGNED, -1 - np.arange(len(groups)), groups), return_inverse=True)[1]
        for groups in (np.asarray(truth, np.int64), np.asarray(found, np.int64))
    )
    joint = np.unique(true * (predicted.max(initial=0) + 1) + predicted, return_inverse=True)[1]
    return joint, true, predicted


def _pairs(sizes: Int64s) -> float:
    return float((sizes * (sizes - 1) // 2).sum())
