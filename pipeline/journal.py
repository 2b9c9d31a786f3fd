"""What was fetched for a part that is not finished: survives a kill, so that nothing is fetched twice.

A file of entries, each a JSON object and some bytes with their lengths in front; an entry that a kill cut short
is as if it had never been. Always a local file, since no object store can be appended to.
"""

import errno
import json
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

_LENGTHS = struct.Struct(">IQ")
_MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One thing that is done: what is known of it, and where its bytes lie in the journal."""

    record: dict[str, Any]
    offset: int
    length: int


class Journal:
    """The journal at a path; there is no file until the first entry. Only one process may have it at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._size = 0

    def append(self, record: dict[str, Any], data: bytes) -> Entry:
        """Write an entry; it outlives this process as soon as this returns, though not yet a loss of power."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self.path, "ab")
            self._size = self._file.seek(0, os.SEEK_END)
        head = json.dumps(record).encode()
        head = _LENGTHS.pack(len(head), len(data)) + head
        written = os.writev(self._file.fileno(), [head, data])
        if written < len(head) + len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._size += written
        return Entry(record, self._size - len(data), len(data))

    def entries(self) -> list[Entry]:
        """The whole entries, in the order in which they were written; what a kill left behind them is cut off."""
        if not self.path.exists():
            return []
        with self.path.open("r+b") as file:
            found = list(_whole_entries(file.fileno(), self.path.stat().st_size))
            file.truncate(found[-1].offset + found[-1].length if found else 0)
        return found

    @contextmanager
    def opened(self) -> Iterator[Callable[[Entry], bytes]]:
        """A function that reads the bytes of an entry, as long as the block lasts."""
        if not self.path.exists():
            yield lambda entry: b""
            return
        with self.path.open("rb") as file:
            yield lambda entry: os.pread(file.fileno(), entry.length, entry.offset)

    def remove(self) -> None:
        """Take the journal away, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)


def _whole_entries(descriptor: int, size: int) -> Iterator[Entry]:
    position = 0
    while position + _LENGTHS.size <= size:
        head, length = _LENGTHS.unpack(os.pread(descriptor, _LENGTHS.size, position))
        start = position + _LENGTHS.size
        if head > _MAX_RECORD_BYTES or start + head + length > size:
            return
        yield Entry(json.loads(os.pread(descriptor, head, start)), start + head, length)
        position = start + head + length
