"""Lines of `overrides.csv` about pairs of faces, which come before the copy rule."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.stages.copies.copy_rule import COPY, NEITHER
from facerefs.stages.copies.pair_overrides import PairOverrides, pair_overrides
from facerefs.stages.references.face_arrays import Block


@dataclass(frozen=True)
class PairOverrideLookup:
    """The override lines about pairs of N faces, looked up in either order."""

    overrides: PairOverrides  # by rows in `FaceArrays`
    mentioned: NDArray[np.bool_]  # (N,), True if a face is in any pair

    def applied_to(self, block: Block, kinds: Int64s) -> Int64s:
        """The kinds of all pairs of a block, (P, t, n), replaced where an override line decides."""
        if not len(self.overrides.key) or not block.targets(self.mentioned).any():
            return kinds
        row = np.arange(len(self.mentioned))
        found = self._find(block.targets(row)[:, :, None], block.references(row)[:, None])
        return np.where(found >= 0, np.where(self.overrides.copy[found], COPY, NEITHER), kinds)

    def within(self, rows: slice) -> "PairOverrideLookup":
        """The lines about pairs of neighbouring faces, whose rows begin at 0."""
        a, b = np.divmod(self.overrides.key, max(1, len(self.mentioned)))
        found = self.overrides.take((a >= rows.start) & (b < rows.stop))
        a, b = (np.divmod(found.key, max(1, len(self.mentioned)))[side] - rows.start for side in (0, 1))
        mentioned = self.mentioned[rows]
        return PairOverrideLookup(replace(found, key=a * len(mentioned) + b), mentioned)

    def lines(self, a: Int64s, b: Int64s) -> Int64s:
        """The line about each pair of rows; 0 if there is none."""
        if not len(self.overrides.key):
            return np.zeros(len(a), np.int64)
        found = self._find(a, b)
        return np.where(found >= 0, self.overrides.line[found], 0)

    def _find(self, a: Int64s, b: Int64s) -> Int64s:
        """The index of each pair in `overrides`, -1 if it is not there."""
        keys = np.minimum(a, b) * len(self.mentioned) + np.maximum(a, b)
        found = np.minimum(np.searchsorted(self.overrides.key, keys), len(self.overrides.key) - 1)
        return np.where(self.overrides.key[found] == keys, found, -1)


def pair_override_lookup(overrides: pa.Table, ids: pa.ChunkedArray) -> PairOverrideLookup:
    """The lookup for the faces with these ids."""
    found = pair_overrides(overrides, ids)
    mentioned = np.zeros(len(ids), bool)
    mentioned[found.key // len(ids)] = mentioned[found.key % len(ids)] = True
    return PairOverrideLookup(found, mentioned)
