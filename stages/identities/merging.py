"""Merge names that are one person, by their faces and by the override lines about names."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.names import NameOverrides
from facerefs.stages.identities.people import UNASSIGNED, People
from facerefs.stages.room import row_blocks, take_rows
from facerefs.stages.search.similarity import average_linkage, inner, nearest

_LEAST_TO_MERGE = 2  # shots of each of two names that are one person
_AS_WITHIN = 0.65
_AS_WITHIN_UNLABELLED = 0.5  # no labels say that they are two
_USUAL_PAIRS = 3
_CANDIDATES = 16  # names with which a name is compared


@dataclass(frozen=True)
class MergedNames:
    """For each name, the name it merges into and why; the last row is UNASSIGNED."""

    merged_into: Int64s
    similarity: Float32s  # mean cosine of its faces to those of that name; NaN if it keeps its own
    threshold: Float32s  # the lowest mean cosine at which they merge
    override_line: Int64s  # the line of `overrides.csv` that decided it, or 0


def merge_names(
    people: People,
    unlabelled: range,
    mergeable: NDArray[np.bool_],
    overrides: NameOverrides,
    point: OperatingPoint,
) -> MergedNames:
    """Merge the names that are one person.

    Two names merge if the mean cosine across them is at least 0.65 of the way from `same` to the mean within them.
    If one of them was found without a label (`unlabelled`; the labels come before these), no label says that they
    are two: then half of the way to the looser of the two is enough. Both rules adapt to embedders that see all
    people as similar. Larger groups must stay at `same` on average over all pairs, so that no chain and no weak link
    joins them. mergeable: False for names that take no part.
    """
    count = len(people.sizes) - 1
    group = overrides.linked(count)
    part = np.flatnonzero(mergeable[:count])
    sums, sizes = people.room.zeros(people.sums[:-1].shape, np.float32), np.zeros(count, np.int64)
    for block in row_blocks(people.sums[: len(part)], people.room):
        np.add.at(sums, group[part[block]], people.sums[part[block]])
    np.add.at(sizes, group[part], people.sizes[part])
    joint = People(sums, sizes, people.room)
    large = np.flatnonzero(sizes >= _LEAST_TO_MERGE)
    similarity, found = nearest(take_rows(joint.means, large, people.room), _CANDIDATES, room=people.room)
    a, b = np.repeat(large, found.shape[1]), large[found.ravel()] if found.size else large[:0]
    near = similarity.ravel() >= _merge_threshold(joint, a, b, unlabelled, point)
    a, b = a[near], b[near]
    unconstrained = average_linkage(sums, sizes, a, b, point.same, room=people.room)[group]
    apart = [(int(group[one]), int(group[other])) for one, other, _ in overrides.cannot_link]
    broken = [pair for pair in apart if unconstrained[pair[0]] == unconstrained[pair[1]]]
    final = (
        _regroup(broken, unconstrained, group, sums, sizes, (a, b), point.same) if broken else unconstrained
    )
    merged_into = np.append(_merged_into(final, people.sizes[:-1], unlabelled.start, overrides), UNASSIGNED)
    similarity = inner(people.means, people.means, np.arange(count + 1), merged_into)
    similarity[
        (merged_into == np.arange(count + 1))
        | ~mergeable
        | ~mergeable[merged_into]
        | (people.sizes[merged_into] == 0)
    ] = np.nan
    threshold = _merge_threshold(people, np.arange(count + 1), merged_into, unlabelled, point)
    return MergedNames(
        merged_into,
        similarity,
        threshold,
        _override_lines(overrides, merged_into, unconstrained, unlabelled.stop),
    )


def _merge_threshold(
    people: People, a: Int64s, b: Int64s, unlabelled: range, point: OperatingPoint
) -> Float32s:
    """The mean cosine across names a and b from which on they merge, float32."""
    within, usual = people.within, _usual_within(people, point)
    found = [(side >= unlabelled.start) & (side < unlabelled.stop) for side in (a, b)]
    looser, halfway = np.fmin(within[a], within[b]), (usual[a] + usual[b]) / 2
    level = np.where(
        found[0] | found[1],
        point.same + _AS_WITHIN_UNLABELLED * (looser - point.same),
        point.same + _AS_WITHIN * (halfway - point.same),
    )
    return np.asarray(np.fmax(level, point.same), np.float32)


def _usual_within(people: People, point: OperatingPoint) -> Float32s:
    """The mean cosine within each name, drawn towards the usual one where pairs are few (choice: three usual pairs)."""
    pairs = people.sizes * (people.sizes - 1) / 2
    total = pairs * np.nan_to_num(people.within) + _USUAL_PAIRS * point.median_same
    return np.asarray(total / (pairs + _USUAL_PAIRS), np.float32)


def _regroup(
    apart: list[tuple[int, int]],
    unconstrained: Int64s,
    group: Int64s,
    sums: Float32s,
    sizes: Int64s,
    near: tuple[Int64s, Int64s],
    same: float,
) -> Int64s:
    """The groups after splitting those that join two names which an override keeps apart: few, so pair by pair."""
    final = unconstrained.copy()
    for name in {int(unconstrained[one]) for one, _ in apart}:
        members = np.unique(group[unconstrained == name])
        inside = np.isin(near[0], members) & np.isin(near[1], members)
        parts = _merge_pairwise(
            [{int(m)} for m in members],
            set(zip(*(side[inside].tolist() for side in near), strict=True)),
            apart,
            sums,
            sizes,
            same,
        )
        for part in parts:
            final[np.isin(group, list(part))] = min(part)
    return final


def _merge_pairwise(
    parts: list[set[int]],
    near: set[tuple[int, int]],
    apart: list[tuple[int, int]],
    sums: Float32s,
    sizes: Int64s,
    same: float,
) -> list[set[int]]:
    def mean_cosine(one: set[int], other: set[int]) -> float:
        both = one | other
        if any(a in both and b in both for a, b in apart):
            return -np.inf
        if not any((a in one and b in other) or (a in other and b in one) for a, b in near):
            return -np.inf
        left, right = sorted(one), sorted(other)
        total = float(sums[left].sum(axis=0) @ sums[right].sum(axis=0))
        return total / float(sizes[left].sum() * sizes[right].sum())

    while True:
        pairs = [(mean_cosine(x, y), i, j) for i, x in enumerate(parts) for j, y in enumerate(parts[:i])]
        best, i, j = max(pairs, default=(-np.inf, 0, 0))
        if best < same:
            return parts
        parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [parts[i] | parts[j]]


def _merged_into(group: Int64s, sizes: Int64s, labels: int, overrides: NameOverrides) -> Int64s:
    """The name that each merges into: by override, else a label before a generated name, the larger, the first."""
    count = len(group)
    order = np.lexsort((np.arange(count), -sizes, np.arange(count) >= labels, group))
    merged_into = np.empty(count, np.int64)
    first = np.ones(count, bool)
    first[1:] = group[order[1:]] != group[order[:-1]]
    merged_into[group[order[first]]] = order[first]
    for name in overrides.final_names():
        merged_into[group[name]] = name
    return merged_into[group]


def _override_lines(
    overrides: NameOverrides, merged_into: Int64s, unconstrained: Int64s, labels: int
) -> Int64s:
    """For each name the line that decided which name it merges into, or 0.

    For further groups of a label (from `labels` on) a line that separates them from their label counts even where
    the embeddings would have decided the same.
    """
    line = np.zeros(len(merged_into), np.int64)
    for one, other, number in overrides.must_link:
        for name in (one, other):
            if merged_into[name] != name:
                line[name] = max(line[name], number)
    for one, other, number in overrides.cannot_link:
        for name in (one, other):
            if unconstrained[one] == unconstrained[other] or name >= labels:
                line[name] = max(line[name], number)
    return line
