"""The cosines from which on two faces show one person, measured on a set: the operating point of its embedder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.search.similarity import inner

_FEWEST_LABELS = 5
_FEWEST_PAIRS = 40
_LEAST_SEPARATION = 0.3
_PLATEAU = 0.98
_RARELY_DIFFERENT = 0.99
_STRIDES = range(1, 9)


@dataclass(frozen=True)
class OperatingPoint:
    """Cosines, in ascending order of evidence that two faces show one person."""

    median_different: float  # median of pairs of different people
    belong: float  # from which on a face may stay with its label
    same: float  # from which on unlabelled faces are one person; between `median_different` and `median_same`
    median_same: float  # median of pairs of one person
    separation: float  # Youden's J of the labels at `same`, 0 to 1; 0 if it could not be measured

    @property
    def strong(self) -> float:
        """Strong enough to act against a label: half-way from `same` to the median of one person."""
        return (self.same + self.median_same) / 2

    @property
    def margin(self) -> float:
        """By how much the mean cosine to one person must exceed that to another to be clearly nearer."""
        return (self.median_same - self.median_different) / 4


def operating_point(
    vectors: Float32s, label: Int64s, image: Int64s, same: float, *, measure: bool
) -> OperatingPoint:
    """The operating point measured on the labels, of which many may be wrong.

    A calibrated threshold fails on people whom the embedder was not made for: rendered, of one family, of one
    age. Labels are the better source. `same` is where the share of within-label pairs above it exceeds that of
    between-label pairs above it the most (Youden's J, the Kolmogorov-Smirnov distance). A share e of wrong
    pairs within the labels turns the within-distribution S into (1-e)S + eD, and so J into (1-e)(S-D): lower,
    but with the same maximum. So wrong labels do not move the threshold. Where J is flat (people well apart),
    the middle of the plateau is taken.

    Rows must lie in an order that says nothing about the person (such as that of a hash): pairs are taken at
    fixed strides, each face with a few others of its label and of other labels, so that no person dominates.
    With fewer than 5 labels or 40 pairs, or labels that mean nothing (J below 0.3), the given `same` holds.

    vectors: float32 (N, D), unit length; label: int64 (N,), -1 where there is none; image: int64 (N,).
    same: from the embedder's calibration, or (measure=False) set by the user: then only the rest is measured.
    """
    within = _cosines(vectors, *_within(label, image))
    between = _cosines(vectors, *_between(label))
    labels = len(np.unique(label[label >= 0]))
    separation = 0.0
    if labels >= _FEWEST_LABELS and min(len(within), len(between)) >= _FEWEST_PAIRS:
        youden, found = _youden_maximum(within, between)
        if youden >= _LEAST_SEPARATION:
            separation = youden
            same = found if measure else same
    different = float(np.median(between)) if len(between) else 2 * same - 1
    alike = float(np.median(within[within >= same])) if (within >= same).any() else (1 + same) / 2
    belong = float(np.quantile(between, _RARELY_DIFFERENT)) if separation else same
    return OperatingPoint(min(different, same), min(belong, same), same, alike, separation)


def _within(label: Int64s, image: Int64s) -> tuple[Int64s, Int64s]:
    """Each labelled face with the next few of its label, from other photos."""
    order = np.argsort(label, kind="stable")
    order = order[label[order] >= 0]
    pairs = [(order[:-stride], order[stride:]) for stride in _STRIDES if stride < len(order)]
    a, b = _concatenated(pairs)
    right = (label[a] == label[b]) & (image[a] != image[b])
    return a[right], b[right]


def _between(label: Int64s) -> tuple[Int64s, Int64s]:
    rows = np.flatnonzero(label >= 0)
    pairs = [(rows[:-stride], rows[stride:]) for stride in _STRIDES if stride < len(rows)]
    a, b = _concatenated(pairs)
    right = label[a] != label[b]
    return a[right], b[right]


def _concatenated(pairs: list[tuple[Int64s, Int64s]]) -> tuple[Int64s, Int64s]:
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *(a for a, _ in pairs)]), np.concatenate([none, *(b for _, b in pairs)])


def _cosines(vectors: Float32s, a: Int64s, b: Int64s) -> Float32s:
    return inner(vectors, vectors, a, b)


def _youden_maximum(within: NDArray[np.float32], between: NDArray[np.float32]) -> tuple[float, float]:
    """The largest J and the middle of the thresholds at which J is nearly that."""
    thresholds = np.unique(np.concatenate([within, between]))
    above_within = 1 - np.searchsorted(np.sort(within), thresholds) / len(within)
    above_between = 1 - np.searchsorted(np.sort(between), thresholds) / len(between)
    youden = above_within - above_between
    plateau = thresholds[youden >= _PLATEAU * youden.max()]
    return float(youden.max()), float((plateau[0] + plateau[-1]) / 2)
