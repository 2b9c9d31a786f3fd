"""The positions of samples in shards, as columns: a million samples take tens of megabytes, without an object each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_KEY_BYTES = 255
MAX_SAMPLE_BYTES = 256 << 20


@dataclass(frozen=True)
class SampleColumns:
    """The samples of one or several shards, one row each."""

    keys: NDArray[np.bytes_]  # UTF-8
    offsets: NDArray[np.int64]  # of the first tar header
    lengths: NDArray[np.int64]  # up to the end of the last padding
    identities: NDArray[np.int32] | None  # codes 0, 1 ... by first appearance; None if identities are unknown

    def __len__(self) -> int:
        return len(self.offsets)


def joined(parts: Sequence[SampleColumns], identities: NDArray[np.int32] | None) -> SampleColumns:
    """The samples of several shards, in this order."""
    if not parts:
        none = np.empty(0, np.int64)
        return SampleColumns(np.empty(0, "S1"), none, none, identities)
    return SampleColumns(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        identities,
    )
