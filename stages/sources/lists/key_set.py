"""Which texts of a long stream came before, in 8 bytes a text."""

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Hashes: TypeAlias = npt.NDArray[np.uint64]


class KeySet:
    """A growing set of texts, kept as sorted runs of 64-bit hashes, each less than half as long as the one before.

    Of ten million texts, two that differ are taken for one with a probability of 3e-6.
    """

    def __init__(self) -> None:
        self._runs: list[_Hashes] = []

    def add(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Add texts -> bool (N,): which of them were there before, or stand further up in `texts`."""
        hashes = _hashes(texts)
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


def _hashes(texts: Sequence[str]) -> _Hashes:
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)
