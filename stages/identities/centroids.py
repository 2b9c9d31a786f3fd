"""The centroid of each person, and the similarity of faces to it."""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.people import UNASSIGNED, People, sum_by_person
from facerefs.stages.room import IN_MEMORY, Room, take_rows
from facerefs.stages.search.similarity import inner, nearest

_CANDIDATES = 4
_NO_PAIRS = (np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class NearestPerson:
    """For each face the nearest person and the mean cosines to that one and the next; UNASSIGNED, NaN if none."""

    person: Int64s
    similarity: Float32s
    next_similarity: Float32s  # to the second nearest


@dataclass(frozen=True)
class Centroids:
    """The mean embedding of each person, over one face per shot. A face is never compared with copies of itself."""

    people: People
    vectors: Float32s  # of all faces
    shot: Int64s  # of all faces
    key: Int64s  # of the faces in the centroids: person * shots + shot, ascending
    row: Int64s  # of the faces in the centroids

    def similarity(self, person: Int64s) -> Float32s:
        """The mean cosine of face i to the other shots of person[i], float32 (N,); NaN if there are none.

        NaN also for people without a centroid, and for people added later, who have higher numbers.
        """
        return self.similarity_of(np.arange(len(person)), person)

    def similarity_of(self, rows: Int64s, person: Int64s) -> Float32s:
        """The `similarity` of the faces in `rows` to one person each."""
        person = np.where(person < len(self.people.sizes), person, UNASSIGNED)
        total = inner(self.people.sums, self.vectors, person, rows)
        return self._without_own_shot(total, self.people.sizes[person], rows, person)

    def nearest_others(
        self, own: Int64s, at_least: int, excluded: tuple[Int64s, Int64s] = _NO_PAIRS
    ) -> NearestPerson:
        """For each face the nearest person other than its own.

        at_least: people with fewer shots are left out. excluded: pairs of a face and a person it does not show.
        """
        there = np.flatnonzero(self.people.sizes >= at_least)
        count, people = len(own), len(self.people.sizes)
        k = _CANDIDATES + int(np.bincount(excluded[0]).max(initial=0))
        means = take_rows(self.people.means, there, self.people.room)
        similarity, found = nearest(means, k, self.vectors, self.people.room)
        if found.shape[1] < 2:  # two columns at least, so that there is a second
            similarity = np.pad(similarity, ((0, 0), (0, 2 - found.shape[1])))
            found = np.pad(found, ((0, 0), (0, 2 - found.shape[1])))
            there = np.append(there, UNASSIGNED)
        person = there[found]
        rows, flat = np.repeat(np.arange(count), person.shape[1]), person.ravel()
        size = self.people.sizes[flat]
        values = self._without_own_shot(similarity.ravel() * size, size, rows, flat)
        values[(flat == own[rows]) | np.isin(rows * people + flat, excluded[0] * people + excluded[1])] = (
            np.nan
        )
        ranked = np.where(np.isnan(values), -np.inf, values).reshape(person.shape)
        first, second = np.argsort(-ranked, axis=1, kind="stable")[:, :2].T
        one, two = (np.take_along_axis(ranked, column[:, None], 1)[:, 0] for column in (first, second))
        nearest_person = np.where(
            np.isinf(one), UNASSIGNED, np.take_along_axis(person, first[:, None], 1)[:, 0]
        )
        one, two = (np.where(np.isinf(values), np.nan, values).astype(np.float32) for values in (one, two))
        return NearestPerson(nearest_person, one, two)

    def _without_own_shot(self, total: Float32s, size: Int64s, rows: Int64s, person: Int64s) -> Float32s:
        """Mean cosines from sums of cosines, without the share of the face's own shot."""
        key = person * _shots(self.shot) + self.shot[rows]
        at = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        there = np.flatnonzero(self.key[at] == key) if len(self.key) else np.zeros(0, np.int64)
        total, size = total.copy(), size.copy()
        total[there] -= inner(self.vectors, self.vectors, rows[there], self.row[at[there]])
        size[there] -= 1
        return np.where(size > 0, total / np.maximum(size, 1), np.nan).astype(np.float32)


def centroids_of(
    vectors: Float32s, shot: Int64s, person: Int64s, count: int, room: Room = IN_MEMORY
) -> Centroids:
    """The centroids of `count` people, from the first face of each of their shots.

    person: int64 (N,), a number below `count`, or UNASSIGNED for faces that are in no centroid.
    """
    rows = np.flatnonzero(person >= 0)
    key, first = np.unique(person[rows] * _shots(shot) + shot[rows], return_index=True)
    row = rows[first]
    chosen = np.full(len(person), UNASSIGNED)
    chosen[row] = person[row]
    return Centroids(sum_by_person(vectors, chosen, count, room), vectors, shot, key, row)


def _shots(shot: Int64s) -> int:
    return int(shot.max(initial=0)) + 1
