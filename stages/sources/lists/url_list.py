"""Lists of URLs or paths: csv, tsv, JSON lines, Parquet, or one on each line; local or at an address of fsspec."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.lines import without_compression
from facerefs.stages.sources.lists.list_reader import ListReader
from facerefs.stages.sources.lists.list_rows import Row, tables
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.lists.tally import Tally
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits

_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
_LONGEST_FIRST_LINE = 10_000


@dataclass(frozen=True)
class UrlListSource:
    """One or more lists, read as one. A row of a list is a photo of `identity`, perhaps at `bbox` in it.

    Each list has its own header. Only 8 bytes of each row stay in memory, to find duplicates. After the last row,
    `notes` has sentences about the listing.
    """

    service_query: ClassVar[str | None] = None

    paths: tuple[str, ...]
    columns: ColumnNames
    limits: WebLimits | None = None  # of requests for lists on the web
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The list as the user wrote it, without secrets; the folder, where there are several."""
        return shared_name(self.paths)

    def rows(self) -> Iterator[pa.Table]:
        """The rows in the order of the lists. Raises SourceError for a list that is damaged or cut off."""
        self.notes.clear()
        tally = Tally()
        yield from tally.counted(tables(self._rows(tally), duplicate=Reject.LISTED_TWICE))
        self.notes.extend(tally.notes())

    def _rows(self, tally: Tally) -> Iterator[tuple[str, Row]]:
        for path in self.paths:
            yield from ListReader(path, self.columns, tally, self.limits).rows(place_prefix(path, self.paths))


def open_url_lists(
    paths: Sequence[str], columns: ColumnNames, limits: WebLimits | None = None
) -> UrlListSource:
    """Open lists, in the order of their names; each must be sound, and one of them have a row. Raises SourceError."""
    absolute = [path if "://" in path else os.path.abspath(path) for path in paths]  # noqa: PTH100
    source = UrlListSource(tuple(sorted(absolute)), columns, limits)
    if not sum(ListReader(path, columns, Tally(), limits).has_row() for path in source.paths):
        raise SourceError(f"there is no row in {source.name}")
    return source


def shared_name(paths: Sequence[str]) -> str:
    """The path of a file, or the folder of several."""
    if len(paths) == 1:
        return shown_place(paths[0])
    return text_of_path(_folder(paths))


def place_prefix(path: str, paths: Sequence[str]) -> str:
    """The prefix of `row 5` in messages: the file's name, if there are several files."""
    return "" if len(paths) == 1 else f"{text_of_path(path[len(_folder(paths)) + 1 :])} "


def _folder(paths: Sequence[str]) -> str:
    """The folder in which all of them lie."""
    steps = zip(*(path.split("/")[:-1] for path in paths), strict=False)
    return "/".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, steps))


def _open(place: SourcePlace, columns: ColumnNames) -> UrlListSource | None:
    if place.is_remote:
        return open_url_lists([place.text], columns, place.limits)
    lists = [str(path) for path in place.files if _is_list(path.name)]
    return open_url_lists(lists, columns) if lists else None


def _is_list(name: str) -> bool:
    return without_compression(name.lower()).endswith(_LISTS)


def _reads(path: Path) -> bool:
    """A text file in a folder might be anything, and is a list if it begins like one."""
    if path.suffix.lower() != ".txt":
        return _is_list(path.name)
    with path.open("rb") as file:
        first = file.readline(_LONGEST_FIRST_LINE)
    return b"://" in first or b"\t" in first


LISTS = SourceKind(
    name="lists",
    example="FILE.csv",
    photos="Photos whose URLs or paths are in a list (.csv, .tsv, .jsonl or .txt, perhaps packed), in a folder of "
    "lists, or in a list at an address such as s3://bucket/people.csv.",
    settings=ColumnNames,
    section="columns",
    open=_open,
    reads=_reads,
)
