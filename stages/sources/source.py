"""What a source is."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa


class SourceError(ValueError):
    """What is wrong with a source, in one sentence for the person who gave it."""


class NoPhotosError(SourceError):
    """That a folder holds no photos: it may hold files that do, or that say where photos are."""


class PhotoSource(Protocol):
    """A place where photos are, and what it says of them."""

    @property
    def asked_of_service(self) -> str | None:
        """What a public service is asked for, which may list other photos tomorrow; None for a local source."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on the listing for the person who asked for it, after the last row."""

    @property
    def name(self) -> str:
        """The place, as a person would write it."""

    def rows(self) -> Iterator[pa.Table]:
        """List the photos in tables of schema `SOURCES`, always in the same order.

        `photo` may hold the bytes themselves, where they lie in no place that can be referred to.
        """
