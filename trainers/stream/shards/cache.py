"""A cache of remote files in a local folder of limited size, which any number of processes may share.

A file is fetched under its own lock, checked, and only then renamed, so that a file with its final name is complete.
The least recently used files are removed first. A process that has a file open can still read it after its removal.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.download import AbsentError, Sink, download, shown_address

_POLL_S = 0.05
_PART, _LOCK = ".part", ".lock"


def default_folder() -> Path:
    """The default folder: `facerefs/shards` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches, "facerefs", "shards")


@dataclass(frozen=True)
class ShardCache:
    """The cache for remote shards.

    max_bytes: if it is below the size of the set, each sample may cause the download of a shard, since samples are
    drawn from the whole set. timeout_s: for one file, with all attempts and the wait for other processes. pause_s:
    before the second attempt; it doubles from attempt to attempt.
    """

    folder: Path = field(default_factory=default_folder)
    max_bytes: int = 256 << 30
    timeout_s: float = 900.0
    attempts: int = 6
    pause_s: float = 0.5

    def check(self, address: str, size: int) -> None:
        """Raise StreamError if the cache is too small for a file of this size."""
        if size > self.max_bytes:
            raise StreamError(
                f"{shown_address(address)} has {size} bytes, the cache holds {self.max_bytes}: raise its max_bytes"
            )

    def open(self, address: str, size: int, sha256: str | None) -> int:
        """A descriptor of a file with this size and hash, fetched if it is not in the cache. Raises StreamError."""
        self.check(address, size)
        try:
            return self._open(address, size, sha256)
        except AbsentError:
            raise StreamError(
                f"there is no {shown_address(address)}, but the set needs it: copy it there again"
            ) from None

    def read(self, address: str, max_bytes: int) -> bytes | None:
        """The bytes of a file, read without the cache; None if there is no file. Raises StreamError."""
        data = bytearray()

        def begin() -> Sink:
            data.clear()
            return _bounded(data.extend, address, max_bytes)

        try:
            deadline = time.monotonic() + self.timeout_s
            download(address, begin, None, self.attempts, self.pause_s, deadline)
        except AbsentError:
            return None
        return bytes(data)

    def _open(self, address: str, size: int, sha256: str | None) -> int:
        version = hashlib.sha256(f"{sha256 or ''} {address}".encode()).hexdigest()[:24]
        name = f"{version}-{address.rpartition('/')[2]}"
        path = self.folder / name
        deadline = time.monotonic() + self.timeout_s
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = _opened(path, size)
            if descriptor is not None:
                return descriptor
            with _locked(self.folder / f"{name}{_LOCK}", deadline):
                descriptor = _opened(path, size)  # another process may have fetched it
                return (
                    self._fetched(address, path, size, sha256, deadline) if descriptor is None else descriptor
                )
        except OSError as error:
            raise StreamError(f"cannot use the cache {self.folder}: {error.strerror}") from None

    def _fetched(self, address: str, path: Path, size: int, sha256: str | None, deadline: float) -> int:
        part = path.with_name(path.name + _PART)
        part.unlink(missing_ok=True)  # left by a killed process: we hold the lock
        self._reserve(part, size, deadline)
        descriptor = os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._fill(descriptor, address, size, sha256, deadline)
            with _locked(self.folder / _LOCK, deadline):  # else _make_room might see neither name
                part.rename(path)
        except BaseException:
            os.close(descriptor)
            part.unlink(missing_ok=True)
            raise
        return descriptor

    def _fill(self, descriptor: int, address: str, size: int, sha256: str | None, deadline: float) -> None:
        digest = hashlib.sha256()

        def begin() -> Sink:
            nonlocal digest
            digest = hashlib.sha256()
            os.lseek(descriptor, 0, os.SEEK_SET)
            return _bounded(write, address, size)

        def write(data: bytes) -> None:
            digest.update(data)
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError as error:  # else it would count as a connection error
                raise StreamError(f"cannot write to the cache {self.folder}: {error.strerror}") from None

        download(address, begin, size, self.attempts, self.pause_s, deadline)
        if sha256 is not None and digest.hexdigest() != sha256:
            raise StreamError(
                f"{shown_address(address)} is not what the manifest names (its SHA-256 is "
                f"{digest.hexdigest()}, not {sha256}): upload the set again"
            )
        os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))
        os.fsync(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _reserve(self, part: Path, size: int, deadline: float) -> None:
        """Create the file to be filled, at its full length, as soon as there is room for it."""
        while True:
            with _locked(self.folder / _LOCK, deadline):
                if self._make_room(size):
                    with part.open("wb") as file:
                        file.truncate(size)
                    return
            if time.monotonic() > deadline:
                raise StreamError(
                    f"the cache {self.folder} is full of files in the making: raise its max_bytes"
                )
            time.sleep(_POLL_S)

    def _make_room(self, size: int) -> bool:
        """Remove the least recently used files until `size` bytes fit; False if they still do not fit."""
        files = []
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and not entry.name.endswith(_LOCK):
                    facts = entry.stat(follow_symlinks=False)
                    files.append((facts.st_mtime_ns, facts.st_size, entry.name))
        held = sum(length for _, length, _ in files)
        for _, length, name in sorted(files):
            if held + size <= self.max_bytes:
                return True
            if name.endswith(_PART) and not self._is_abandoned(name):
                continue
            with suppress(FileNotFoundError):
                (self.folder / name).unlink()
            held -= length
        return held + size <= self.max_bytes

    def _is_abandoned(self, part: str) -> bool:
        """Whether no process holds the lock of this unfinished file."""
        lock = self.folder / (part.removesuffix(_PART) + _LOCK)
        with _lock_file(lock) as descriptor:
            return _try_lock(descriptor)


def _bounded(sink: Sink, address: str, max_bytes: int) -> Sink:
    left = max_bytes

    def take(data: bytes) -> None:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise StreamError(
                f"{shown_address(address)} has more than {max_bytes} bytes: it is not what it should be"
            )
        sink(data)

    return take


def _opened(path: Path, size: int) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    if os.fstat(descriptor).st_size != size:  # truncated
        os.close(descriptor)
        path.unlink(missing_ok=True)
        return None
    os.utime(descriptor)
    return descriptor


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    with _lock_file(path) as descriptor:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise StreamError(f"another process has held {path} for too long: end it, or raise timeout_s")
            time.sleep(_POLL_S)
        yield


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
