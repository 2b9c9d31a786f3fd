"""Faces, people and identity assignments as arrays: the input and output of every way of clustering."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.communities import communities
from facerefs.stages.room import IN_MEMORY, Room, divided, lengths, segment_sums, take_rows
from facerefs.stages.search.similarity import inner, nearest, neighbour_pairs

Texts = NDArray[np.object_]  # str or None

UNASSIGNED = -1
_ALL_PAIRS_UP_TO = 512


@dataclass(frozen=True)
class Faces:
    """N faces that were not rejected, in the order of their ids (hashes, so the order says nothing of the person)."""

    id: list[str]
    image: Int64s  # number of the photo
    shot: Int64s  # number of the shot; copies of one shot share it
    label: Int64s  # number of the label in `names`, UNASSIGNED where there is none
    names: list[str]  # of the labels, sorted
    vectors: Float32s  # (N, D), unit length
    size_px: Float32s
    room: Room = IN_MEMORY


@dataclass(frozen=True)
class People:
    """The sum of the embeddings of each of P people: the mean cosine to all faces of a person is one product.

    The last one has no faces and stands for UNASSIGNED (-1), so that every person's number is an index.
    """

    sums: Float32s  # (P, D)
    sizes: Int64s  # (P,), faces
    room: Room = IN_MEMORY

    @cached_property
    def means(self) -> Float32s:
        """The mean vectors, float32 (P, D); zero for a person without faces."""
        return divided(self.sums, np.maximum(self.sizes, 1), self.room)

    @cached_property
    def within(self) -> Float32s:
        """The mean cosine of each person's pairs of faces, float32 (P,); NaN for a person with fewer than two."""
        size = self.sizes.astype(np.float64)
        squared = np.einsum("ij,ij->i", self.sums, self.sums, dtype=np.float64)
        mean = (squared - size) / np.maximum(size * (size - 1), 1)
        return np.asarray(np.where(size > 1, mean, np.nan), np.float32)

    @cached_property
    def centres(self) -> Float32s:
        """The mean vectors at unit length, float32 (P, D); zero for a person without faces."""
        return divided(self.sums, np.maximum(lengths(self.sums, self.room), np.float32(1e-12)), self.room)


@dataclass(frozen=True)
class IdentityAssignment:
    """The identity of each face, and why: arrays of length N.

    `person`, `labelled_as` and `centroid_of` are numbers in `names`, or UNASSIGNED.
    """

    names: list[str]
    merged_into: Int64s  # for each name the name it merges into; the last row is UNASSIGNED
    person: Int64s  # the identity that the face is assigned to
    labelled_as: Int64s  # the identity that its label names
    decision: Texts
    reject: Texts
    why: Texts
    certainty: Float32s  # 0 to 1
    override_line: Int64s  # the line of `overrides.csv` that decided it, or 0
    centroid_of: Int64s  # the identity whose centroid the face is part of

    def take(self, rows: Int64s) -> "IdentityAssignment":
        """The assignment of the faces in `rows`."""
        arrays = {
            name: array[rows] for name, array in vars(self).items() if name not in {"names", "merged_into"}
        }
        return IdentityAssignment(self.names, self.merged_into, **arrays)


def sum_by_person(vectors: Float32s, person: Int64s, count: int, room: Room = IN_MEMORY) -> People:
    """The embedding sums of `count` people. person: int64 (N,), UNASSIGNED for faces to leave out."""
    rows = np.flatnonzero(person >= 0)
    rows = rows[np.argsort(person[rows], kind="stable")]
    sizes = np.bincount(person[rows], minlength=count + 1)
    sums = room.zeros((count + 1, vectors.shape[1]), np.float32)
    there = np.flatnonzero(sizes)
    for block, summed in segment_sums(vectors, rows, (np.cumsum(sizes) - sizes)[there], room):
        sums[there[block]] = summed
    return People(sums, sizes, room)


