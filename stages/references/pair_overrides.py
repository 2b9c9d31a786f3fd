"""What a person decided about pairs of faces in `overrides.csv`, over what the rule says."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.stages.copies.copy_rule import COPY, NEITHER
from facerefs.stages.copies.pair_overrides import PairsSaid, said_of_pairs
from facerefs.stages.references.face_arrays import Block


@dataclass(frozen=True)
class Verdicts:
    """Pairs of N portraits, whichever way round."""

    said: PairsSaid  # by places among the portraits
    judged: NDArray[np.bool_]  # (N,), whether a portrait is in any pair

    def over(self, block: Block, kinds: Int64s) -> Int64s:
        """The kinds of all pairs of a block, (P, t, n), with what the person decided in their place."""
        if not block.targets(self.judged).any():
            return kinds
        place = np.arange(len(self.judged))
        found = self._find(block.targets(place)[:, :, None], block.references(place)[:, None])
        return np.where(found >= 0, np.where(self.said.copy[found], COPY, NEITHER), kinds)

    def lines(self, a: Int64s, b: Int64s) -> Int64s:
        """The line about each pair of places; 0 if there is none."""
        if not len(self.said.key):
            return np.zeros(len(a), np.int64)
        found = self._find(a, b)
        return np.where(found >= 0, self.said.line[found], 0)

    def _find(self, a: Int64s, b: Int64s) -> Int64s:
        """Where pairs stand among those of which something is said, -1 if nowhere."""
        keys = np.minimum(a, b) * len(self.judged) + np.maximum(a, b)
        found = np.minimum(np.searchsorted(self.said.key, keys), len(self.said.key) - 1)
        return np.where(self.said.key[found] == keys, found, -1)


def verdicts(overrides: pa.Table, ids: pa.ChunkedArray) -> Verdicts:
    """What is said of the portraits with these ids."""
    said = said_of_pairs(overrides, ids)
    judged = np.zeros(len(ids), bool)
    judged[said.key // len(ids)] = judged[said.key % len(ids)] = True
    return Verdicts(said, judged)
