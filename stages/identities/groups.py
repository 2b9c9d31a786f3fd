"""The groups of faces within a label: the core, and further groups that may show another person."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.executor import IN_PROCESS
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.people import (
    UNASSIGNED,
    Faces,
    People,
    pairs_within,
    second_faces,
    sum_by_person,
)
from facerefs.stages.room import IN_MEMORY, Room, lengths, take_rows
from facerefs.stages.search.similarity import average_linkage, nearest

Flags = NDArray[np.bool_]

_CANDIDATES = 4
_FEW = 3
_FACES_PER_PIECE = 4096

MIN_SHOTS_TO_COMPARE = 2
"""The fewest shots of a person with whom other faces are compared."""


@dataclass(frozen=True)
class Groups:
    """The G groups beside the cores that are large enough to be people, each with a name of its own."""

    names: list[str]  # all names; those of the groups come last
    first: int  # the number of the first group's name
    name: Int64s  # for each face the name of its group: the group's own, the label's, or UNASSIGNED
    owner: Int64s  # (G,) the label that the group is part of
    size: Int64s  # (G,) shots
    own_similarity: Float32s  # (G,) mean cosine to the label's core, -1 if it has none
    other_similarity: Float32s  # (G,) mean cosine to the nearest other core
    within: Float32s  # (G,) mean cosine of the group's pairs
    belongs: Flags  # (G,) True if the group shows the person of its label

    def owner_of(self, name: Int64s) -> Int64s:
        """The label that each name is a further group of, or UNASSIGNED."""
        further = name - self.first
        owner = np.append(self.owner, UNASSIGNED)
        return np.asarray(owner[np.where(further < 0, -1, further)])

    def separated(self, pairs: Iterable[tuple[int, int]]) -> "Groups":
        """The same groups, but those in `pairs` (two names that an override separates) do not belong to their label."""
        belongs = self.belongs.copy()
        for one, other in pairs:
            low, high = min(one, other), max(one, other) - self.first
            if high >= 0 and self.owner[high] == low:
                belongs[high] = False
        return replace(self, belongs=belongs)


def label_groups(faces: Faces, initial: Int64s, neighbours: int, same: float) -> tuple[Int64s, Flags]:
    """The group of each face, int64 (N,), and whether it is in the core of its label.

    initial: int64 (N,), the label of each face, UNASSIGNED for none. The core is the group with most photos, of two
    equal ones the more coherent. A group has one face per photo: nobody is twice in a photo, so a second face,
    however similar, is no evidence for the label and forms a group of its own.
    """
    count = len(initial)
    vectors = faces.vectors
    group = _linked(vectors, initial, neighbours, same, faces.room)
    second = second_faces(vectors, faces.image, group, count, faces.room)
    _, row, group = np.unique(
        np.where(second, count + np.arange(count), group), return_index=True, return_inverse=True
    )
    return group, _core(vectors, initial, group, initial[row], faces.room)


def _linked(vectors: Float32s, label: Int64s, neighbours: int, same: float, room: Room) -> Int64s:
    """The groups within each label by average linkage, int64 (N,): for each face the smallest row of its group.

    Labels need nothing of each other: they are linked in pieces of whole labels. One that is too large for a piece is
    linked in this process.
    """
    group = np.arange(len(label))
    order = np.argsort(label, kind="stable")
    order = order[label[order] >= 0]
    most = max(1, min(_FACES_PER_PIECE, room.block_bytes // (4 * max(1, vectors.shape[1]))))
    pieces = list(_whole_labels(label, order, most))
    small = [rows for rows in pieces if len(rows) <= most]
    large = [rows for rows in pieces if len(rows) > most]
    executor = room.executor(len(order)) or IN_PROCESS
    link = partial(_linked_in_piece, neighbours, same)
    found = executor.map(link, ((vectors[rows], label[rows]) for rows in small))
    for rows, linked in zip(small, found, strict=True):
        group[rows] = rows[linked]
    for rows in large:
        group[rows] = rows[link(take_rows(vectors, rows, room), label[rows], room)]
    return group


def _whole_labels(label: Int64s, order: Int64s, most: int) -> Iterator[Int64s]:
    """The rows of `order`, which are sorted by label, in pieces of whole labels, of at most so many unless of one."""
    ends = np.append(np.flatnonzero(np.diff(label[order])) + 1, len(order))
    start = 0
    while start < len(order):
        one, more = np.searchsorted(ends, [start, start + most], side="right").tolist()
        end = int(ends[max(one, more - 1)])
        yield order[start:end]
        start = end


def _linked_in_piece(
    neighbours: int, same: float, vectors: Float32s, label: Int64s, room: Room = IN_MEMORY
) -> Int64s:
    pairs = pairs_within(vectors, label, neighbours, same, room)
    return average_linkage(vectors, np.ones(len(label), np.int64), *pairs, same, room=room)


def _core(vectors: Float32s, initial: Int64s, group: Int64s, label: Int64s, room: Room) -> Flags:
    """True for the faces of the core of each label. label: of each group; its faces are of different photos."""
    people = sum_by_person(vectors, group, len(label), room)
    sizes, coherence = people.sizes[:-1], lengths(people.means[:-1], room)
    order = np.lexsort((-coherence, -sizes, label))
    first = np.ones(len(order), bool)
    first[1:] = label[order[1:]] != label[order[:-1]]
    chosen = order[first]
    chosen = chosen[label[chosen] >= 0]
    label_size = np.bincount(initial[initial >= 0], minlength=1)
    chosen = chosen[(sizes[chosen] > 1) | (label_size[label[chosen]] == 1)]
    return np.isin(group, chosen)


def replace_foreign_cores(
    faces: Faces, initial: Int64s, group: Int64s, core: Flags, point: OperatingPoint
) -> Flags:
    """True for the faces of the cores, after replacing each core that shows the person of another label.

    Wrong labels can outnumber the right ones of a small label. If one group of a label shows the person of another
    label and a second group shows nobody known, the second group is taken as the label's core.
    """
    row = np.unique(group, return_index=True)[1]
    people = sum_by_person(faces.vectors, group, len(row), faces.room)
    size, within, label, is_core = people.sizes[:-1], people.within[:-1], initial[row], core[row]
    cores = np.flatnonzero(is_core)
    held_by = np.full(int(initial.max(initial=-1)) + 2, UNASSIGNED)
    held_by[label[cores]] = cores
    held = held_by[label]
    agrees = (size >= MIN_SHOTS_TO_COMPARE) & ((within >= _coherence(size, point)) | (size == size[held]))
    rivals = np.flatnonzero(~is_core & (label >= 0) & (held != UNASSIGNED) & agrees)
    rivals = rivals[
        np.einsum("ij,ij->i", _means(people, rivals), _means(people, held[rivals])) < point.belong
    ]

    def is_foreign(groups: Int64s) -> Flags:
        similarity, found = nearest(_means(people, cores), _CANDIDATES, _means(people, groups), faces.room)
        other = cores[found]
        like = (similarity >= point.strong) & (label[other] != label[groups][:, None])
        return np.asarray((like & (size[other] > size[groups][:, None])).any(axis=1))

    rivals = rivals[is_foreign(held[rivals]) & ~is_foreign(rivals)]
    rivals = rivals[np.lexsort((rivals, -size[rivals], label[rivals]))]
    rivals = rivals[np.unique(label[rivals], return_index=True)[1]]
    is_core[held[rivals]], is_core[rivals] = False, True
    return np.asarray(is_core[group])


def _coherence(size: Int64s, point: OperatingPoint) -> Float32s:
    """The mean cosine within a group from which on it can be a person: `strong` for three, less for more (choice)."""
    share = np.minimum(_FEW / np.maximum(size, 1), 1)
    return np.asarray(point.same + share * (point.strong - point.same), np.float32)


def further_groups(
    faces: Faces,
    initial: Int64s,
    group: Int64s,
    core: Flags,
    names: list[str],
    min_split: int,
    point: OperatingPoint,
    stay_threshold: float,
) -> Groups:
    """The groups of at least `min_split` shots beside the core of a label, largest first.

    In a label with many strangers, a few can reach `same` on average by chance, so `_coherence` asks for more. A group
    belongs to the label if its mean cosine to the core is `stay_threshold` or more, and no smaller than to any other
    core.
    """
    row = np.unique(group, return_index=True)[1]
    people = sum_by_person(faces.vectors, group, len(row), faces.room)
    labelled = (initial[row] >= 0) & (initial[row] < len(faces.names))
    within = people.within[:-1]
    size = people.sizes[:-1]
    coherent = within >= _coherence(size, point)
    large = np.flatnonzero(labelled & ~core[row] & (size >= min_split) & coherent)
    large = large[np.lexsort((row[large], -people.sizes[large], initial[row[large]]))]
    owner, size = initial[row[large]], people.sizes[large]
    cores = sum_by_person(faces.vectors, np.where(core, initial, UNASSIGNED), len(names), faces.room)
    means = _means(people, large)
    own = np.where(cores.sizes[owner] > 0, np.einsum("ij,ij->i", means, _means(cores, owner)), -1)
    there = np.flatnonzero(cores.sizes >= MIN_SHOTS_TO_COMPARE)
    similarity, found = nearest(_means(cores, there), 2, means, faces.room)
    other = np.where(there[found] == owner[:, None], -1, similarity).max(axis=1, initial=-1)
    number = np.full(len(row), UNASSIGNED)
    number[large] = len(names) + np.arange(len(large))
    name = np.where(number[group] != UNASSIGNED, number[group], initial)
    return Groups(
        names=names + _numbered(names, owner),
        first=len(names),
        name=name,
        owner=owner,
        size=size,
        own_similarity=own.astype(np.float32),
        other_similarity=other.astype(np.float32),
        within=within[large],
        belongs=(own >= stay_threshold) & (own >= other),
    )


def _means(people: People, rows: Int64s) -> Float32s:
    return take_rows(people.means, rows, people.room)


def _numbered(names: list[str], owner: Int64s) -> list[str]:
    """For each group its label with a number, from 2 on, that makes a name which is not taken."""
    taken = set(names)
    more: list[str] = []
    for label in owner:
        number = 2
        while (name := f"{names[label]} ({number})") in taken:
            number += 1
        taken.add(name)
        more.append(name)
    return more
