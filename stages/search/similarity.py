"""Cosines between many vectors: nearest neighbours, pairs and average linkage, in bounded memory."""

import numpy as np
import pyarrow as pa

from facerefs.schemas.arrays import Float32s, Int32s, Int64s
from facerefs.stages.room import IN_MEMORY, Room, row_blocks
from facerefs.stages.search.faiss_index import nearest_blocks

_BLOCK_BYTES = 64 << 20
_ROWS_AT_ONCE = 8192


def matrix(column: pa.ChunkedArray) -> Float32s:
    """A column of lists of one length as float32 (N, D).

    Raises ValueError if a list is null or if the lists differ in length.
    """
    if not len(column):
        return np.zeros((0, 0), np.float32)
    lists = column.combine_chunks()
    if pa.types.is_fixed_size_list(lists.type):
        widths = [lists.type.list_size]
    else:
        widths = lists.value_lengths().unique().to_pylist()
    if lists.null_count or len(widths) != 1:
        raise ValueError(
            f"a row that is not rejected lacks its vector, or vectors differ in length: {widths}"
        )
    flat = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), np.float32)
    return flat.reshape(len(lists), widths[0])


def rows_of_matrix(column: pa.ChunkedArray, rows: Int64s, room: Room = IN_MEMORY) -> Float32s:
    """`matrix` of some rows of a column, in their order, without another copy of the whole column."""
    place = np.full(len(column), -1)
    place[rows] = np.arange(len(rows))
    gathered = np.zeros((len(rows), 0), np.float32)
    for start in range(0, len(column), _ROWS_AT_ONCE):
        to = place[start : start + _ROWS_AT_ONCE]
        used = to >= 0
        if not used.any():
            continue
        piece = column.slice(start, _ROWS_AT_ONCE)
        values = matrix(piece if used.all() else piece.filter(pa.array(used)))
        if not gathered.shape[1]:
            gathered = room.empty((len(rows), values.shape[1]), np.float32)
        if values.shape[1] != gathered.shape[1]:
            raise ValueError(f"vectors differ in length: {[gathered.shape[1], values.shape[1]]}")
        gathered[to[used]] = values
    return gathered


def one_embedder(column: pa.ChunkedArray) -> str:
    """The name of the embedder that made all vectors. Raises ValueError if there are several."""
    embedders = sorted(str(name) for name in column.unique().to_pylist())
    if len(embedders) != 1:
        raise ValueError(
            f"faces of several embedders cannot be compared: {', '.join(embedders)}; analyse all with one"
        )
    return embedders[0]


def nearest(
    vectors: Float32s, k: int, queries: Float32s | None = None, room: Room = IN_MEMORY
) -> tuple[Float32s, Int32s]:
    """The k rows of `vectors` with the largest inner product, best first, as `stages.search.faiss_index` finds them.

    vectors: float32 (N, D), unit length where the result is to be a cosine. queries: float32 (M, D); without
    them every vector is a query, and not its own neighbour.
    Returns similarity float32 (M, K) and index int32 (M, K), where K is k or as many as there are, if fewer;
    where an index of over 50,000 vectors found fewer, index -1 and similarity -2.
    """
    is_self = queries is None
    searched = vectors if queries is None else queries
    count = min(k + is_self, len(vectors)) - is_self
    similarity = np.zeros((len(searched), max(count, 0)), np.float32)
    index = np.zeros(similarity.shape, np.int32)
    if count > 0:
        for start, near, found in nearest_blocks(vectors, searched, count + is_self, room):
            rows = slice(start, start + len(near))
            similarity[rows], index[rows] = _without_itself(start, near, found) if is_self else (near, found)
    return similarity, index


def neighbour_pairs(
    vectors: Float32s, k: int, at_least: float, room: Room = IN_MEMORY
) -> tuple[Int64s, Int64s]:
    """The pairs (a < b) of which one is among the other's k nearest, at a cosine of at least `at_least`.

    Memory holds only these pairs, 8 bytes each while they are collected, not k neighbours of every row.
    """
    count = len(vectors)
    keys = [np.zeros(0, np.int64)]
    found_blocks = nearest_blocks(vectors, vectors, min(k + 1, count), room) if count else ()
    for start, similarity, neighbours in found_blocks:
        near, found = _without_itself(start, similarity, neighbours)
        row, column = np.nonzero(near >= at_least)
        a, b = (start + row).astype(np.int64), found[row, column].astype(np.int64)
        keys.append(np.unique(np.minimum(a, b) * count + np.maximum(a, b)))
    key = np.unique(np.concatenate(keys))
    return key // max(count, 1), key % max(count, 1)


