"""The files of a build's folder, local or remote: each is written whole or not at all."""

import hashlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow.fs as pafs

from facerefs.pipeline.errors import RunError

TEMPORARY_PREFIX = ".tmp-"


@dataclass(frozen=True)
class FileStore:
    """The files of one build, under `root` of a pyarrow filesystem. Names are relative to `root`."""

    root: str
    filesystem: pafs.FileSystem = field(default_factory=pafs.LocalFileSystem)

    def full_path(self, name: str) -> str:
        """A file's or folder's path in the filesystem."""
        return posixpath.join(self.root, name)

    def local_path(self, name: str) -> Path:
        """A path on this machine: in the build's folder, or, for a remote build, in a temporary folder."""
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            return Path(self.full_path(name))
        digest = hashlib.sha256(self.root.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"facerefs-{digest}", name)

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder of the build."""
        selector = pafs.FileSelector(self.full_path(folder), allow_not_found=True)
        return [info.base_name for info in self.filesystem.get_file_info(selector) if info.is_file]

    def read_text(self, name: str) -> str | None:
        """The text of a small file of the build; None if it does not exist. Raises RunError if it is not UTF-8."""
        try:
            with self.filesystem.open_input_stream(self.full_path(name)) as file:
                return bytes(file.read()).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise RunError(
                f"{self.full_path(name)} is damaged ({error}): choose another --out", again=False
            ) from None

    def read_small(self, name: str, limit: int) -> bytes | None:
        """The bytes of a file that a user wrote, at most `limit` + 1 of them; None if nothing has this name.

        Raises OSError if it is not a file, or cannot be read.
        """
        path = self.full_path(name)
        kind = self.filesystem.get_file_info(path).type
        if kind == pafs.FileType.NotFound:
            if self.local_path(name).is_symlink():
                raise OSError("it is a link to nothing")
            return None
        if kind != pafs.FileType.File:
            raise OSError("it is not a file")
        with self.filesystem.open_input_stream(path) as file:
            return bytes(file.read(limit + 1))

    def write_text(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a small file, whole or not at all; a file that holds these bytes already is not written again."""
        if not self._holds(name, data):
            with self.replacing(name) as file:
                file.write(data)

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """A new file to write, which replaces the old one when the block ends, and does not if the block raises."""
        temporary = self.temporary_name(name)
        with self.open_output(temporary) as file:
            yield file
        self.commit_file(temporary, name)

    def remove_file(self, name: str) -> None:
        """Remove a file of the build, if it exists."""
        try:
            self.filesystem.delete_file(self.full_path(name))
        except FileNotFoundError:
            return

    def open_output(self, name: str) -> BinaryIO:
        """Open a new file of the build, making its folder."""
        path = self.full_path(name)
        self.filesystem.create_dir(posixpath.dirname(path), recursive=True)
        return self.filesystem.open_output_stream(path)  # type: ignore[no-any-return]  # pyarrow has no types

    def commit_file(self, temporary: str, name: str) -> None:
        """Rename a complete temporary file to its name, after its bytes have reached the disk."""
        source, target = self.full_path(temporary), self.full_path(name)
        self.filesystem.create_dir(posixpath.dirname(target), recursive=True)
        local = isinstance(self.filesystem, pafs.LocalFileSystem)
        if local:
            _fsync(source)
        self.filesystem.move(source, target)
        if local:
            _fsync(posixpath.dirname(target))

    def temporary_name(self, name: str) -> str:
        """The name under which a file is written until it is whole."""
        folder, base = posixpath.split(name)
        return posixpath.join(folder, f"{TEMPORARY_PREFIX}{os.getpid()}-{base}")

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            with self.filesystem.open_input_stream(self.full_path(name)) as file:
                return bool(file.read(len(data) + 1) == data)
        except FileNotFoundError:
            return False


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
