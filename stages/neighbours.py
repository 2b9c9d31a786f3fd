"""Neighbours in Hamming distance among 64-bit hashes: exact, with FAISS, in bounded memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

_QUERIES_PER_BLOCK = 8192


def hamming_pairs(queries: Hashes, base: Hashes, max_distance: int) -> tuple[Ints, Ints, Ints]:
    """Every pair of a query and a base hash that differ in at most `max_distance` bits.

    queries: uint64 (N,); base: uint64 (M,). Returns int64 arrays of one length, sorted by i, then j: i (index
    of the query), j (index in base), distance (bits). Memory grows with the pairs found, not with N times M.
    """
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(_bytes(base))
    found = [
        _search(index, queries[start : start + _QUERIES_PER_BLOCK], start, max_distance)
        for start in range(0, len(queries), _QUERIES_PER_BLOCK)
    ]
    i, j, distance = np.concatenate([np.zeros((3, 0), np.int64), *found], axis=1)
    return i, j, distance


def _search(index: Any, block: Hashes, start: int, max_distance: int) -> Ints:
    limits, distance, j = index.range_search(_bytes(block), max_distance + 1)  # FAISS's radius is exclusive
    i = start + np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64)))
    order = np.lexsort((j, i))
    return np.stack([i, j, distance.astype(np.int64)])[:, order]


def _bytes(hashes: Hashes) -> NDArray[np.uint8]:
    return np.ascontiguousarray(hashes, np.uint64).view(np.uint8).reshape(-1, 8)
