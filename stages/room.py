"""The room that a whole stage has for what grows with the rows: large arrays are in files, and rows come in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.executor import Executor

Value = TypeVar("Value", bound=np.generic)


class Room(Protocol):
    """Where a whole stage puts its large arrays."""

    @property
    def block_bytes(self) -> int:
        """About how many bytes of rows are processed at once."""

    def empty(self, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
        """An array whose values are not set yet."""

    def zeros(self, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
        """An array of zeros."""

    def executor(self, rows: int) -> Executor | None:
        """What runs pieces of the work on so many rows in other processes; None if they are too few for that."""


@dataclass(frozen=True)
class InMemory:
    """Room without limit."""

    block_bytes: int = 64 << 20

    def empty(self, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
        """An array in memory."""
        return np.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
        """An array in memory."""
        return np.zeros(shape, dtype)

    def executor(self, _: int) -> None:
        """Everything is done in this process."""


IN_MEMORY = InMemory()


def row_blocks(values: NDArray[Any], room: Room) -> Iterator[slice]:
    """Slices of the rows of an array, each of about `room.block_bytes`."""
    row_bytes = max(1, values.nbytes // max(1, len(values)))
    together = max(1, room.block_bytes // row_bytes)
    for start in range(0, len(values), together):
        yield slice(start, min(start + together, len(values)))


def take_rows(values: NDArray[Value], rows: NDArray[Any], room: Room) -> NDArray[Value]:
    """values[rows], in the room. rows: numbers, or True for those to take."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    taken = room.empty((len(rows), *values.shape[1:]), values.dtype.type)
    for block in row_blocks(taken, room):
        taken[block] = values[rows[block]]
    return taken


def divided(sums: Float32s, by: NDArray[Any], room: Room) -> Float32s:
    """Each row of `sums`, float32 (N, D), by one number of `by` (N,), as float32."""
    result = room.empty(sums.shape, np.float32)
    for block in row_blocks(sums, room):
        result[block] = sums[block] / by[block, None]
    return result


def lengths(vectors: Float32s, room: Room) -> Float32s:
    """The Euclidean length of each row, float32 (N,)."""
    found = np.empty(len(vectors), np.float32)
    for block in row_blocks(vectors, room):
        found[block] = np.linalg.norm(vectors[block], axis=1)
    return found


def segment_sums(
    vectors: Float32s, rows: Int64s, starts: Int64s, room: Room
) -> Iterator[tuple[slice, Float32s]]:
    """The sums of vectors[rows] from each of `starts` to the next, block by block: which of the S segments, and (s, D).

    Each is what `np.add.reduceat` gives for all at once: a segment is never cut, which would round otherwise. One that
    is too large for a block is summed some columns at a time. starts: int64 (S,), each less than the next.
    """
    dimensions = vectors.shape[1]
    ends = np.append(starts[1:], len(rows))
    most = max(1, room.block_bytes // (4 * max(1, dimensions)))
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + most, side="right")))
        here = rows[starts[first] : ends[last - 1]]
        columns = dimensions if len(here) <= most else max(1, room.block_bytes // (4 * len(here)))
        pieces = [
            np.add.reduceat(vectors[here, at : at + columns], starts[first:last] - starts[first], axis=0)
            for at in range(0, dimensions, columns)
        ]
        yield slice(first, last), np.concatenate(pieces, axis=1)
        first = last