def discover(
    faces: Faces, rows: Int64s, same: float, neighbours: int, min_faces: int
) -> tuple[Int64s, list[str]]:
    """Find the people among the faces in `rows` by their embeddings alone (`communities`).

    same: the lowest cosine at which two faces can be one person, from the calibration or the user.
    Returns int64 (N,), the number of each face's person (UNASSIGNED if its group is of fewer than `min_faces` photos,
    or if it is not in `rows`), and the people's names: stable, from a hash of the smallest id of a face. A person may
    have several faces of one photo (`second_faces`), which count as one.
    """
    group = communities(take_rows(faces.vectors, rows, faces.room), same, neighbours, faces.room)
    person = np.full(len(faces.id), UNASSIGNED)
    first, member = np.unique(group, return_inverse=True)
    seen_in = np.unique(np.stack([member, faces.image[rows]]), axis=1)[0]
    kept = np.bincount(seen_in, minlength=len(first)) >= min_faces
    number = np.where(kept, np.cumsum(kept) - 1, UNASSIGNED)
    person[rows] = number[member]
    return person, [new_name(faces.id[rows[row]]) for row in first[kept]]


def new_name(face: str) -> str:
    """The name of a person who is known by this face and has no label."""
    return "person-" + hashlib.sha256(face.encode()).hexdigest()[:12]


def pairs_within(
    vectors: Float32s, group: Int64s, neighbours: int, at_least: float, room: Room = IN_MEMORY
) -> tuple[Int64s, Int64s]:
    """Pairs of rows within each group: all of them, or with each row's nearest ones in a group of over 512 rows."""
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for rows in np.split(order, bounds):
        if len(rows) > _ALL_PAIRS_UP_TO:
            a, b = neighbour_pairs(take_rows(vectors, rows, room), neighbours, at_least, room)
        else:
            a, b = np.triu_indices(len(rows), 1)
        found.append((rows[a], rows[b]))
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def person_similarity(vectors: Float32s, person: Int64s, people: People, *, unit: bool) -> Float32s:
    """The similarity of each face to its person, float32 (N,); NaN if that is UNASSIGNED or has no faces.

    It is the mean cosine to the person's faces, or (unit) the cosine to the person's centre.
    """
    targets = people.centres if unit else people.means
    values = inner(targets, vectors, person, np.arange(len(person)))
    values[people.sizes[person] == 0] = np.nan
    return values


def nearest_other(vectors: Float32s, own: Int64s, people: People, *, unit: bool) -> tuple[Int64s, Float32s]:
    """For each face the nearest person but its own, and the `person_similarity` to it; UNASSIGNED and NaN if none."""
    there = np.flatnonzero(people.sizes)
    targets = take_rows(people.centres if unit else people.means, there, people.room)
    similarity, found = nearest(targets, 2, vectors, people.room)
    count = len(vectors)
    other, similarity_to_other = np.full(count, UNASSIGNED), np.full(count, np.nan, np.float32)
    for column in reversed(range(found.shape[1])):  # the nearest is written last
        candidate = there[found[:, column]]
        free = candidate != own
        other[free], similarity_to_other[free] = candidate[free], similarity[free, column]
    return other, similarity_to_other


def second_faces(
    vectors: Float32s, image: Int64s, group: Int64s, count: int, room: Room = IN_MEMORY
) -> NDArray[np.bool_]:
    """True for a face if another face of the same photo suits their common group (of `count`) better.

    If two similar people share photos, the centre of their group lies between them and would choose now one, now
    the other. So the choice starts from a single face, the most typical one, which shows one of them.
    """
    rows = np.arange(len(group))

    def suits(chosen: NDArray[np.bool_]) -> Float32s:
        people = sum_by_person(vectors, np.where(chosen, group, UNASSIGNED), count, room)
        return inner(people.sums, vectors, group, rows)

    order = np.lexsort((rows, -suits(group >= 0), group))
    typical = np.ones(len(group), bool)
    typical[order[1:]] = group[order[1:]] != group[order[:-1]]
    similar_to_typical = ~not_best_in_photo(image, group, suits(typical))
    return not_best_in_photo(image, group, suits(similar_to_typical))


def not_best_in_photo(image: Int64s, person: Int64s, fitness: NDArray[np.floating]) -> NDArray[np.bool_]:
    """True for a face if another face of the same photo suits the same person better."""
    order = np.lexsort((np.arange(len(person)), -fitness, image, person))
    worse = np.zeros(len(person), bool)
    sorted_person, sorted_image = person[order], image[order]
    worse[order[1:]] = (sorted_person[1:] == sorted_person[:-1]) & (sorted_image[1:] == sorted_image[:-1])
    return worse & (person >= 0)