def _without_itself(start: int, similarity: Float32s, found: Int32s) -> tuple[Float32s, Int32s]:
    """The neighbours without the row itself, or without the last one if exact copies pushed the row itself out."""
    own = found == np.arange(start, start + len(found), dtype=np.int32)[:, None]
    own[~own.any(axis=1), -1] = True
    return similarity[~own].reshape(len(found), -1), found[~own].reshape(len(found), -1)


def unique_pairs(a: Int64s, b: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """The pairs of rows below `count` as a < b, each once, sorted; no row with itself."""
    keys = np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b)
    keys = np.unique(keys[a != b])
    return keys // max(count, 1), keys % max(count, 1)


def inner(left: Float32s, right: Float32s, a: Int64s, b: Int64s) -> Float32s:
    """Inner products of left[a] and right[b], float32 (len(a),), block by block."""
    block = max(1, _BLOCK_BYTES // (8 * max(1, left.shape[1])))
    products = np.empty(len(a), np.float32)
    for start in range(0, len(a), block):
        part = slice(start, start + block)
        products[part] = inner_products(left[a[part]], right[b[part]])
    return products


def inner_products(left: Float32s, right: Float32s) -> Float32s:
    """Inner products over the last axis, (...), of arrays (..., D) that broadcast.

    Not by a matrix product, of which BLAS may round the same pair another way in a block of another shape.
    """
    return np.asarray(np.einsum("...d,...d->...", left, right))


def average_linkage(
    sums: Float32s,
    sizes: Int64s,
    a: Int64s,
    b: Int64s,
    threshold: float,
    lone: float | None = None,
    room: Room = IN_MEMORY,
) -> Int64s:
    """Groups by average linkage: the members are similar on average, so no weak link and no chain joins two groups.

    Two groups merge while the mean cosine over all their cross pairs is at least `threshold`, best first.
    That mean is the inner product of the groups' mean vectors, so no matrix of pairs is needed. Average
    linkage is reducible (Bruynooghe 1978): merging all mutually nearest groups at once gives the same tree as
    merging one pair at a time, and a pair below the threshold can be forgotten.

    lone: the threshold for two single faces, as one cosine is weaker evidence than many. A group of m and one of n
    need `threshold` plus (1/m + 1/n) / 2 of the difference.
    sums: float32 (N, D), the sum of the unit vectors of each starting group; sizes: int64 (N,), how many.
    a, b: the pairs that may merge, directly or once their groups have grown; others never do.
    Returns int64 (N,): for each row the smallest row of its group.
    """
    sums, sizes, count = _copy(sums, room), sizes.astype(np.int64), len(sums)
    group = np.arange(count)
    a, b = unique_pairs(a, b, count)
    similarity = _mean_cosine(sums, sizes, a, b)
    more = 0.0 if lone is None else (lone - threshold) / 2
    while True:
        strong = similarity >= threshold
        a, b, similarity = a[strong], b[strong], similarity[strong]
        ready = similarity >= threshold + more * (1 / sizes[a] + 1 / sizes[b])
        if not ready.any():
            return group
        first, second = _mutually_nearest(a[ready], b[ready], similarity[ready], count)
        for block in row_blocks(sums[: len(first)], room):
            sums[first[block]] += sums[second[block]]
        sizes[first] += sizes[second]
        root = np.arange(count)
        root[second] = first
        group = root[group]
        grown = np.zeros(count, bool)
        grown[first] = True
        keys = np.minimum(root[a], root[b]) * count + np.maximum(root[a], root[b])
        keys, kept = np.unique(keys, return_index=True)
        a, b, similarity = keys // count, keys % count, similarity[kept]
        apart = a != b
        a, b, similarity = a[apart], b[apart], similarity[apart]
        stale = grown[a] | grown[b]
        similarity[stale] = _mean_cosine(sums, sizes, a[stale], b[stale])


def _copy(values: Float32s, room: Room) -> Float32s:
    copied = room.empty(values.shape, np.float32)
    for block in row_blocks(values, room):
        copied[block] = values[block]
    return copied


def _mean_cosine(sums: Float32s, sizes: Int64s, a: Int64s, b: Int64s) -> Float32s:
    return (inner(sums, sums, a, b) / (sizes[a] * sizes[b])).astype(np.float32)


def _mutually_nearest(a: Int64s, b: Int64s, similarity: Float32s, count: int) -> tuple[Int64s, Int64s]:
    """The pairs in which each is the most similar to the other; of equal pairs the first."""
    best = np.full(count, -np.inf, np.float32)
    np.maximum.at(best, a, similarity)
    np.maximum.at(best, b, similarity)
    first = np.full(count, len(a))  # of the pairs with the best similarity
    for side in (a, b):
        pairs = np.flatnonzero(similarity == best[side])
        np.minimum.at(first, side[pairs], pairs)
    mutual = (first[a] == first[b]) & (first[a] == np.arange(len(a)))
    return a[mutual], b[mutual]
