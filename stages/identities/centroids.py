"""The faces by which people are known, and how like them others are."""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.people import NOBODY, People, gather
from facerefs.stages.search.similarity import inner, nearest

_CANDIDATES = 4
_NO_PAIRS = (np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Nearest:
    """The nearest person to each face, and how like that one and the next are; NOBODY and NaN where none is."""

    who: Int64s
    likeness: Float32s
    next: Float32s


@dataclass(frozen=True)
class Cores:
    """Of each person some faces, one per shot. A face is never compared with copies of itself."""

    people: People
    vectors: Float32s  # of all faces
    shot: Int64s  # of all faces
    key: Int64s  # of the core faces: person * shots + shot, ascending
    row: Int64s  # of the core faces

    def likeness(self, person: Int64s) -> Float32s:
        """The mean cosine of face i to the other shots of person[i], float32 (N,); NaN if there are none.

        So it is of people who have no core and of those who came after, with higher numbers.
        """
        return self.likeness_of(np.arange(len(person)), person)

    def likeness_of(self, rows: Int64s, person: Int64s) -> Float32s:
        """The `likeness` of some faces to a person each."""
        person = np.where(person < len(self.people.sizes), person, NOBODY)
        total = inner(self.people.sums, self.vectors, person, rows)
        return self._without_own_shot(total, self.people.sizes[person], rows, person)

    def nearest_others(
        self, own: Int64s, at_least: int, barred: tuple[Int64s, Int64s] = _NO_PAIRS
    ) -> Nearest:
        """The nearest people to each face who are not its own.

        at_least: the fewest shots by which a person is known. barred: faces, and who each of them is not.
        """
        there = np.flatnonzero(self.people.sizes >= at_least)
        count, people = len(own), len(self.people.sizes)
        k = _CANDIDATES + int(np.bincount(barred[0]).max(initial=0))
        similarity, found = nearest(self.people.means[there], k, queries=self.vectors)
        if found.shape[1] < 2:  # two columns at least, so that there is a second
            similarity = np.pad(similarity, ((0, 0), (0, 2 - found.shape[1])))
            found = np.pad(found, ((0, 0), (0, 2 - found.shape[1])))
            there = np.append(there, NOBODY)
        person = there[found]
        rows, flat = np.repeat(np.arange(count), person.shape[1]), person.ravel()
        size = self.people.sizes[flat]
        values = self._without_own_shot(similarity.ravel() * size, size, rows, flat)
        values[(flat == own[rows]) | np.isin(rows * people + flat, barred[0] * people + barred[1])] = np.nan
        ranked = np.where(np.isnan(values), -np.inf, values).reshape(person.shape)
        first, second = np.argsort(-ranked, axis=1, kind="stable")[:, :2].T
        one, two = (np.take_along_axis(ranked, column[:, None], 1)[:, 0] for column in (first, second))
        who = np.where(np.isinf(one), NOBODY, np.take_along_axis(person, first[:, None], 1)[:, 0])
        one, two = (np.where(np.isinf(values), np.nan, values).astype(np.float32) for values in (one, two))
        return Nearest(who, one, two)

    def _without_own_shot(self, total: Float32s, size: Int64s, rows: Int64s, person: Int64s) -> Float32s:
        """Mean cosines from sums of cosines, less what the face's own shot adds."""
        key = person * _shots(self.shot) + self.shot[rows]
        at = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        there = np.flatnonzero(self.key[at] == key) if len(self.key) else np.zeros(0, np.int64)
        total, size = total.copy(), size.copy()
        total[there] -= inner(self.vectors, self.vectors, rows[there], self.row[at[there]])
        size[there] -= 1
        return np.where(size > 0, total / np.maximum(size, 1), np.nan).astype(np.float32)


def cores_of(vectors: Float32s, shot: Int64s, person: Int64s, count: int) -> Cores:
    """The faces with a person (numbers below `count`, or NOBODY): of each shot of a person the first."""
    rows = np.flatnonzero(person >= 0)
    key, first = np.unique(person[rows] * _shots(shot) + shot[rows], return_index=True)
    row = rows[first]
    chosen = np.full(len(person), NOBODY)
    chosen[row] = person[row]
    return Cores(gather(vectors, chosen, count), vectors, shot, key, row)


def _shots(shot: Int64s) -> int:
    return int(shot.max(initial=0)) + 1
