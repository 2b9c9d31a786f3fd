"""The files of a build's folder, local or remote: each is written whole or not at all."""

import hashlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

import pyarrow.fs as pafs

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.local_path import is_like_address
from facerefs.pipeline.storage.upload import upload
from facerefs.schemas.object_storage import AddressError, address_of, filesystem_of, is_address

TEMPORARY_PREFIX = ".tmp-"
_READ_AT_ONCE = 16
Read = TypeVar("Read")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FileStore:
    """The files of one build, under `root` of a pyarrow filesystem. Names are relative to `root`.

    A file is written to a temporary file first, which is always local: in the build's folder, or for a remote build in
    a scratch folder of this machine. Then it gets its name at once: by renaming, or by an upload, since an object is
    there whole or not at all.
    """

    root: str
    filesystem: pafs.FileSystem = field(default_factory=pafs.LocalFileSystem)

    @classmethod
    def at(cls, place: str | Path) -> Self:
        """The files of a local folder, or of an address in object storage. Raises UserError for a wrong address."""
        text = str(place)
        if not is_address(text):
            if is_like_address(text):
                raise UserError(
                    f"{text} is no address that we know: write s3://BUCKET/FOLDER, gs:// or az://"
                )
            return cls(str(Path(text.removeprefix("file://")).absolute()))
        try:
            filesystem, path = filesystem_of(text)
        except AddressError as error:
            raise UserError(str(error)) from None
        return cls(path, filesystem)

    def folder(self, name: str) -> "FileStore":
        """The files of a folder in this one; `..` is the folder that this one is in."""
        return FileStore(posixpath.normpath(posixpath.join(self.root, name)), self.filesystem)

    @property
    def is_local(self) -> bool:
        """Whether the files are in a folder of this machine."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    @property
    def address(self) -> str:
        """The folder as a user writes it: a path, or an address such as `s3://bucket/folder`."""
        return address_of(self.filesystem, self.root)

    def info(self, name: str) -> pafs.FileInfo:
        """The kind, size and time of a file or folder."""
        return self.filesystem.get_file_info(self.full_path(name))

    def exists(self, name: str) -> bool:
        """Whether there is a file with this name."""
        return bool(self.info(name).is_file)

    def open_to_read(self, name: str) -> BinaryIO:
        """A file of the build, to be read from its beginning."""
        return self.filesystem.open_input_stream(self.full_path(name))  # type: ignore[no-any-return]  # no types

    def full_path(self, name: str) -> str:
        """A file's or folder's path in the filesystem."""
        return posixpath.join(self.root, name)

    def local_path(self, name: str) -> Path:
        """A path on this machine: in the build's folder, or, for a remote build, in its scratch folder."""
        return Path(self.full_path(name)) if self.is_local else self._scratch() / name

    def _scratch(self) -> Path:
        """This user's scratch folder for a remote build. Raises UserError if it is somebody else's."""
        digest = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir(), f"facerefs-{os.getuid()}-{digest}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise UserError(f"{folder} belongs to somebody else: set TMPDIR to another folder")
        return folder

    def in_parallel(
        self, read: Callable[[Read], Result], wanted: Sequence[Read], is_remote: bool = False
    ) -> Iterator[Result]:
        """The result of `read` for each, in their order; from a server, many at a time, since each one waits."""
        if self.is_local and not is_remote:
            yield from map(read, wanted)
            return
        with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
            yield from threads.map(read, wanted)

    def clear_scratch(self) -> None:
        """Remove what a killed run was writing in the scratch folder of a remote build."""
        if not self.is_local:
            for path in self._scratch().rglob(f"{TEMPORARY_PREFIX}*"):
                path.unlink(missing_ok=True)

    def remove_scratch(self) -> None:
        """Remove the scratch folder of a remote build that is done."""
        if not self.is_local:
            shutil.rmtree(self._scratch(), ignore_errors=True)

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder of the build."""
        return [info.base_name for info in self.listed(folder) if info.is_file]

    def entries(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder of the build; none if there is no such folder."""
        return [info.base_name for info in self.listed(folder)]

    def listed(self, folder: str) -> list[pafs.FileInfo]:
        """Kind, size and time of the files and folders in a folder of the build."""
        selector = pafs.FileSelector(self.full_path(folder).rstrip("/"), allow_not_found=True)
        return list(self.filesystem.get_file_info(selector))

    def read_text(self, name: str) -> str | None:
        """The text of a small file of the build; None if it does not exist. Raises RunError if it is not UTF-8."""
        try:
            with self.open_to_read(name) as file:
                return bytes(file.read()).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise RunError(
                f"{self.address}/{name} is damaged ({error}): choose another --out", again=False
            ) from None

    def read_small(self, name: str, limit: int) -> bytes | None:
        """The bytes of a file that a user wrote, at most `limit` + 1 of them; None if nothing has this name.

        Raises OSError if it is not a file, or cannot be read.
        """
        kind = self.info(name).type
        if kind == pafs.FileType.NotFound:
            if self.is_local and self.local_path(name).is_symlink():
                raise OSError("it is a link to nothing")
            return None
        if kind != pafs.FileType.File:
            raise OSError("it is not a file")
        with self.open_to_read(name) as file:
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
        with self.open_temporary(temporary) as file:
            yield file
        self.commit_file(temporary, name)

    def remove_file(self, name: str) -> None:
        """Remove a file of the build, if it exists."""
        try:
            self.filesystem.delete_file(self.full_path(name))
        except FileNotFoundError:
            return

    def open_temporary(self, temporary: str) -> BinaryIO:
        """Open a temporary file to write, making its folder."""
        path = self.local_path(temporary)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")

    def remove_temporary(self, temporary: str) -> None:
        """Remove a temporary file, if it exists."""
        self.local_path(temporary).unlink(missing_ok=True)

    def commit_file(self, temporary: str, name: str) -> None:
        """Give a complete temporary file its name; a local one after its bytes have reached the disk."""
        source, target = self.local_path(temporary), self.full_path(name)
        if self.is_local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            _fsync(source)
            source.replace(target)
            _fsync(Path(target).parent)
        else:
            upload(source, self.filesystem, target)
            source.unlink()

    def temporary_name(self, name: str) -> str:
        """The name under which a file is written until it is whole."""
        folder, base = posixpath.split(name)
        return posixpath.join(folder, f"{TEMPORARY_PREFIX}{os.getpid()}-{base}")

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            with self.open_to_read(name) as file:
                return bool(file.read(len(data) + 1) == data)
        except FileNotFoundError:
            return False


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
