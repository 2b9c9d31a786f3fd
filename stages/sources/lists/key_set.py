"""A set of keys in 8 bytes each, to find duplicates in a list of millions."""

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Hashes: TypeAlias = npt.NDArray[np.uint64]


class KeySet:
    """A growing set of keys, kept as sorted runs of 64-bit hashes, each less than half as long as the one before.

    Among ten million different keys, the probability that any two have the same hash is 3e-6.
    """

    def __init__(self) -> None:
        self._runs: list[_Hashes] = []

    def add(self, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Add keys; returns bool (N,): which of them were added before, or stand earlier in `keys`."""
        hashes = _hashes(keys)
        distinct, first = np.unique(hashes, return_index=True)
        known = np.zeros(len(distinct), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            known |= run[at] == distinct
        before = np.ones(len(hashes), dtype=bool)
        before[first] = known
        self._keep(distinct[~known])
        return before

    def _keep(self, run: _Hashes) -> None:
        while self._runs and 2 * len(run) > len(self._runs[-1]):
            run = np.concatenate([self._runs.pop(), run])
            run.sort()
        if len(run):
            self._runs.append(run)


def _hashes(keys: Sequence[str]) -> _Hashes:
    digests = (hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)
