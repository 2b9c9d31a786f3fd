"""Unknown faces into groups of one person each, with thresholds that the size of the crowd sets."""

from statistics import NormalDist

import numpy as np

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.search.similarity import average_linkage, inner, nearest, neighbour_pairs

_SAMPLED = 1 << 20
_FEWEST_PAIRS = 1000
_CROWD = 0.95  # of random pairs are strangers
_STRANGERS_PER_FACE = 1.0  # above what two groups need
_STRANGERS_PER_LONE_FACE = 0.05  # above what two single faces need
_CORE = 3  # faces
_FEWEST_CORES = 20
_ROUNDS = 4
_CLEARLY = 0.9
_STRANGERS_AMONG_JOINING = 0.4


def communities(vectors: Float32s, same: float, neighbours: int) -> Int64s:
    """Group faces by average linkage on the graph of nearest neighbours, then let single ones join groups.

    Among N faces each has N strangers, and the more there are the more alike the nearest is: so two groups
    merge at a mean cosine that one stranger per face exceeds, two single faces at what one in 20 faces finds
    (`_levels`), and none below `same`. Then leftovers join (`_joined`).

    vectors: float32 (N, D), unit length, in an order that says nothing about the person. Returns int64 (N,):
    for each row the smallest row of its group.
    """
    count = len(vectors)
    group, lone = _levels(vectors, same)
    a, b = neighbour_pairs(vectors, neighbours, group)
    found = average_linkage(vectors, np.ones(count, np.int64), a, b, group, lone)
    for _ in range(_ROUNDS):
        joined = _joined(vectors, found, same)
        if np.array_equal(joined, found):
            break
        found = joined
    return _by_smallest_row(found)


def _levels(vectors: Float32s, same: float) -> tuple[float, float]:
    """Cosines that strangers rarely exceed, for groups and for single faces; `same` where it cannot be known.

    Strangers are random pairs below `same`. If those are fewer than 95 % the set is of few people, and no crowd, or
    the embedder finds all alike. Angles of strangers are about normal; the median and the 99 % of the far side,
    where no pair of one person is, give the tail on the near side (choice). Of 7,000 pairs of synthetic faces with the
    quantiles of MobileFaceNet's it foresees 0.47 as the most alike; real faces had 0.37: it errs on the safe side.
    """
    count = len(vectors)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, max(count, 1), (2, min(_SAMPLED, count * (count - 1) // 2)))
    a, b = a[a != b], b[a != b]
    cosines = inner(vectors, vectors, a, b)
    strangers = np.arccos(np.clip(cosines[cosines < same], -1, 1))
    if len(strangers) < max(_FEWEST_PAIRS, _CROWD * len(a)):
        return same, same
    middle, far = np.quantile(strangers, [0.5, 0.99])
    normal = NormalDist()
    spread = float(far - middle) / normal.inv_cdf(0.99)

    def exceeded_by(strangers_per_face: float) -> float:
        angle = middle + spread * normal.inv_cdf(strangers_per_face / count)
        return max(same, float(np.cos(max(0.0, angle))))

    return exceeded_by(_STRANGERS_PER_FACE), exceeded_by(_STRANGERS_PER_LONE_FACE)


def _joined(vectors: Float32s, found: Int64s, same: float) -> Int64s:
    """Let faces outside the cores (groups of 3 or more) join one, by their mean cosine to its faces.

    That must be at least `same`, clearly more than to the next core, and more than strangers reach: as such
    count the nearest other cores of faces within cores. Storey (2002): the level is the lowest at which the
    strangers foreseen above it are at most a share of all leftovers above it; there are twice as many strangers as
    leftovers below the strangers' median. So a set of single faces sets a high bar, or lets nobody in, and a
    set of people with many faces sets a low one.
    """
    roots, member, sizes = np.unique(found, return_inverse=True, return_counts=True)
    cores = np.flatnonzero(sizes >= _CORE)
    within = np.flatnonzero(sizes[member] >= _CORE)
    left = np.flatnonzero(sizes[member] < _CORE)
    if len(cores) < _FEWEST_CORES or not len(left):
        return found
    order = np.argsort(member, kind="stable")
    sums = np.add.reduceat(vectors[order], np.cumsum(sizes) - sizes, axis=0)
    means = np.asarray(sums[cores] / sizes[cores][:, None], np.float32)

    probes = within[:: 1 + len(within) // (1 << 15)]
    likeness, nearest_cores = nearest(means, 2, queries=vectors[probes])
    strangers = np.where(cores[nearest_cores[:, 0]] == member[probes], likeness[:, 1], likeness[:, 0])
    likeness, nearest_cores = nearest(means, 2, queries=vectors[left])
    best = likeness[:, 0]
    unknown = min(len(left), 2 * int(np.count_nonzero(best < np.median(strangers))))
    level = np.sort(best[best >= same])
    above = np.arange(len(level), 0, -1)
    foreseen = unknown * (1 - np.searchsorted(np.sort(strangers), level) / len(strangers))
    few = level[foreseen <= _STRANGERS_AMONG_JOINING * above]
    joins = (best >= few.min(initial=2)) & (likeness[:, 1] <= _CLEARLY * best)
    joined = found.copy()
    joined[left[joins]] = roots[cores[nearest_cores[joins, 0]]]
    return joined


def _by_smallest_row(group: Int64s) -> Int64s:
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[member], np.int64)
