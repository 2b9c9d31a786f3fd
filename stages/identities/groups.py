"""The groups into which the faces of a label fall: the core, and further ones that may be another person."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.people import NOBODY, Faces, gather, pairs_within, second_faces
from facerefs.stages.search.similarity import average_linkage, nearest

Flags = NDArray[np.bool_]

_CANDIDATES = 4
_FEW = 3

LEAST_KNOWN = 2
"""The fewest shots of a person against whom others are held."""


@dataclass(frozen=True)
class Groups:
    """The G further groups of labels that are large enough to be people, and so have names of their own."""

    names: list[str]  # all names; those of the groups are the last
    first: int  # the number of the first group's name
    name: Int64s  # of each face the name by which its group goes: the group's own, the label's, or NOBODY
    owner: Int64s  # (G,) the label
    size: Int64s  # (G,) shots
    own: Float32s  # (G,) mean cosine to the label's core, -1 if it has none
    other: Float32s  # (G,) mean cosine to the nearest other core
    within: Float32s  # (G,) mean cosine of the group's pairs
    belongs: Flags  # (G,)

    def owner_of(self, name: Int64s) -> Int64s:
        """The label of which each name is a further group, or NOBODY."""
        further = name - self.first
        owner = np.append(self.owner, NOBODY)
        return np.asarray(owner[np.where(further < 0, -1, further)])

    def apart(self, pairs: Iterable[tuple[int, int]]) -> "Groups":
        """The same, where groups of which a person said that they are not their label do not belong to it."""
        belongs = self.belongs.copy()
        for one, other in pairs:
            low, high = min(one, other), max(one, other) - self.first
            if high >= 0 and self.owner[high] == low:
                belongs[high] = False
        return replace(self, belongs=belongs)


def label_groups(faces: Faces, start: Int64s, neighbours: int, same: float) -> tuple[Int64s, Flags]:
    """The groups into which the faces of each label (number in `start`) fall, and which faces are the core.

    The core is the group with most photos, the more coherent of two equal ones. A group has one face per photo:
    nobody is twice in a photo, so a second face, however alike, says nothing for the label and stands alone.
    """
    count = len(start)
    vectors = faces.vectors
    pairs = pairs_within(vectors, start, neighbours, same)
    group = average_linkage(vectors, np.ones(count, np.int64), *pairs, same)
    second = second_faces(vectors, faces.image, group, count)
    _, row, group = np.unique(
        np.where(second, count + np.arange(count), group), return_index=True, return_inverse=True
    )
    return group, _core(vectors, start, group, start[row])


def _core(vectors: Float32s, start: Int64s, group: Int64s, label: Int64s) -> Flags:
    """label: of each group, whose faces are all of different photos."""
    people = gather(vectors, group, len(label))
    sizes, coherence = people.sizes[:-1], np.linalg.norm(people.means[:-1], axis=1)
    order = np.lexsort((-coherence, -sizes, label))
    first = np.ones(len(order), bool)
    first[1:] = label[order[1:]] != label[order[:-1]]
    chosen = order[first]
    chosen = chosen[label[chosen] >= 0]
    label_size = np.bincount(start[start >= 0], minlength=1)
    chosen = chosen[(sizes[chosen] > 1) | (label_size[label[chosen]] == 1)]
    return np.isin(group, chosen)


def unclaimed(faces: Faces, start: Int64s, group: Int64s, core: Flags, point: OperatingPoint) -> Flags:
    """The cores, but where one is somebody else's, the group of the label that is nobody else's.

    Wrong labels can outnumber the right ones of a small label. Some photos of a known person, and others that agree
    on someone whom nobody knows: the latter are whom the label names.
    """
    row = np.unique(group, return_index=True)[1]
    people = gather(faces.vectors, group, len(row))
    size, within, label, is_core = people.sizes[:-1], people.within[:-1], start[row], core[row]
    cores = np.flatnonzero(is_core)
    held_by = np.full(int(start.max(initial=-1)) + 2, NOBODY)
    held_by[label[cores]] = cores
    held = held_by[label]
    agrees = (size >= LEAST_KNOWN) & ((within >= _coherence(size, point)) | (size == size[held]))
    rivals = np.flatnonzero(~is_core & (label >= 0) & (held != NOBODY) & agrees)
    rivals = rivals[np.einsum("ij,ij->i", people.means[rivals], people.means[held[rivals]]) < point.belong]

    def is_foreign(groups: Int64s) -> Flags:
        similarity, found = nearest(people.means[cores], _CANDIDATES, queries=people.means[groups])
        other = cores[found]
        like = (similarity >= point.strong) & (label[other] != label[groups][:, None])
        return np.asarray((like & (size[other] > size[groups][:, None])).any(axis=1))

    rivals = rivals[is_foreign(held[rivals]) & ~is_foreign(rivals)]
    rivals = rivals[np.lexsort((rivals, -size[rivals], label[rivals]))]
    rivals = rivals[np.unique(label[rivals], return_index=True)[1]]
    is_core[held[rivals]], is_core[rivals] = False, True
    return np.asarray(is_core[group])


def _coherence(size: Int64s, point: OperatingPoint) -> Float32s:
    """How alike the faces of a group must be within to be a person: three `strong`, more of them less (choice)."""
    share = np.minimum(_FEW / np.maximum(size, 1), 1)
    return np.asarray(point.same + share * (point.strong - point.same), np.float32)


def further_groups(
    faces: Faces,
    start: Int64s,
    group: Int64s,
    core: Flags,
    names: list[str],
    min_split: int,
    point: OperatingPoint,
    enough: float,
) -> Groups:
    """The groups of at least `min_split` shots beside the core of a label, largest first.

    A few strangers can be `same` on average by chance, where a label has many: `_coherence`. A group belongs to the
    label if its mean cosine to the core is `enough`, and no smaller than to any other core.
    """
    row = np.unique(group, return_index=True)[1]
    people = gather(faces.vectors, group, len(row))
    labelled = (start[row] >= 0) & (start[row] < len(faces.names))
    within = people.within[:-1]
    size = people.sizes[:-1]
    coherent = within >= _coherence(size, point)
    large = np.flatnonzero(labelled & ~core[row] & (size >= min_split) & coherent)
    large = large[np.lexsort((row[large], -people.sizes[large], start[row[large]]))]
    owner, size = start[row[large]], people.sizes[large]
    cores = gather(faces.vectors, np.where(core, start, NOBODY), len(names))
    own = np.where(cores.sizes[owner] > 0, np.einsum("ij,ij->i", people.means[large], cores.means[owner]), -1)
    there = np.flatnonzero(cores.sizes >= LEAST_KNOWN)
    similarity, found = nearest(cores.means[there], 2, queries=people.means[large])
    other = np.where(there[found] == owner[:, None], -1, similarity).max(axis=1, initial=-1)
    number = np.full(len(row), NOBODY)
    number[large] = len(names) + np.arange(len(large))
    name = np.where(number[group] != NOBODY, number[group], start)
    return Groups(
        names=names + _numbered(names, owner),
        first=len(names),
        name=name,
        owner=owner,
        size=size,
        own=own.astype(np.float32),
        other=other.astype(np.float32),
        within=within[large],
        belongs=(own >= enough) & (own >= other),
    )


def _numbered(names: list[str], owner: Int64s) -> list[str]:
    """For each group its label with a number: from 2, as far as the names are free."""
    taken = set(names)
    more: list[str] = []
    for label in owner:
        number = 2
        while (name := f"{names[label]} ({number})") in taken:
            number += 1
        taken.add(name)
        more.append(name)
    return more
