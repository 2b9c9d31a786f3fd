"""Copies of journals in object storage, which cannot append: each copy is a row of pieces, named by where they begin.

What is in no piece yet, `PIECE_BYTES` or `PIECE_S` at most, is fetched again if a machine is lost.
"""

import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from facerefs.pipeline.storage.file_store import FileStore

PIECE_BYTES = 8 << 20
PIECE_S = 10.0
_PIECE = re.compile(r"(?P<journal>.+\.journal)-(?P<start>[0-9]{15})")


@dataclass
class _Copied:
    """How much of one journal is copied, or being copied."""

    bytes: int = 0
    last_s: float = field(default_factory=time.monotonic)
    running: "Future[None] | None" = None


@dataclass
class JournalCopies:
    """The copies of the journals in a folder of a remote build; one process writes to a journal at a time."""

    store: FileStore
    folder: str
    _copied: dict[str, _Copied] = field(default_factory=dict)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def names(self) -> set[str]:
        """The names of the journals that have a copy."""
        return set(self._pieces())

    def fetch(self, path: Path) -> None:
        """Bring a journal here if its copy holds more than the file on this machine, which may have none."""
        starts = self._pieces().get(path.name, [])
        pieces = [self.store.info(self._piece(path.name, start)).size for start in starts]
        size = sum(pieces)
        self._copied[path.name] = _Copied(size)
        if size <= (path.stat().st_size if path.exists() else 0):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in starts:
                if file.tell() != start:
                    break  # what comes after a gap cannot be read
                with self.store.open_to_read(self._piece(path.name, start)) as piece:
                    file.write(piece.read())

    def extend(self, path: Path, size: int, at_once: bool = False) -> None:
        """Copy what is new in the first `size` bytes of a journal, once it is enough; `at_once`, and wait for it.

        Raises OSError if an earlier piece could not be copied.
        """
        copied = self._copied.setdefault(path.name, _Copied())
        if copied.running is not None and (at_once or copied.running.done()):
            copied.running.result()
            copied.running = None
        new = size - copied.bytes
        if new < 0:  # a kill had left an incomplete entry, which was cut off
            self._remove_pieces(path.name)
            copied.bytes, new = 0, size
        is_enough = new >= PIECE_BYTES or time.monotonic() - copied.last_s > PIECE_S
        if not new or copied.running is not None or not (at_once or is_enough):
            return
        copied.running = self._thread.submit(self._copy, path, copied.bytes, new)
        copied.bytes, copied.last_s = size, time.monotonic()
        if at_once:
            copied.running.result()
            copied.running = None

    def remove(self, path: Path) -> None:
        """Remove the copy of a journal."""
        copied = self._copied.pop(path.name, None)
        if copied is not None and copied.running is not None:
            copied.running.result()
        self._remove_pieces(path.name)

    def _copy(self, path: Path, start: int, length: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(length)
        with self.store.replacing(self._piece(path.name, start)) as piece:
            piece.write(data)

    def _remove_pieces(self, journal: str) -> None:
        for start in self._pieces().get(journal, []):
            self.store.remove_file(self._piece(journal, start))

    def _piece(self, journal: str, start: int) -> str:
        return f"{self.folder}/{journal}-{start:015d}"

    def _pieces(self) -> dict[str, list[int]]:
        """Where the pieces of each journal begin, in their order."""
        pieces: dict[str, list[int]] = {}
        for name in sorted(self.store.files(self.folder)):
            if found := _PIECE.fullmatch(name):
                pieces.setdefault(found["journal"], []).append(int(found["start"]))
        return pieces


def journal_copies(store: FileStore, folder: str) -> JournalCopies | None:
    """The copies of the journals of a remote build; None for a local one, which needs none."""
    return None if store.is_local else JournalCopies(store, folder)
