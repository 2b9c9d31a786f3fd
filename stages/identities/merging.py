"""Which names are one person: by their faces, within what a person said of the names."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.names import NamesSaid
from facerefs.stages.identities.people import NOBODY, People
from facerefs.stages.search.similarity import average_linkage, inner, nearest

_LEAST_TO_MERGE = 2  # shots of each of two names that are one person
_AS_WITHIN = 0.65
_AS_WITHIN_UNLABELLED = 0.5  # nobody said that they are two
_USUAL_PAIRS = 3
_CANDIDATES = 16  # names with which a name is compared


@dataclass(frozen=True)
class Merged:
    """Of each name, and of NOBODY, the last: whose name it takes, and why."""

    lead: Int64s
    across: Float32s  # mean cosine of its faces to those of the lead; NaN for a lead
    wanted: Float32s  # what that must be at least
    line: Int64s  # of `overrides.csv` that decided it, or 0


def one_person(
    people: People, unlabelled: range, takes_part: NDArray[np.bool_], said: NamesSaid, point: OperatingPoint
) -> Merged:
    """Join the names that are one person.

    Two are one if the mean cosine across is two thirds of the way from `same` to the mean within them, or more. Where
    one has no name (`unlabelled`; labels come before them), nobody said that they are two: half-way to the looser one
    is enough. Both hold for people whom the embedder sees as alike as for people whom it sees well apart.
    Larger groups must go on to be `same` on average over all pairs, so that no chain and no weak link joins them.
    """
    count = len(people.sizes) - 1
    group = said.joined(count)
    part = np.flatnonzero(takes_part[:count])
    sums, sizes = np.zeros_like(people.sums[:-1]), np.zeros(count, np.int64)
    np.add.at(sums, group[part], people.sums[part])
    np.add.at(sizes, group[part], people.sizes[part])
    joint = People(sums, sizes)
    large = np.flatnonzero(sizes >= _LEAST_TO_MERGE)
    likeness, found = nearest(joint.means[large], _CANDIDATES)
    a, b = np.repeat(large, found.shape[1]), large[found.ravel()] if found.size else large[:0]
    near = likeness.ravel() >= _wanted(joint, a, b, unlabelled, point)
    a, b = a[near], b[near]
    free = average_linkage(sums, sizes, a, b, point.same)[group]
    apart = [(int(group[one]), int(group[other])) for one, other, _ in said.apart]
    broken = [pair for pair in apart if free[pair[0]] == free[pair[1]]]
    final = _without(broken, free, group, sums, sizes, (a, b), point.same) if broken else free
    lead = np.append(_leads(final, people.sizes[:-1], unlabelled.start, said), NOBODY)
    across = inner(people.means, people.means, np.arange(count + 1), lead)
    across[(lead == np.arange(count + 1)) | ~takes_part | ~takes_part[lead] | (people.sizes[lead] == 0)] = (
        np.nan
    )
    wanted = _wanted(people, np.arange(count + 1), lead, unlabelled, point)
    return Merged(lead, across, wanted, _lines(said, lead, free, unlabelled.stop))


def _wanted(people: People, a: Int64s, b: Int64s, unlabelled: range, point: OperatingPoint) -> Float32s:
    within, usual = people.within, _usual_within(people, point)
    free = [(side >= unlabelled.start) & (side < unlabelled.stop) for side in (a, b)]
    looser, halfway = np.fmin(within[a], within[b]), (usual[a] + usual[b]) / 2
    level = np.where(
        free[0] | free[1],
        point.same + _AS_WITHIN_UNLABELLED * (looser - point.same),
        point.same + _AS_WITHIN * (halfway - point.same),
    )
    return np.asarray(np.fmax(level, point.same), np.float32)


def _usual_within(people: People, point: OperatingPoint) -> Float32s:
    """The mean cosine of each one's pairs; of few pairs (choice: as if there were three more of usual ones)."""
    pairs = people.sizes * (people.sizes - 1) / 2
    total = pairs * np.nan_to_num(people.within) + _USUAL_PAIRS * point.alike
    return np.asarray(total / (pairs + _USUAL_PAIRS), np.float32)


def _without(
    apart: list[tuple[int, int]],
    free: Int64s,
    group: Int64s,
    sums: Float32s,
    sizes: Int64s,
    near: tuple[Int64s, Int64s],
    same: float,
) -> Int64s:
    """The groups anew for those in which two are that a person keeps apart: few and small, so pair by pair."""
    final = free.copy()
    for name in {int(free[one]) for one, _ in apart}:
        members = np.unique(group[free == name])
        inside = np.isin(near[0], members) & np.isin(near[1], members)
        parts = _apart(
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


def _apart(
    parts: list[set[int]],
    near: set[tuple[int, int]],
    apart: list[tuple[int, int]],
    sums: Float32s,
    sizes: Int64s,
    same: float,
) -> list[set[int]]:
    def likeness(one: set[int], other: set[int]) -> float:
        both = one | other
        if any(a in both and b in both for a, b in apart):
            return -np.inf
        if not any((a in one and b in other) or (a in other and b in one) for a, b in near):
            return -np.inf
        left, right = sorted(one), sorted(other)
        total = float(sums[left].sum(axis=0) @ sums[right].sum(axis=0))
        return total / float(sizes[left].sum() * sizes[right].sum())

    while True:
        pairs = [(likeness(x, y), i, j) for i, x in enumerate(parts) for j, y in enumerate(parts[:i])]
        best, i, j = max(pairs, default=(-np.inf, 0, 0))
        if best < same:
            return parts
        parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [parts[i] | parts[j]]


def _leads(group: Int64s, sizes: Int64s, labels: int, said: NamesSaid) -> Int64s:
    """The name that each takes: as a person said; else a label before a made-up name, the larger, the first."""
    count = len(group)
    order = np.lexsort((np.arange(count), -sizes, np.arange(count) >= labels, group))
    lead = np.empty(count, np.int64)
    first = np.ones(count, bool)
    first[1:] = group[order[1:]] != group[order[:-1]]
    lead[group[order[first]]] = order[first]
    for name in said.chosen():
        lead[group[name]] = name
    return lead[group]


def _lines(said: NamesSaid, lead: Int64s, free: Int64s, labels: int) -> Int64s:
    """The lines that decided whose name each takes. Of further groups of a label (from `labels` on) a line that says
    that they are not their label does so, too, where their looks would have said the same."""
    line = np.zeros(len(lead), np.int64)
    for one, other, number in said.together:
        for name in (one, other):
            if lead[name] != name:
                line[name] = max(line[name], number)
    for one, other, number in said.apart:
        for name in (one, other):
            if free[one] == free[other] or name >= labels:
                line[name] = max(line[name], number)
    return line
