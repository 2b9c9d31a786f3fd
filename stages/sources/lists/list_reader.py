"""Reads one list of URLs or paths, of any format."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeAlias

from facerefs.schemas.reject import Reject
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
from facerefs.stages.sources.lists.list_rows import Row, bad_row, list_row
from facerefs.stages.sources.lists.local_photos import LocalPhotos
from facerefs.stages.sources.lists.parquet_file import read_parquet
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.lists.separated import read_csv, read_tsv
from facerefs.stages.sources.lists.tally import Tally
from facerefs.stages.sources.lists.text_rows import RawRow, read_json_lines, read_urls
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits

_ROLES = tuple(role for role in ROLES if role != "photo")
_USUAL = (*_ROLES, PATH)
_RolesOf: TypeAlias = Callable[[tuple[str, ...]], dict[str, str]]
_Rows: TypeAlias = tuple[list[str] | None, Iterator[RawRow]]
"""The names of the columns and the rows; None instead of names: each row has its own."""
_WEB = re.compile(r"https?://", re.IGNORECASE)
_SEVERAL = re.compile(r"[,;\s]")
_LONGEST_FIRST_LINE = 10_000


class ListReader:
    """Makes the rows of one list. `tally` counts what it guesses."""

    def __init__(
        self, path: str, columns: ColumnNames, tally: Tally, limits: WebLimits | None = None
    ) -> None:
        self._path = path
        self._columns = columns
        self._limits = limits
        self._tally = tally
        self._shown = shown_place(path)
        self._roles_of = find_row_columns(columns, self._shown, _ROLES, _USUAL)
        is_local = "://" not in path  # a list from elsewhere does not say which of our files are read
        self._local = LocalPhotos(os.path.dirname(path)) if is_local else None  # noqa: PTH120
        stem = without_compression(self._shown).lower()
        self._has_literal_marks = stem.endswith((".tsv", ".txt"))
        self._has_lines_of_urls = stem.endswith(".txt")

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
        if (
            self._has_lines_of_urls
            and len(raw) == 1
            and _SEVERAL.search(str(next(iter(raw.values()))).strip())
        ):
            self._tally.add(
                "URLs have a comma, semicolon or blank in them: give lists with columns as .csv", place
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
        with (open_binary if is_parquet else open_decompressed)(self._path, self._limits) as file:
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
    visible = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in said)
    return (
        f"no photo of {shown} can be had: {visible}. A list has URLs with http:// or https://, or paths from its own "
        "folder or from /; names for the photos in a folder are given as facerefs build FOLDER --identities FILE"
    )
