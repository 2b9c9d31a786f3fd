"""Folders of shards: local, or remote with a cache."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.download import shown_address


class Folder(Protocol):
    """The interface of both kinds of folder; both are sent to workers."""

    @property
    def shown(self) -> str:
        """The folder as messages show it."""

    def check(self, name: str, size: int) -> None:
        """Raise StreamError if the file is known to be missing or of another size; does not read it."""

    def open(self, name: str, size: int, sha256: str | None) -> int:
        """A descriptor of a file to read. Raises StreamError if it does not match."""

    def read_text(self, name: str, max_bytes: int) -> bytes | None:
        """A small file; None if there is none. Raises StreamError if it is longer."""

    def used(self, descriptor: int) -> None:
        """Note that an open file is in use."""


@dataclass(frozen=True)
class LocalFolder:
    """A local folder."""

    path: Path

    @property
    def shown(self) -> str:
        """The folder's path."""
        return str(self.path)

    def check(self, name: str, size: int) -> None:
        """Raise StreamError if the file is missing or has another size."""
        os.close(self.open(name, size, None))

    def size(self, name: str) -> int:
        """The size of a file in bytes. Raises StreamError if it is missing."""
        descriptor = self._needed(name)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def open(self, name: str, size: int, sha256: str | None) -> int:
        """A descriptor of a file to read; its hash is not checked. Raises StreamError."""
        descriptor = self._needed(name)
        found = os.fstat(descriptor).st_size
        if found != size:
            os.close(descriptor)
            raise StreamError(
                f"{self.path / name} has {found} bytes and not {size}: it is damaged, or of another build; "
                "`facerefs verify` says more"
            )
        return descriptor

    def read_text(self, name: str, max_bytes: int) -> bytes | None:
        """A small file; None if there is none. Raises StreamError if it is longer."""
        descriptor = self._open(name)
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise StreamError(
                f"{self.path / name} has more than {max_bytes} bytes: it is no manifest of ours"
            )
        return data

    def used(self, descriptor: int) -> None:
        """Does nothing."""

    def _needed(self, name: str) -> int:
        descriptor = self._open(name)
        if descriptor is None:
            raise StreamError(f"{self.path / name} is not there, but the set needs it: copy it again")
        return descriptor

    def _open(self, name: str) -> int | None:
        path = self.path / name
        try:
            # Non-blocking, so that a named pipe with this name does not block.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StreamError(f"cannot open {path}: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StreamError(f"{path} is no file")
        return descriptor


@dataclass(frozen=True)
class RemoteFolder:
    """A folder at an address that fsspec understands; whole files are fetched when they are needed."""

    address: str
    cache: ShardCache

    @property
    def shown(self) -> str:
        """The address without user info and query."""
        return shown_address(self.address)

    def check(self, name: str, size: int) -> None:
        """Raise StreamError if the file is too large for the cache. A missing file is noticed only by `open`."""
        self.cache.check(self._address(name), size)

    def open(self, name: str, size: int, sha256: str | None) -> int:
        """A descriptor of a file, fetched if it is not in the cache. Raises StreamError, also for a wrong hash."""
        return self.cache.open(self._address(name), size, sha256)

    def read_text(self, name: str, max_bytes: int) -> bytes | None:
        """A small file, fetched anew; None if there is none. Raises StreamError if it is longer."""
        return self.cache.read(self._address(name), max_bytes)

    def used(self, descriptor: int) -> None:
        """Record the use, so that the least recently used files leave the cache first."""
        os.utime(descriptor)

    def _address(self, name: str) -> str:
        return f"{self.address.rstrip('/')}/{name}"


def folder_at(place: str | Path, cache: ShardCache) -> Folder:
    """The folder at a path, or at an address such as `https://host/samples` or `s3://bucket/samples`."""
    if "://" in str(place):
        return RemoteFolder(str(place), cache)
    path = Path(place).expanduser().absolute()
    if not path.is_dir():
        raise StreamError(f"there is no folder {path}: give the folder that holds the shards")
    return LocalFolder(path)
