"""Nearest vectors with FAISS: exact for thousands, inverted lists for millions, here, on a GPU, or in pieces."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from facerefs.schemas.arrays import Float32s, Int32s, Int64s
from facerefs.stages.executor import Executor, Shared
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.search.inverted_lists import InvertedLists, inverted_lists, reading
from facerefs.stages.search.ranked import NOT_FOUND, Probes, in_order, ranked

EXACT_UP_TO = 50_000
_QUERIES_PER_BLOCK = 8192
_VECTORS_PER_PIECE = 4096
_LISTS_PER_ROOT = 2
_LISTS_SEARCHED = 24
_TRAINED_ON_PER_LIST = 48
_ROUNDS = 8
_MERGED_AT_ONCE = 8
_ROOM_BLOCKS_PER_PIECE = 4  # blocks of the room in a block of lists


def nearest_blocks(
    vectors: Float32s, queries: Float32s, k: int, room: Room = IN_MEMORY
) -> Iterator[tuple[int, Float32s, Int32s]]:
    """The k rows of `vectors` with the largest inner product for each query, best first, block by block.

    vectors: float32 (N, D) of about unit length; queries: float32 (M, D). Yields the first query's number,
    similarity float32 (m, K) and index int32 (m, K), where K is k or N, if fewer; index -1 and similarity -2
    stand where fewer were found. Of equally near rows the smaller number comes first.

    Up to 50,000 vectors every one is compared, as float32. Beyond, vectors are kept as float16 in 2 sqrt(N) lists, of
    which a query searches the nearest 24. Of 89,000 synthetic faces (128-d, k 64) that finds, of pairs of one person,
    0.998 of those with a cosine of at least 0.4 and 0.999 of those from 0.52 on; of strangers, who are scattered,
    0.77 and 0.93. An HNSW graph (M 32, ef 64) found 0.9995 of one person's from 0.4 on, but took longer to build than
    this to build and search, and FAISS does not promise that several threads build the same graph.

    Lists are trained from a fixed seed, without BLAS, and each query is answered by one thread: the result does
    not depend on how many there are, nor on whether the lists lie in a file, as they do if they are too large for the
    room, nor on how the lists and the queries are cut into pieces, as they are if the room has an executor for so many
    queries. With a GPU build of FAISS and a GPU in this machine the same index lies there, and nothing is sent
    elsewhere; its results may differ from the CPU's in the last bits.
    """
    import faiss

    k = min(k, len(vectors))
    executor = None if faiss.get_num_gpus() else room.executor(len(queries))
    if executor is None:
        found = _here(vectors, queries, k, room)
    elif len(vectors) <= EXACT_UP_TO:
        shared = executor.share(np.ascontiguousarray(vectors, np.float32))
        found = executor.map(partial(_compared_with_all, shared, k), _blocks(queries, _VECTORS_PER_PIECE))
    else:
        found = _by_lists(vectors, queries, k, room, executor)
    start = 0
    for similarity, rows in found:
        yield start, similarity, rows
        start += len(rows)


def _blocks(vectors: Float32s, together: int | None = None) -> Iterator[tuple[Float32s]]:
    together = together or _QUERIES_PER_BLOCK
    for start in range(0, len(vectors), together):
        yield (np.ascontiguousarray(vectors[start : start + together], np.float32),)


def _here(vectors: Float32s, queries: Float32s, k: int, room: Room) -> Iterator[tuple[Float32s, Int32s]]:
    """In this process, by all its threads or a GPU."""
    import faiss

    if faiss.get_num_gpus():
        yield from _on_gpu(vectors, queries, k)
    elif len(vectors) <= EXACT_UP_TO:
        index = _exact(vectors)
        for (block,) in _blocks(queries):
            yield _ranked(index, block, k)
    else:
        index = _trained(vectors)
        with _row_by_row():
            list_of = np.concatenate([_nearest_list(index.quantizer, block) for (block,) in _blocks(vectors)])
        lists = inverted_lists(vectors, list_of, index.nlist, index.sq.compute_codes, index.code_size, room)
        with reading(index, lists):
            for (block,) in _blocks(queries):
                yield _ranked(index, block, k)


def _on_gpu(vectors: Float32s, queries: Float32s, k: int) -> Iterator[tuple[Float32s, Int32s]]:
    import faiss

    index = _trained(vectors) if len(vectors) > EXACT_UP_TO else faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    for (block,) in _blocks(vectors):
        index.add(block)
    for (block,) in _blocks(queries):
        similarity, rows = index.search(block, k)
        similarity[rows < 0] = NOT_FOUND
        similarity, rows = in_order(similarity, rows)
        yield similarity, rows.astype(np.int32)


def _by_lists(
    vectors: Float32s, queries: Float32s, k: int, room: Room, executor: Executor
) -> Iterator[tuple[Float32s, Int32s]]:
    """In pieces: the lists are sent once, in blocks, and each block of queries is compared with one after the other."""
    index = _trained(vectors)
    centres = executor.share(index.quantizer.reconstruct_n(0, index.nlist))
    list_of = np.concatenate(
        list(executor.map(partial(_lists_of, centres), _blocks(vectors, _VECTORS_PER_PIECE)))
    )
    lists = inverted_lists(vectors, list_of, index.nlist, index.sq.compute_codes, index.code_size, room)
    most_bytes = _ROOM_BLOCKS_PER_PIECE * room.block_bytes
    shared = [executor.share(block) for block in lists.blocks(most_bytes)]
    del lists
    work = partial(_compared_with_lists, centres, shared, k)
    yield from executor.map(work, _blocks(queries, _VECTORS_PER_PIECE))


def _compared_with_all(shared: Shared[Float32s], k: int, queries: Float32s) -> tuple[Float32s, Int32s]:
    return _ranked(_exact(shared.get()), queries, k)


def _lists_of(centres: Shared[Float32s], vectors: Float32s) -> Int64s:
    with _row_by_row():
        return _nearest_list(_exact(centres.get()), vectors)


def _compared_with_lists(
    centres: Shared[Float32s], blocks: list[Shared[InvertedLists]], k: int, queries: Float32s
) -> tuple[Float32s, Int32s]:
    quantizer = _exact(centres.get())
    index = _lists(quantizer)
    with _row_by_row():
        similarity, lists = quantizer.search(queries, index.nprobe)
    best = np.full((len(queries), k), NOT_FOUND, np.float32), np.full((len(queries), k), -1)
    found = [best]
    for shared in blocks:
        block = shared.get()
        here = (lists >= block.first) & (lists < block.first + len(block.sizes))
        with _row_by_row(), reading(index, block):
            found.append(ranked(index, queries, k, Probes(similarity, np.where(here, lists, -1))))
        if len(found) == _MERGED_AT_ONCE or shared is blocks[-1]:
            joined = in_order(*(np.concatenate(columns, axis=1) for columns in zip(*found, strict=True)))
            best = joined[0][:, :k], joined[1][:, :k]
            found = [best]
    return best[0], best[1].astype(np.int32)


def _ranked(index: Any, queries: Float32s, k: int) -> tuple[Float32s, Int32s]:
    with _row_by_row():
        similarity, rows = ranked(index, queries, k)
    return similarity, rows.astype(np.int32)


def _exact(vectors: Float32s) -> Any:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    for (block,) in _blocks(vectors):
        index.add(block)
    return index


def _lists(quantizer: Any, lists: int = 0) -> Any:
    """An index with the centres of the quantizer, or with so many centres, which are not known yet."""
    import faiss

    index = faiss.IndexIVFScalarQuantizer(
        quantizer,
        quantizer.d,
        lists or quantizer.ntotal,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # the vectors themselves, not what is left of them after their list's centre
    )
    index.nprobe = _LISTS_SEARCHED
    index.is_trained = not lists
    return index


def _trained(vectors: Float32s) -> Any:
    import faiss

    index = _lists(faiss.IndexFlatIP(vectors.shape[1]), int(_LISTS_PER_ROOT * len(vectors) ** 0.5))
    index.cp.niter = _ROUNDS
    index.cp.spherical = True
    wanted = index.nlist * _TRAINED_ON_PER_LIST
    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:wanted])
    with _row_by_row():
        index.train(np.ascontiguousarray(vectors[rows], np.float32))
    return index


def _nearest_list(quantizer: Any, vectors: Float32s) -> Int64s:
    return np.asarray(quantizer.assign(vectors, 1)[:, 0])


@contextmanager
def _row_by_row() -> Iterator[None]:
    """Let FAISS compute products itself: BLAS rounds them differently with each number of threads."""
    import faiss

    usual = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = (
        2**31 - 1
    )  # the number of queries at once from which on it calls BLAS
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = usual
