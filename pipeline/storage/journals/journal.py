"""The journal of an unfinished part: what was fetched for it, so that a kill causes no second download.

A file of entries, each a JSON object and some bytes, with their lengths and checksum in front. An entry that was cut
short by a kill, or filled with zeros by a loss of power, is ignored, and so are all entries after it. It is a local
file, since object stores cannot append; the journals of a remote build are copied there in pieces
(`journal_copies.py`), so that another machine can continue.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from facerefs.pipeline.storage.journals.journal_copies import JournalCopies

_FRAME = struct.Struct(">IQI")  # lengths of the object and of the bytes, CRC-32 of both
_MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class JournalEntry:
    """The result for one URL: its record, and where its bytes lie in the journal."""

    record: dict[str, Any]
    offset: int
    length: int


class Journal:
    """The journal at a path; there is no file until the first entry. Only one process may use it at a time."""

    def __init__(self, path: Path, copies: JournalCopies | None = None) -> None:
        self.path = path
        self._copies = copies
        self._file: FileIO | None = None
        self._size = 0

    def append(self, record: dict[str, Any], data: bytes) -> JournalEntry:
        """Write an entry. After this returns, a kill does not lose it; a loss of power may."""
        file = self._file or self._open()
        head = json.dumps(record).encode()
        head = _FRAME.pack(len(head), len(data), _checksum(head, data)) + head
        written = os.writev(file.fileno(), [head, data])
        if written < len(head) + len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._size += written
        if self._copies is not None:
            self._copies.extend(self.path, self._size)
        return JournalEntry(record, self._size - len(data), len(data))

    def entries(self) -> list[JournalEntry]:
        """The complete entries, in the order in which they were written."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            return list(_whole_entries(file.fileno(), self.path.stat().st_size))

    def _open(self) -> FileIO:
        """Open the file to write; what a kill left after the complete entries is cut off."""
        entries = self.entries()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = FileIO(self.path, "ab")
        self._size = entries[-1].offset + entries[-1].length if entries else 0
        self._file.truncate(self._size)
        return self._file

    @contextmanager
    def opened(self) -> Iterator[Callable[[JournalEntry], bytes]]:
        """A function that reads the bytes of an entry; it works until the block ends."""
        if not self.path.exists():
            yield lambda entry: b""
            return
        with self.path.open("rb") as file:
            yield lambda entry: os.pread(file.fileno(), entry.length, entry.offset)

    def close(self) -> None:
        """Close the file; the next entry opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if self._copies is not None:
                self._copies.extend(self.path, self._size, at_once=True)

    def remove(self) -> None:
        """Remove the journal, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)
        if self._copies is not None:
            self._copies.remove(self.path)


def _whole_entries(descriptor: int, size: int) -> Iterator[JournalEntry]:
    position = 0
    while position + _FRAME.size <= size:
        head_length, length, checksum = _FRAME.unpack(os.pread(descriptor, _FRAME.size, position))
        start = position + _FRAME.size
        if head_length > _MAX_RECORD_BYTES or start + head_length + length > size:
            return
        head = os.pread(descriptor, head_length, start)
        if not head or _checksum(head, os.pread(descriptor, length, start + head_length)) != checksum:
            return
        yield JournalEntry(json.loads(head), start + head_length, length)
        position = start + head_length + length


def _checksum(head: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(head))
