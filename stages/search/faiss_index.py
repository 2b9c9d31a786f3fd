"""Nearest vectors with FAISS: exact for thousands, inverted lists for millions, on CPU or GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from facerefs.schemas.arrays import Float32s, Int32s
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.search.mapped_lists import fill_mapped_lists

EXACT_UP_TO = 50_000
_QUERIES_PER_BLOCK = 8192
_LISTS_PER_ROOT = 2
_LISTS_SEARCHED = 24
_TRAINED_ON_PER_LIST = 48
_ROUNDS = 8


def nearest_blocks(
    vectors: Float32s, queries: Float32s, k: int, room: Room = IN_MEMORY
) -> Iterator[tuple[int, Float32s, Int32s]]:
    """The k rows of `vectors` with the largest inner product for each query, best first, block by block.

    vectors: float32 (N, D) of about unit length; queries: float32 (M, D). Yields the first query's number,
    similarity float32 (m, K) and index int32 (m, K), where K is k or N, if fewer; index -1 and similarity -2
    stand where fewer were found. Up to 50,000 vectors every one is compared, as float32. Beyond, vectors are
    kept as float16 in 2 sqrt(N) lists, of which a query searches the nearest 24. Of 89,000 synthetic faces
    (128-d, k 64) that finds, of pairs of one person, 0.998 of those with a cosine of at least 0.4 and 0.999 of
    those from 0.52 on; of strangers, who are scattered, 0.77 and 0.93. An HNSW graph (M 32, ef 64) found 0.9995
    of one person's from 0.4 on, but took longer to build than this to build and search, and FAISS does not promise that
    several threads build the same graph.

    Lists are trained from a fixed seed, without BLAS, and each query is answered by one thread: the result does
    not depend on how many there are, nor on whether the lists lie in a file, as they do if they are too large for the
    room. With a GPU build of FAISS and a GPU the same index lies there; its results may differ from the CPU's in the
    last bits.
    """
    with _row_by_row():
        index = _index(vectors, room)
    k = min(k, len(vectors))
    for start in range(0, len(queries), _QUERIES_PER_BLOCK):
        block = np.ascontiguousarray(queries[start : start + _QUERIES_PER_BLOCK], np.float32)
        with _row_by_row():
            similarity, found = index.search(block, k)
        similarity[found < 0] = -2
        yield start, similarity, found.astype(np.int32)


def _index(vectors: Float32s, room: Room) -> Any:
    import faiss

    count, dimensions = vectors.shape
    if count <= EXACT_UP_TO:
        index = faiss.IndexFlatIP(dimensions)
    else:
        index = _lists(count, dimensions)
        _train(index, vectors)
    index = _placed(index)
    file = room.file(count * index.code_size) if isinstance(index, faiss.IndexIVF) else None
    if file is not None:
        fill_mapped_lists(index, vectors, file)
        file.unlink()  # it stays mapped
        return index
    for start in range(0, count, _QUERIES_PER_BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + _QUERIES_PER_BLOCK], np.float32))
    return index


def _lists(count: int, dimensions: int) -> Any:
    import faiss

    lists = int(_LISTS_PER_ROOT * count**0.5)
    inner_product = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimensions),
        dimensions,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        inner_product,
        False,  # the vectors themselves, not what is left of them after their list's centre
    )
    index.nprobe = _LISTS_SEARCHED
    index.cp.niter = _ROUNDS
    index.cp.spherical = True
    return index


def _train(index: Any, vectors: Float32s) -> None:
    wanted = index.nlist * _TRAINED_ON_PER_LIST
    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:wanted])
    index.train(np.ascontiguousarray(vectors[rows], np.float32))


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


def _placed(index: Any) -> Any:
    """The index on the first GPU, if FAISS was built for GPUs and there is one, else the index as it is."""
    import faiss

    if faiss.get_num_gpus() == 0:
        return index
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
