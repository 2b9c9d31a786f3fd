"""What a source is."""

from collections.abc import Iterator
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
