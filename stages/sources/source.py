"""The protocol of a photo source, and its errors."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa


class SourceError(ValueError):
    """What is wrong with a source, in one sentence for the user."""


class NoPhotosError(SourceError):
    """A folder holds no photos; it may hold tars, Parquet files or lists."""


class PhotoSource(Protocol):
    """A place with photos, and with annotations of them: label, URL, licence and so on."""

    @property
    def service_query(self) -> str | None:
        """What a public service is asked for; its list may change without notice. None for any other source."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about the listing for the user; complete after the last row."""

    @property
    def name(self) -> str:
        """The place, as a user would write it."""

    def rows(self) -> Iterator[pa.Table]:
        """List the photos in tables of schema `SOURCES`, always in the same order.

        `photo` may hold the bytes themselves, if no reference (path, offset, length) can lead to them.
        """
