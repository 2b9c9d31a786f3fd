"""Neighbours by Hamming distance among 64-bit hashes: exact, with FAISS, in bounded memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s

Hashes = NDArray[np.uint64]

_QUERIES_PER_BLOCK, _CROWDED_QUERIES_PER_BLOCK = 8192, 1024
_FLAT_UP_TO = 1 << 17
_TABLES, _BITS_PER_TABLE = 3, 21
_MOST_FLIPS = 2  # per table; with three there are 1,562 buckets to search


def hamming_pairs(queries: Hashes, base: Hashes, max_distance: int) -> tuple[Int64s, Int64s, Int64s]:
    """Every pair of a query and a base hash that differ in at most `max_distance` bits.

    queries: uint64 (N,); base: uint64 (M,). Returns int64 arrays of one length, sorted by i, then j: i (index
    of the query), j (index in base), distance (bits). Memory grows with the pairs found, not with N times M.

    Every hash is compared, but for over 131,072 base hashes and at most 8 bits: of three thirds of 21 bits at
    least one then differs in at most two bits, so 3 hash tables queried with two flips each miss nothing. With a
    million hashes that takes half the time; 4 tables of 16 bits with one flip take longer and end at 7 bits.
    """
    found = hamming_blocks(queries, base, max_distance)
    i, j, distance = np.concatenate([np.zeros((3, 0), np.int64), *found], axis=1)
    return i, j, distance


def hamming_blocks(
    queries: Hashes, base: Hashes, max_distance: int, *, crowded: bool = False
) -> Iterator[tuple[Int64s, Int64s, Int64s]]:
    """The pairs of `hamming_pairs` in blocks of some thousands of queries.

    crowded: many hashes are near each other, as those of aligned faces, so that the buckets of tables are full: every
    hash is compared. For a million synthetic hashes with the bits of 800 faces that takes half the time.
    """
    index = _index(base, max_distance, crowded)
    together = _CROWDED_QUERIES_PER_BLOCK if crowded else _QUERIES_PER_BLOCK
    for start in range(0, len(queries), together):
        i, j, distance = _search(index, queries[start : start + together], start, max_distance)
        yield i, j, distance


def _index(base: Hashes, max_distance: int, crowded: bool) -> Any:
    import faiss

    if len(base) > _FLAT_UP_TO and max_distance // _TABLES <= _MOST_FLIPS and not crowded:
        index: Any = faiss.IndexBinaryMultiHash(64, _TABLES, _BITS_PER_TABLE)
        index.nflip = max_distance // _TABLES
    else:
        index = faiss.IndexBinaryFlat(64)
    index.add(_bytes(base))
    return index


def _search(index: Any, block: Hashes, start: int, max_distance: int) -> Int64s:
    limits, distance, j = index.range_search(_bytes(block), max_distance + 1)  # FAISS's radius is exclusive
    i = start + np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64)))
    order = np.lexsort((j, i))
    return np.stack([i, j, distance.astype(np.int64)])[:, order]


def _bytes(hashes: Hashes) -> NDArray[np.uint8]:
    return np.ascontiguousarray(hashes, np.uint64).view(np.uint8).reshape(-1, 8)
