"""What was fetched for a part that is not finished: survives a kill, so that nothing is fetched twice.

A file of entries, each a JSON object and some bytes with their lengths in front; an entry that a kill cut short
is as if it had never been. Always a local file, since no object store can be appended to.
"""

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Journal:
    """The journal at a path; there is no file until the first entry."""

    path: Path

    def append(self, record: dict[str, Any], data: bytes) -> Entry:
        """Write an entry; it outlives this process as soon as this returns, though not yet a loss of power."""
        head = json.dumps(record).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            file.write(_LENGTHS.pack(len(head), len(data)) + head + data)
        return Entry(record, start + _LENGTHS.size + len(head), len(data))

    def entries(self) -> list[Entry]:
        """The whole entries, in the order in which they were written; what a kill left behind them is cut off."""
        if not self.path.exists():
            return []
        with self.path.open("r+b") as file:
            found = list(_whole_entries(file.fileno(), self.path.stat().st_size))
            file.truncate(found[-1].offset + found[-1].length if found else 0)
        return found

    def read(self, entry: Entry) -> bytes:
        """The bytes of an entry."""
        with self.path.open("rb") as file:
            return os.pread(file.fileno(), entry.length, entry.offset)

    def remove(self) -> None:
        """Take the journal away, if there is one."""
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
