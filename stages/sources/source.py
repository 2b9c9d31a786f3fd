"""What a source is, and which one the text on the command line means."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa


class SourceError(ValueError):
    """What is wrong with a source, in one sentence for the person who gave it."""


class Source(Protocol):
    """A place where photos are, and what it says of them."""

    @property
    def name(self) -> str:
        """The place, as a person would write it."""

    def rows(self) -> Iterator[pa.Table]:
        """List the photos in tables of schema `SOURCES`, always in the same order; reads none of them."""


def open_source(text: str, labels_file: Path | None = None) -> Source:
    """Find the source that a person means: a folder of photos, and perhaps a file that says who they show.

    Raises SourceError if there is no such source, or nothing in it.
    """
    from stages.sources.folder import open_folder

    path = Path(text)
    try:
        if path.is_dir():
            return open_folder(path, labels_file)
        exists = path.exists()
    except OSError as error:
        raise SourceError(f"cannot look into {text}: {error.strerror}") from error
    raise SourceError(f"{text} is a file, not a folder of photos" if exists else f"there is no folder {text}")
