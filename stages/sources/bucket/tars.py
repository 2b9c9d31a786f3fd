"""Tars in object storage: each is copied to this machine to be listed, one at a time; its photos are read in place."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyarrow.fs import FileInfo, FileSystem

from facerefs.schemas.object_storage import address_of, sentence_of
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.source import SourceError
from facerefs.stages.sources.tars import TarSource, open_tar_files


def is_tar_name(name: str) -> bool:
    """Whether an object with this name is a tar."""
    return name.lower().endswith(".tar")


@dataclass(frozen=True)
class BucketTar:
    """A tar in object storage; see `TarFile`."""

    filesystem: FileSystem
    path: str
    modified_ns: int

    @property
    def place(self) -> str:
        """Its address."""
        return address_of(self.filesystem, self.path)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of a copy, which is removed when the block ends. Raises SourceError."""
        with tempfile.TemporaryFile(prefix="facerefs-") as copy:
            try:
                with self.filesystem.open_input_stream(self.path) as file:
                    shutil.copyfileobj(file, copy, 8 << 20)
            except OSError as error:
                raise SourceError(sentence_of(error, self.place)) from None
            copy.flush()
            yield copy.fileno()


def open_bucket_tars(filesystem: FileSystem, tars: Sequence[FileInfo], folder: str) -> TarSource:
    """The photos of tars under a folder. Raises SourceError for one that is no tar, and if none holds a photo."""
    files = tuple(BucketTar(filesystem, info.path, info.mtime_ns or 0) for info in tars)
    return open_tar_files(files, address_of(filesystem, folder), ColumnNames())
