"""Room for a whole stage: large arrays in memory-mapped files in a local folder."""

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facerefs.pipeline.storage.file_store import TEMPORARY_PREFIX
from facerefs.stages.executor import Executor

Value = TypeVar("Value", bound=np.generic)

_ARRAYS_AT_ONCE = 32  # a stage has some ten arrays of the size of all rows at a time
_BLOCKS_AT_ONCE = 64  # a block is copied several times


@dataclass(frozen=True)
class Scratch:
    """Room of `memory_bytes` for a whole stage (`facerefs.stages.room.Room`); what is too large for it lies in files.

    The system keeps the pages in use in memory, and drops or writes them when others need it. A file loses its name as
    soon as it is mapped, so that its space is freed with the array. Work on `spread_from` rows or more goes to
    `workers`.
    """

    folder: Path
    memory_bytes: int
    workers: Executor | None = None
    spread_from: int = 0

    def executor(self, rows: int) -> Executor | None:
        """The workers, if there are any and the rows are enough for them."""
        return self.workers if rows >= self.spread_from else None

    @property
    def block_bytes(self) -> int:
        """About how many bytes of rows are processed at once."""
        return self.memory_bytes // _BLOCKS_AT_ONCE

    def empty(self, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
        """An array whose values are not set yet."""
        path = self._file(shape, dtype)
        return np.empty(shape, dtype) if path is None else _mapped(path, shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
        """An array of zeros: a file has nothing else where nothing was written."""
        path = self._file(shape, dtype)
        return np.zeros(shape, dtype) if path is None else _mapped(path, shape, dtype)

    def _file(self, shape: tuple[int, ...], dtype: type[Value]) -> Path | None:
        """The name of a new file, if the array is too large for memory. Raises OSError if the disk is too full."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if not size or size <= self.memory_bytes // _ARRAYS_AT_ONCE:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        if (
            size > shutil.disk_usage(self.folder).free
        ):  # a write into a mapped file could only kill the process
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} for {size} bytes", str(self.folder))
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=TEMPORARY_PREFIX, delete=False) as file:
            return Path(file.name)


def _mapped(path: Path, shape: tuple[int, ...], dtype: type[Value]) -> NDArray[Value]:
    mapped = np.memmap(path, dtype, "w+", shape=shape)
    path.unlink()
    return np.asarray(mapped)
