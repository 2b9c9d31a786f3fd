"""Cluster unlabelled faces into groups of one person each, with thresholds that depend on the number of faces."""

from statistics import NormalDist

import numpy as np

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.room import IN_MEMORY, Room, divided, segment_sums, take_rows
from facerefs.stages.search.similarity import average_linkage, inner, nearest, neighbour_pairs

_SAMPLED = 1 << 20
_FEWEST_PAIRS = 1000
_CROWD = 0.95  # of random pairs are strangers
_STRANGERS_PER_FACE = 1.0  # above what two groups need
_STRANGERS_PER_LONE_FACE = 0.05  # above what two single faces need
_CORE = 3  # faces, at least
_FEWEST_CORES = 20
_ROUNDS = 4
_CLEARLY = 0.9
_STRANGERS_AMONG_JOINING = 0.4


def communities(vectors: Float32s, same: float, neighbours: int, room: Room = IN_MEMORY) -> Int64s:
    """The group of each face: average linkage on the graph of nearest neighbours, then single faces join groups.

    Among N faces each face has N strangers, and the more there are, the more similar is the nearest one. So two
    groups merge from the mean cosine on that one stranger per face exceeds, two single faces from the cosine on that
    a stranger of one in 20 faces exceeds (`_thresholds`), and none below `same`. Then leftovers join
    (`_join_leftovers`).

    vectors: float32 (N, D), unit length, in an order that says nothing about the person. Returns int64 (N,):
    for each row the smallest row of its group.
    """
    count = len(vectors)
    group, lone = _thresholds(vectors, same)
    a, b = neighbour_pairs(vectors, neighbours, group, room)
    found = average_linkage(vectors, np.ones(count, np.int64), a, b, group, lone, room)
    for _ in range(_ROUNDS):
        joined = _join_leftovers(vectors, found, same, room)
        if np.array_equal(joined, found):
            break
        found = joined
    return _by_smallest_row(found)


def _thresholds(vectors: Float32s, same: float) -> tuple[float, float]:
    """Cosines that strangers rarely exceed, for groups and for single faces; `same` where that cannot be measured.

    Strangers are random pairs below `same`. If those are fewer than 95 % of all pairs, the set has few people, or
    the embedder sees all faces as similar, and `same` is returned. The angles of strangers are
    about normally distributed: their median and the 99 % quantile of the far side, where no pair of one person is, give
    the tail on the near side (choice). Of 7,000 pairs of synthetic faces with the
    quantiles of MobileFaceNet's it predicts 0.47 as the largest cosine; real faces had 0.37: it errs on the safe side.
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


def _join_leftovers(vectors: Float32s, found: Int64s, same: float, room: Room) -> Int64s:
    """The groups after faces outside the cores (groups of 3 or more) joined one, by their mean cosine to its faces.

    That must be at least `same`, clearly more than to the next core, and more than strangers reach. The strangers'
    cosines are taken from faces within cores: those to the nearest other core. Storey (2002): the threshold is the
    lowest one at which the expected number of strangers above it is at most a share of all leftovers above it; the
    number of strangers is estimated as twice the leftovers below the strangers' median. So in a set of single faces
    the threshold is high, or nobody joins, and in a set of people with many faces it is low.
    """
    roots, member, sizes = np.unique(found, return_inverse=True, return_counts=True)
    cores = np.flatnonzero(sizes >= _CORE)
    within = np.flatnonzero(sizes[member] >= _CORE)
    left = np.flatnonzero(sizes[member] < _CORE)
    if len(cores) < _FEWEST_CORES or not len(left):
        return found
    order = np.argsort(member, kind="stable")
    sums = room.empty((len(sizes), vectors.shape[1]), np.float32)
    for block, summed in segment_sums(vectors, order, np.cumsum(sizes) - sizes, room):
        sums[block] = summed
    means = divided(take_rows(sums, cores, room), sizes[cores], room)

    probes = within[:: 1 + len(within) // (1 << 15)]
    similarity, nearest_cores = nearest(means, 2, take_rows(vectors, probes, room), room)
    strangers = np.where(cores[nearest_cores[:, 0]] == member[probes], similarity[:, 1], similarity[:, 0])
    similarity, nearest_cores = nearest(means, 2, take_rows(vectors, left, room), room)
    best = similarity[:, 0]
    unknown = min(len(left), 2 * int(np.count_nonzero(best < np.median(strangers))))
    level = np.sort(best[best >= same])
    above = np.arange(len(level), 0, -1)
    expected = unknown * (1 - np.searchsorted(np.sort(strangers), level) / len(strangers))
    allowed = level[expected <= _STRANGERS_AMONG_JOINING * above]
    joins = (best >= allowed.min(initial=2)) & (similarity[:, 1] <= _CLEARLY * best)
    joined = found.copy()
    joined[left[joins]] = roots[cores[nearest_cores[joins, 0]]]
    return joined


def _by_smallest_row(group: Int64s) -> Int64s:
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[member], np.int64)
