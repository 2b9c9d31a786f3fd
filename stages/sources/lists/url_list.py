"""Lists of URLs or paths: csv, tsv, JSON lines, Parquet, or one on each line; local or at an address of fsspec."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, ClassVar, TypeAlias

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.lists.columns import (
    PATH,
    ROLES,
    ColumnNames,
    check_row_columns,
    find_columns,
    find_row_columns,
    quoted_names,
    usual_names,
)
from facerefs.stages.sources.lists.lines import (
    COMPRESSION_EXTENSIONS,
    open_binary,
    open_decompressed,
    without_compression,
)
from facerefs.stages.sources.lists.list_rows import Row, bad_row, list_row, tables
from facerefs.stages.sources.lists.local_photos import LocalPhotos
from facerefs.stages.sources.lists.parquet_file import read_parquet
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.lists.separated import read_csv, read_tsv
from facerefs.stages.sources.lists.tally import Tally
from facerefs.stages.sources.lists.text_rows import RawRow, read_json_lines, read_urls
from facerefs.stages.sources.source import SourceError

_ROLES = tuple(role for role in ROLES if role != "photo")
_USUAL = (*_ROLES, PATH)
_RolesOf: TypeAlias = Callable[[tuple[str, ...]], dict[str, str]]
_Rows: TypeAlias = tuple[list[str] | None, Iterator[RawRow]]
"""The names of the columns and the rows; None instead of names: each row has its own."""
_WEB = re.compile(r"https?://", re.IGNORECASE)
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
            yield from _ListReader(path, self.columns, tally).rows(place_prefix(path, self.paths))


def open_url_lists(paths: Sequence[str], columns: ColumnNames) -> UrlListSource:
    """Open lists, in the order of their names; each must be sound, and one of them have a row. Raises SourceError."""
    absolute = [path if "://" in path else os.path.abspath(path) for path in paths]  # noqa: PTH100
    source = UrlListSource(tuple(sorted(absolute)), columns)
    if not sum(_ListReader(path, columns, Tally()).has_row() for path in source.paths):
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


class _ListReader:
    """Makes the rows of one list."""

    def __init__(self, path: str, columns: ColumnNames, tally: Tally) -> None:
        self._path = path
        self._columns = columns
        self._tally = tally
        self._shown = shown_place(path)
        self._roles_of = find_row_columns(columns, self._shown, _ROLES, _USUAL)
        is_local = "://" not in path  # a list from elsewhere does not say which of our files are read
        self._local = LocalPhotos(os.path.dirname(path)) if is_local else None  # noqa: PTH120
        self._has_literal_marks = without_compression(self._shown).lower().endswith((".tsv", ".txt"))

    def has_row(self) -> bool:
        """Whether the list has a row. Raises SourceError if no column of URLs is found, or no photo can be had."""
        self._check_names()
        lost: Row | None = None
        row: Row | None = None
        for _, row in self.rows(""):
            if row.get("photo") is not None or _WEB.match(row.get("url") or ""):
                return True
            if row.get("reject") != Reject.BAD_ROW:
                lost = lost or row
        if lost is not None:
            raise SourceError(_without_photos(lost, self._shown))
        return row is not None

    def _check_names(self) -> None:
        with self._opened() as (header, _):
            if header is not None:
                find_columns(header, self._columns, self._shown, _ROLES, _USUAL)
        if header is None:
            check_row_columns(self._row_names(), self._columns, self._shown, _ROLES, _USUAL)
        names = self._names_with_url() if header is None else header
        if names and "url" not in self._roles_of(tuple(names)):
            raise SourceError(_without_url(names, self._shown))

    def _names_with_url(self) -> list[str]:
        """The names of the first row that has a URL, else those of the first row."""
        first: tuple[str, ...] = ()
        for names in self._row_names():
            first = first or names
            with suppress(SourceError):  # two columns fit: a rejected row
                if "url" in self._roles_of(names):
                    return list(names)
        return list(first)

    def _row_names(self) -> Iterator[tuple[str, ...]]:
        with self._opened() as (_, rows):
            yield from (tuple(row) for row in rows if isinstance(row, dict))

    def rows(self, prefix: str) -> Iterator[tuple[str, Row]]:
        """The rows with their places, such as `row 5`, behind the prefix. Raises SourceError for a damaged list."""
        with self._opened() as (_, raw_rows):
            for number, raw in enumerate(raw_rows, start=1):
                place = f"{prefix}row {number}"
                yield place, self._row(place, raw)

    def _row(self, place: str, raw: RawRow) -> Row:
        if isinstance(raw, str):
            return bad_row(place, raw)
        if self._has_literal_marks and any(_is_in_marks(value) for value in raw.values()):
            self._tally.add(
                "rows have a value in quotation marks, which belong to it (in a .csv they quote)", place
            )
        try:
            roles = self._roles_of(tuple(raw))
        except SourceError as error:
            return bad_row(place, str(error))
        row = list_row(place, raw, roles)
        if row.get("reject") is not None:
            return row
        self._tally.compare(raw.get(roles.get("identity", "")), row["label"])
        if self._local is not None:
            row = self._local.row(row)
        if row.get("photo") is not None:
            self._tally.add("photos are files on this machine", row["key"])
        return row

    @contextmanager
    def _opened(self) -> Iterator[_Rows]:
        stem = without_compression(self._shown).lower()
        is_parquet = stem.endswith(".parquet")
        if is_parquet and stem != self._shown.lower():
            raise SourceError(
                f"{self._shown} is compressed as a whole, which Parquet cannot be read through: unpack it"
            )
        with open_binary(self._path) if is_parquet else open_decompressed(self._path) as file:
            yield _read(file, stem, self._shown, self._columns, self._roles_of)


def _is_in_marks(value: object) -> bool:
    return isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"'


def _read(file: BinaryIO, stem: str, shown: str, columns: ColumnNames, roles_of: _RolesOf) -> _Rows:
    extension = os.path.splitext(stem)[1]  # noqa: PTH122 (it may be an address)
    readers: dict[str, Callable[[], _Rows]] = {
        ".csv": lambda: read_csv(file, shown, roles_of),
        ".tsv": lambda: read_tsv(file, shown, roles_of),
        ".jsonl": lambda: (None, read_json_lines(file, shown)),
        ".ndjson": lambda: (None, read_json_lines(file, shown)),
        ".parquet": lambda: read_parquet(file, shown, columns),
        ".txt": lambda: _read_txt(file, shown, roles_of),
    }
    if extension not in readers:
        raise SourceError(
            f"{shown} is no list that we know: those end in {', '.join(readers)}, "
            f"perhaps with {', '.join(COMPRESSION_EXTENSIONS)} behind it"
        )
    return readers[extension]()


def _read_txt(file: BinaryIO, shown: str, roles_of: _RolesOf) -> _Rows:
    """FaceScrub's files have a header with tabs, others may have one as csv has it, or one URL on each line."""
    first = file.peek(1).partition(b"\n")[0]  # type: ignore[attr-defined]  # it is a BufferedReader
    if b"\t" in first:
        return read_tsv(file, shown, roles_of)
    names = re.split(
        "[,;|]", first[:_LONGEST_FIRST_LINE].decode(errors="replace").removeprefix("\ufeff").strip()
    )
    has_header = usual_names("url", names) or (len(names) > 1 and usual_names(PATH, names))
    return read_csv(file, shown, roles_of) if has_header else read_urls(file, shown)


def _without_url(names: Sequence[str], shown: str) -> str:
    if any(_WEB.match(name) for name in names):
        return f"{shown} begins with a URL, where its first row must name the columns, such as url,identity"
    return (
        f"{shown} has no column that is known to hold URLs, only {quoted_names(names)}: "
        "name it with --set columns.url=NAME"
    )


def _without_photos(row: Row, shown: str) -> str:
    said = row["reject_detail"] if row.get("reject") else f"the first URL is {row['url'][:300]}"
    return (
        f"no photo of {shown} can be had: {said}. A list has URLs with http:// or https://, or paths from its own "
        "folder or from /; names for the photos in a folder are given as facerefs build FOLDER --identities FILE"
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
    photos="Photos whose URLs or paths are in a list (.csv, .tsv, .jsonl or .txt, perhaps packed), in a folder of "
    "lists, or in a list at an address such as s3://bucket/people.csv.",
    settings=ColumnNames,
    section="columns",
    open=_open,
    reads=_reads,
)
