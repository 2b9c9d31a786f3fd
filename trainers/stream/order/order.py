"""The endless sequence of one source's rows: shuffled sample by sample, or balanced over identities.

Both are pure functions of (key, position), and return a range of positions at a time, without a loop over samples.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.splitmix import fold_in, fold_in_keys, numbers

Rows = NDArray[np.int32]
Repeats = NDArray[np.int32]

_ROUNDS, _MEMBERS = 0, 1


class Order(Protocol):
    """The interface of both orders."""

    def slice(self, first: int, last: int) -> tuple[Rows, Repeats]:
        """Rows at positions first ... last - 1, and how many times each was drawn before."""


@dataclass(frozen=True)
class ShuffledOrder:
    """Repeated passes over all rows, each pass in a different order."""

    rows: int
    key: int

    def slice(self, first: int, last: int) -> tuple[Rows, Repeats]:
        """Rows at positions first ... last - 1, and the pass that each belongs to."""
        repeats = np.arange(first // self.rows, -(-last // self.rows))
        orders = _permutations(self.key, repeats, self.rows)
        cut = slice(first - int(repeats[0]) * self.rows, last - int(repeats[0]) * self.rows)
        return orders.ravel()[cut].astype(np.int32), np.repeat(repeats, self.rows)[cut].astype(np.int32)


@dataclass(frozen=True)
class BalancedOrder:
    """Repeated rounds over all identities, each round in a different order. In each round an identity gives the next
    of its samples; it repeats passes over its samples, each pass in a different order."""

    identities: NDArray[np.int32]  # code of each row's identity: 0, 1 ... without gaps
    key: int

    def slice(self, first: int, last: int) -> tuple[Rows, Repeats]:
        """Rows at positions first ... last - 1, and how many times each was drawn before."""
        sizes = np.bincount(self.identities)
        people = len(sizes)
        rounds = np.arange(first // people, -(-last // people))
        orders = _permutations(fold_in(self.key, _ROUNDS), rounds, people)
        cut = slice(first - int(rounds[0]) * people, last - int(rounds[0]) * people)
        identity = orders.ravel()[cut]
        repeats, nth = np.divmod(np.repeat(rounds, people)[cut], sizes[identity])
        return self._members(sizes, rounds)(identity, repeats, nth), repeats.astype(np.int32)

    def _members(self, sizes: NDArray[np.int64], rounds: NDArray[np.int64]) -> "_Members":
        """The order of each identity's rows in each pass that these rounds overlap."""
        first_pass = rounds[0] // sizes
        groups = rounds[-1] // sizes + 1 - first_pass  # number of passes overlapped, for each identity
        first_group = np.cumsum(groups) - groups
        identity = np.repeat(np.arange(len(sizes)), groups)  # of each group: a pass of one identity
        repeats = np.arange(len(identity)) - first_group[identity] + first_pass[identity]
        lengths = sizes[identity]
        start = np.cumsum(lengths) - lengths
        group = np.repeat(np.arange(len(identity)), lengths)
        member = np.arange(len(group)) - start[group]
        keys = numbers(
            fold_in_keys(fold_in(self.key, _MEMBERS), identity.astype(np.uint64)), repeats.astype(np.uint64)
        )
        shuffled = member[np.lexsort((numbers(keys[group], member.astype(np.uint64)), group))]
        by_identity = np.argsort(self.identities, kind="stable")
        rows = by_identity[shuffled + (np.cumsum(sizes) - sizes)[identity[group]]]
        return _Members(rows.astype(np.int32), start, first_group, first_pass)


@dataclass(frozen=True)
class _Members:
    """Rows, group after group; a group is one pass of one identity."""

    rows: Rows
    start: NDArray[np.int64]  # of each group in `rows`
    first_group: NDArray[np.int64]  # of each identity
    first_pass: NDArray[np.int64]  # of each identity

    def __call__(
        self, identity: NDArray[np.int64], repeats: NDArray[np.int64], nth: NDArray[np.int64]
    ) -> Rows:
        group = self.first_group[identity] + repeats - self.first_pass[identity]
        rows: Rows = self.rows[self.start[group] + nth]
        return rows


def permutation(key: int, length: int) -> NDArray[np.int64]:
    """A permutation of 0 ... length - 1, uniform over keys; a pure function of its arguments."""
    # Stable, so that equal numbers (among 2**20 of them a pair has a probability of 2**-25) have one order everywhere.
    return np.argsort(numbers(key, np.arange(length, dtype=np.uint64)), kind="stable")


def _permutations(key: int, repeats: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """(repeats, length): a permutation for each pass."""
    keys = fold_in_keys(key, repeats.astype(np.uint64))
    return np.argsort(numbers(keys[:, None], np.arange(length, dtype=np.uint64)[None]), axis=1, kind="stable")
