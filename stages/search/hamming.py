"""Neighbours by Hamming distance among 64-bit hashes: exact, with FAISS, in bounded memory."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.stages.executor import Shared
from facerefs.stages.room import IN_MEMORY, Room

Hashes = NDArray[np.uint64]

_QUERIES_PER_BLOCK, _CROWDED_QUERIES_PER_BLOCK = 8192, 1024
_FLAT_UP_TO = 1 << 17
_TABLES, _BITS_PER_TABLE = 3, 21
_MOST_FLIPS = 2  # per table; with three there are 1,562 buckets to search
_HASHES_PER_PIECE = 1 << 22  # of the base: 32 MB


def hamming_pairs(
    queries: Hashes, base: Hashes, max_distance: int, room: Room = IN_MEMORY
) -> tuple[Int64s, Int64s, Int64s]:
    """Every pair of a query and a base hash that differ in at most `max_distance` bits.

    queries: uint64 (N,); base: uint64 (M,). Returns int64 arrays of one length, sorted by i, then j: i (index
    of the query), j (index in base), distance (bits). Memory grows with the pairs found, not with N times M.

    Every hash is compared, but for over 131,072 base hashes and at most 8 bits: of three thirds of 21 bits at
    least one then differs in at most two bits, so 3 hash tables queried with two flips each miss nothing. With a
    million hashes that takes half the time; 4 tables of 16 bits with one flip take longer and end at 7 bits. These are
    searched in this process, the others in pieces, if the room has an executor for so many queries.
    """
    found = hamming_blocks(queries, base, max_distance, room=room)
    i, j, distance = np.concatenate([np.zeros((3, 0), np.int64), *found], axis=1)
    return i, j, distance


def hamming_blocks(
    queries: Hashes, base: Hashes, max_distance: int, *, crowded: bool = False, room: Room = IN_MEMORY
) -> Iterator[tuple[Int64s, Int64s, Int64s]]:
    """The pairs of `hamming_pairs` in blocks of some thousands of queries.

    crowded: many hashes are near each other, as those of aligned faces, so that the buckets of tables are full: every
    hash is compared. For a million synthetic hashes with the bits of 800 faces that takes half the time.
    """
    together = _CROWDED_QUERIES_PER_BLOCK if crowded else _QUERIES_PER_BLOCK
    blocks = (queries[start : start + together] for start in range(0, len(queries), together))
    by_tables = len(base) > _FLAT_UP_TO and max_distance // _TABLES <= _MOST_FLIPS and not crowded
    executor = None if by_tables else room.executor(len(queries))
    if executor is None:
        index = _tables(base, max_distance) if by_tables else _flat(base)
        found: Iterator[Int64s] = (_search(index, block, max_distance) for block in blocks)
    else:
        bases = [
            (start, executor.share(base[start : start + _HASHES_PER_PIECE]))
            for start in range(0, len(base), _HASHES_PER_PIECE)
        ]
        pieces = ((np.ascontiguousarray(block),) for block in blocks)
        found = executor.map(partial(_compared_with_all, bases, max_distance), pieces)
    for number, (i, j, distance) in enumerate(found):
        yield number * together + i, j, distance


def _compared_with_all(bases: list[tuple[int, Shared[Hashes]]], max_distance: int, queries: Hashes) -> Int64s:
    found = [np.zeros((3, 0), np.int64)]
    for start, base in bases:
        pairs = _search(_flat(base.get()), queries, max_distance)
        pairs[1] += start
        found.append(pairs)
    joined = np.concatenate(found, axis=1)
    return joined[:, np.argsort(joined[0], kind="stable")]  # of one query the blocks are in order


def _flat(base: Hashes) -> Any:
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(_bytes(base))
    return index


def _tables(base: Hashes, max_distance: int) -> Any:
    import faiss

    index: Any = faiss.IndexBinaryMultiHash(64, _TABLES, _BITS_PER_TABLE)
    index.nflip = max_distance // _TABLES
    index.add(_bytes(base))
    return index


def _search(index: Any, block: Hashes, max_distance: int) -> Int64s:
    """Rows of the pairs' query in the block, row in the index and distance, int64 (3, P), sorted by the first two."""
    limits, distance, j = index.range_search(_bytes(block), max_distance + 1)  # FAISS's radius is exclusive
    i = np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64)))
    order = np.lexsort((j, i))
    return np.stack([i, j, distance.astype(np.int64)])[:, order]


def _bytes(hashes: Hashes) -> NDArray[np.uint8]:
    return np.ascontiguousarray(hashes, np.uint64).view(np.uint8).reshape(-1, 8)
