"""Inverted lists as one array of bytes, which a FAISS index reads where they are: in a file, in shared memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.room import Room, row_blocks

_ID_BYTES = 8


@dataclass(frozen=True)
class InvertedLists:
    """The lists `first` and following of an index: of each the codes of its rows, then their numbers, int64.

    That is the layout of FAISS's OnDiskInvertedLists.
    """

    first: int
    sizes: Int64s  # rows of each list
    data: NDArray[np.uint8]

    def blocks(self, most_bytes: int) -> Iterator["InvertedLists"]:
        """Neighbouring lists in blocks of about so many bytes, views; none of lists without rows."""
        row_bytes = len(self.data) // max(1, int(self.sizes.sum()))
        ends = np.cumsum(self.sizes) * row_bytes
        first = start = 0
        while first < len(self.sizes):
            last = max(first + 1, int(np.searchsorted(ends, start + most_bytes, side="right")))
            end = int(ends[last - 1])
            if end > start:
                yield InvertedLists(self.first + first, self.sizes[first:last], self.data[start:end])
            first, start = last, end


def inverted_lists(
    vectors: Float32s,
    list_of: Int64s,
    count: int,
    encoded: Callable[[Float32s], NDArray[np.uint8]],
    code_bytes: int,
    room: Room,
) -> InvertedLists:
    """The `count` lists of vectors float32 (N, D), in the room, as FAISS's `add` would make them.

    list_of: int64 (N,), the list of each vector; -1 for none, as for one of no numbers. encoded: float32 (n, D) to
    uint8 (n, code_bytes).
    """
    sizes = np.bincount(list_of[list_of >= 0], minlength=count)
    data = room.empty((int(sizes.sum()) * (code_bytes + _ID_BYTES),), np.uint8)
    start = (np.cumsum(sizes) - sizes) * (code_bytes + _ID_BYTES)
    filled = np.zeros(count, np.int64)
    for block in row_blocks(vectors, room):
        codes = encoded(np.ascontiguousarray(vectors[block], np.float32))
        here = list_of[block]
        order = np.argsort(here, kind="stable")
        order = order[here[order] >= 0]
        numbers, begins = np.unique(here[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            code = start[number] + filled[number] * code_bytes
            data[code : code + len(rows) * code_bytes] = codes[rows].ravel()
            at = start[number] + sizes[number] * code_bytes + filled[number] * _ID_BYTES
            data[at : at + len(rows) * _ID_BYTES] = (block.start + rows).astype(np.int64).view(np.uint8)
            filled[number] += len(rows)
    return InvertedLists(0, sizes, data)


@contextmanager
def reading(index: Any, lists: InvertedLists) -> Iterator[Any]:
    """The trained IndexIVF with these lists, which it reads in place; its other lists are empty, and all afterwards."""
    import faiss

    pointer: Any = faiss.cast_integer_to_uint8_ptr  # type: ignore[attr-defined]  # its stubs lack this one
    sizes = np.zeros(index.nlist, np.uint64)
    sizes[lists.first : lists.first + len(lists.sizes)] = lists.sizes
    read: Any = faiss.OnDiskInvertedLists()
    read.nlist, read.code_size, read.read_only = index.nlist, index.code_size, True
    read.lists.resize(index.nlist)
    read.set_all_lists_sizes(faiss.swig_ptr(sizes))
    read.prefetch_nthread = 0  # the system reads ahead itself
    read.totsize, read.ptr = len(lists.data), pointer(lists.data.ctypes.data)
    index.replace_invlists(read, False)
    index.ntotal = int(lists.sizes.sum())
    try:
        yield index
    finally:
        read.ptr = None  # else FAISS would unmap what is not its own
        index.replace_invlists(None, False)
        index.ntotal = 0
