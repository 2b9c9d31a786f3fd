"""Lists of URLs: csv, tsv, JSON lines, Parquet, or one URL on each line; local or at an address of fsspec."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, ClassVar, TypeAlias

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.lists.columns import ROLES, ColumnNames, find_columns, quoted_names
from facerefs.stages.sources.lists.lines import (
    COMPRESSION_EXTENSIONS,
    open_binary,
    open_decompressed,
    without_compression,
)
from facerefs.stages.sources.lists.list_rows import Row, list_row, tables
from facerefs.stages.sources.lists.parquet_file import read_parquet
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.lists.text_rows import RawRow, read_json_lines, read_separated, read_urls
from facerefs.stages.sources.source import SourceError

_ROLES = tuple(role for role in ROLES if role != "photo")
_Reader: TypeAlias = Callable[[BinaryIO, str], tuple[list[str], Iterator[RawRow]]]
_SCHEMES = ("http://", "https://")
_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
_LONGEST_FIRST_LINE = 10_000


@dataclass(frozen=True)
class UrlListSource:
    """One or more lists, read as one. A row of a list is a photo of `identity`, perhaps at `bbox` in it.

    Each list has its own header. Only 8 bytes of each row stay in memory, to find duplicates.
    """

    service_query: ClassVar[str | None] = None
    notes: ClassVar[tuple[str, ...]] = ()

    paths: tuple[str, ...]
    columns: ColumnNames

    @property
    def name(self) -> str:
        """The list as the user wrote it, without secrets; the folder, where there are several."""
        return shared_name(self.paths)

    def rows(self) -> Iterator[pa.Table]:
        """The rows in the order of the lists. Raises SourceError for a list that is damaged or cut off."""
        return tables(self._rows(), duplicate=Reject.LISTED_TWICE)

    def _rows(self) -> Iterator[tuple[str, Row]]:
        for path in self.paths:
            yield from _rows_of(path, self.columns, place_prefix(path, self.paths))


def open_url_lists(paths: Sequence[str], columns: ColumnNames) -> UrlListSource:
    """Open lists, in the order of their names; each must be sound, and one of them have a row. Raises SourceError."""
    absolute = [path if "://" in path else os.path.abspath(path) for path in paths]  # noqa: PTH100
    source = UrlListSource(tuple(sorted(absolute)), columns)
    if not sum(_has_row(path, columns) for path in source.paths):
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


def _has_row(path: str, columns: ColumnNames) -> bool:
    return next(_rows_of(path, columns, ""), None) is not None


def _rows_of(path: str, columns: ColumnNames, prefix: str) -> Iterator[tuple[str, Row]]:
    shown = shown_place(path)
    stem = without_compression(shown).lower()
    if stem.endswith(".parquet") and stem != shown.lower():
        raise SourceError(
            f"{shown} is compressed as a whole, which Parquet cannot be read through: unpack it"
        )
    with open_binary(path) if stem.endswith(".parquet") else open_decompressed(path) as file:
        names, raw_rows = _read(file, stem, shown)
        roles = find_columns(names, columns, shown, _ROLES)
        if names and "url" not in roles:
            raise SourceError(_without_url(names, shown))
        for number, row in enumerate(raw_rows, start=1):
            place = f"{prefix}row {number}"
            yield place, list_row(place, row, roles)


def _read(file: BinaryIO, stem: str, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    extension = os.path.splitext(stem)[1]  # noqa: PTH122 (it may be an address)
    readers: dict[str, _Reader] = {
        ".csv": partial(read_separated, ","),
        ".tsv": partial(read_separated, "\t"),
        ".jsonl": read_json_lines,
        ".ndjson": read_json_lines,
        ".parquet": read_parquet,
        ".txt": _read_txt,
    }
    if extension not in readers:
        raise SourceError(
            f"{shown} is no list that we know: those end in {', '.join(readers)}, "
            f"perhaps with {', '.join(COMPRESSION_EXTENSIONS)} behind it"
        )
    return readers[extension](file, shown)


def _read_txt(file: BinaryIO, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    """The columns and rows of a .txt: FaceScrub's files have a header with tabs, others one URL on each line."""
    first = file.peek(1).partition(b"\n")[0]  # type: ignore[attr-defined]  # it is a BufferedReader
    return read_separated("\t", file, shown) if b"\t" in first else read_urls(file, shown)


def _without_url(names: Sequence[str], shown: str) -> str:
    if any(name.startswith(_SCHEMES) for name in names):
        return f"{shown} begins with a URL, where its first row must name the columns, such as url,identity"
    return (
        f"{shown} has no column that is known to hold URLs, only {quoted_names(names)}: "
        "name it with --set columns.url=NAME"
    )


def _open(place: SourcePlace, columns: ColumnNames) -> UrlListSource | None:
    if place.is_remote:
        return open_url_lists([place.text], columns)
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
    photos="Photos whose URLs are in a list (.csv, .tsv, .jsonl or .txt, perhaps packed), in a folder of lists, "
    "or in a list at an address such as s3://bucket/people.csv.",
    settings=ColumnNames,
    section="columns",
    open=_open,
    reads=_reads,
)
