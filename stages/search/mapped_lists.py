"""The inverted lists of a FAISS index in a memory-mapped file, as they would be in memory after `add`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s

_ROWS_AT_ONCE = 8192
_ID_BYTES = 8


def fill_mapped_lists(index: Any, vectors: Float32s, file: Path) -> None:
    """Add `vectors`, float32 (N, D), to a trained, empty IndexIVFScalarQuantizer, with its lists in `file`.

    The layout is that of FAISS's OnDiskInvertedLists: of each list the codes, then the ids. FAISS itself would let the
    file grow step by step, and print each step. The file may be removed afterwards: it stays mapped.
    """
    import faiss

    count, code_bytes = len(vectors), index.code_size
    list_of = np.concatenate([index.quantizer.assign(block, 1)[:, 0] for block in _blocks(vectors)])
    sizes = np.bincount(list_of[list_of >= 0], minlength=index.nlist).astype(np.uint64)
    total = count * (code_bytes + _ID_BYTES)
    _write(index, vectors, list_of, sizes.astype(np.int64), np.memmap(file, np.uint8, "w+", shape=(total,)))
    lists: Any = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size = index.nlist, code_bytes
    lists.lists.resize(index.nlist)
    lists.set_all_lists_sizes(faiss.swig_ptr(sizes))
    lists.filename, lists.totsize, lists.read_only = str(file), total, True
    lists.prefetch_nthread = 0  # the system reads ahead itself
    lists.do_mmap()
    index.replace_invlists(lists, True)
    lists.this.disown()
    index.ntotal = count


def _write(index: Any, vectors: Float32s, list_of: Int64s, sizes: Int64s, file: NDArray[np.uint8]) -> None:
    code_bytes = index.code_size
    start = (np.cumsum(sizes) - sizes) * (code_bytes + _ID_BYTES)
    filled = np.zeros(len(sizes), np.int64)
    for first, block in zip(range(0, len(vectors), _ROWS_AT_ONCE), _blocks(vectors), strict=True):
        codes = index.sq.compute_codes(block)
        here = list_of[first : first + len(block)]
        order = np.argsort(here, kind="stable")
        order = order[here[order] >= 0]  # as `add` does: a vector of no numbers is in no list
        numbers, begins = np.unique(here[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            code = start[number] + filled[number] * code_bytes
            file[code : code + len(rows) * code_bytes] = codes[rows].ravel()
            at = start[number] + sizes[number] * code_bytes + filled[number] * _ID_BYTES
            file[at : at + len(rows) * _ID_BYTES] = (first + rows).astype(np.int64).view(np.uint8)
            filled[number] += len(rows)


def _blocks(vectors: Float32s) -> Iterator[Float32s]:
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        yield np.ascontiguousarray(vectors[start : start + _ROWS_AT_ONCE], np.float32)
