"""How well a grouping of faces agrees with the truth: pairwise, BCubed and normalised mutual information.

Arguments are int64 (N,): the number of each face's true and of its found group. NOBODY (-1) is a group of its own
for every such face: it is in no pair, and so leaving faces out lowers recall, not precision.
"""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.people import NOBODY


@dataclass(frozen=True)
class Agreement:
    """Precision, recall, and their harmonic mean `f`; each 0 to 1."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """2 P R / (P + R), 0 if both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def pairwise(truth: Int64s, found: Int64s) -> Agreement:
    """Of the pairs put together how many belong together, and the other way round; 1 where there are none."""
    right, true, said = (
        _pairs(np.unique(groups, return_counts=True)[1]) for groups in _numbered(truth, found)
    )
    return Agreement(right / said if said else 1.0, right / true if true else 1.0)


def bcubed(truth: Int64s, found: Int64s) -> Agreement:
    """The mean over faces of the share of its group that is right, itself included (Bagga and Baldwin 1998).

    Raises ValueError without faces.
    """
    together, true, said = (np.bincount(groups)[groups] for groups in _numbered(truth, found))
    if not len(together):
        raise ValueError("BCubed of no faces")
    return Agreement(float((together / said).mean()), float((together / true).mean()))


def normalised_mutual_information(truth: Int64s, found: Int64s) -> float:
    """Mutual information over the mean of the two entropies, 0 to 1; 1 if both have one group or no face."""
    joint, true, said = (_entropy(groups) for groups in _numbered(truth, found))
    return float(2 * (true + said - joint) / (true + said)) if true + said else 1.0


def _numbered(truth: Int64s, found: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Each face's number of the pair of groups, of the true group and of the found one, from 0 without gaps."""
    true, said = (
        np.unique(np.where(groups == NOBODY, -1 - np.arange(len(groups)), groups), return_inverse=True)[1]
        for groups in (np.asarray(truth, np.int64), np.asarray(found, np.int64))
    )
    joint = np.unique(true * (said.max(initial=0) + 1) + said, return_inverse=True)[1]
    return joint, true, said


def _pairs(sizes: Int64s) -> float:
    return float((sizes * (sizes - 1) // 2).sum())


def _entropy(groups: Int64s) -> float:
    share = np.unique(groups, return_counts=True)[1] / max(len(groups), 1)
    return float(-(share * np.log(share)).sum())
