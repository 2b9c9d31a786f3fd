"""Reads the rows of csv and tsv. A record that cannot be read costs one row, whatever its quotation marks say."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, TypeAlias

from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.sources.lists.columns import check_names
from facerefs.stages.sources.lists.lines import MAX_LINE_BYTES, text_lines, too_long
from facerefs.stages.sources.lists.text_rows import RawRow
from facerefs.stages.sources.source import SourceError

_SEPARATORS = (",", "\t", ";", "|")
_MAX_LINES, _FEWEST_LINES = 1000, 2  # of a record with line breaks in quotation marks
_URL = re.compile(r"https?://", re.IGNORECASE)
_OPEN = "a quotation mark opens in it and does not close"
_Roles: TypeAlias = Callable[[tuple[str, ...]], Mapping[str, str]]


def read_csv(file: BinaryIO, shown: str, roles_of: _Roles) -> tuple[list[str], Iterator[RawRow]]:
    """The header and the rows of csv (RFC 4180, also with semicolons, tabs or bars; UTF-8; no lone CR ends a line).

    `roles_of` finds the columns, to tell a row from a text. Raises SourceError for a header that cannot be read or
    names a column twice.
    """
    feed = _Feed(_lines(file, shown))
    header = _header(feed, shown)
    if header[:4].lower() == "sep=" and len(header.strip()) == 5:  # so Excel names the separator
        separator = header[4]
    else:
        separator = max(_SEPARATORS, key=header.count)
        feed.put_back(0)
    return _read(feed, csv.reader(feed, delimiter=separator, strict=True), shown, separator, roles_of)


def read_tsv(file: BinaryIO, shown: str, roles_of: _Roles) -> tuple[list[str], Iterator[RawRow]]:
    """As `read_csv`, for tsv: a quotation mark is a character, unless all names of the header are quoted."""
    feed = _Feed(_lines(file, shown))
    names = _header(feed, shown).rstrip("\r\n").split("\t")
    feed.put_back(0)
    quotes = all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)
    reader = csv.reader(
        feed, delimiter="\t", quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE, strict=True
    )
    return _read(feed, reader, shown, "\t", roles_of)


class _Line(NamedTuple):
    number: int
    text: str
    fault: str | None  # why no row can come of it


class _RecordError(Exception):
    """Why a record cannot be read."""


def _lines(file: BinaryIO, shown: str) -> Iterator[_Line]:
    for number, raw in enumerate(text_lines(file, shown), start=1):
        if raw is None:
            yield _Line(number, "", too_long(number))
            continue
        try:
            yield _Line(number, raw.decode(), None)
        except UnicodeDecodeError:
            yield _Line(number, raw.decode(errors="surrogateescape"), f"line {number} is no UTF-8 text")


@dataclass(frozen=True)
class _RowTest:
    """Tells a row of the list from a line of a text in quotation marks, by the number of fields and the URL."""

    separator: str
    fields: int
    url: int  # which of them it is

    def is_row(self, line: str) -> bool:
        """Whether a line is a row by itself."""
        if line.count(self.separator) < self.fields - 1:
            return False
        try:
            fields = next(csv.reader([line], delimiter=self.separator, strict=True), [])
        except csv.Error:
            fields = line.split(self.separator)
        place = fields[self.url].strip() if len(fields) == self.fields else ""
        return _URL.match(place) is not None or has_photo_extension(place)

    def without_open_mark(self, line: str) -> str:
        """The line without the quotation mark that begins its last field and does not end in it."""
        separator = re.escape(self.separator)
        field = re.compile(f'(?:"(?:[^"]|"")*"|(?!")[^{separator}]*){separator}')
        at = 0
        while found := field.match(line, at):
            at = found.end()
        return line[:at] + line[at + 1 :]


class _Feed:
    """The lines of a file for `csv.reader`, which asks for further ones while a quotation mark is open."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._waiting: deque[_Line] = deque()
        self._max_lines = _MAX_LINES
        self._characters = 0
        self.record: list[_Line] = []
        self.row_test: _RowTest | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        if self.record and (len(self.record) == self._max_lines or self._is_mistake(line.text)):
            self._waiting.appendleft(line)
            raise _RecordError(_OPEN)
        self.record.append(line)
        self._characters += len(line.text)
        if self._characters > MAX_LINE_BYTES:
            raise _RecordError(f"the row that begins in it is longer than {MAX_LINE_BYTES} bytes")
        if line.fault is not None and not line.text:
            raise _RecordError(line.fault)
        return line.text

    def _is_mistake(self, line: str) -> bool:
        """Whether the first line would be a row without the mark that is open in it, and this one is a row, too."""
        test, first = self.row_test, self.record[0].text
        return test is not None and test.is_row(line) and test.is_row(test.without_open_mark(first))

    def begin(self) -> None:
        """Start a new record."""
        if len(self.record) > _FEWEST_LINES:
            self._max_lines = min(2 * self._max_lines, _MAX_LINES)
        self.record.clear()
        self._characters = 0

    def put_back(self, kept: int = 1) -> None:
        """Read the lines of the record again, but for the first ones.

        Where many lines have been read for nothing, fewer are the next time: or a hostile list would cost days.
        """
        if len(self.record) > _FEWEST_LINES:
            self._max_lines = max(self._max_lines // 2, _FEWEST_LINES)
        self._waiting.extendleft(reversed(self.record[kept:]))
        del self.record[kept:]


def _header(feed: _Feed, shown: str) -> str:
    """The first line that is not blank, which is then the only one of the feed's record; empty if there is none."""
    try:
        for line in feed:
            if line.strip():
                return line
            feed.begin()
    except _RecordError as error:
        raise SourceError(f"cannot read the header of {shown}: {error}") from error
    return ""


def _read(
    feed: _Feed, reader: Iterator[list[str]], shown: str, separator: str, roles_of: _Roles
) -> tuple[list[str], Iterator[RawRow]]:
    records = _records(feed, reader)
    header = next(records, [])
    if isinstance(header, str):
        raise SourceError(f"cannot read the header of {shown}: {header}")
    names = [name.strip() or f"column {i}" for i, name in enumerate(header, start=1)]
    check_names(names, shown)
    url = roles_of(tuple(names)).get("url")
    if url is not None:
        feed.row_test = _RowTest(separator, len(names), names.index(url))
    return names, _rows(feed, records, names)


def _records(feed: _Feed, reader: Iterator[list[str]]) -> Iterator[list[str] | str]:
    """Records, or sentences about their errors; after an error, the line after its first one begins the next record."""
    # strict: a quote that is out of place is an error, not a guess, and so is one that is open at the end.
    while True:
        feed.begin()
        try:
            record = next(reader)
        except StopIteration:
            return
        except (_RecordError, csv.Error) as error:
            line = feed.record[0]
            why = line.fault or f"line {line.number}: {_why(error, len(feed.record))}"
            feed.put_back()
            yield why
            continue
        fault = next((line.fault for line in feed.record if line.fault), None)
        if fault is not None:
            feed.put_back()
            yield fault
        elif len(record) > 1 or any(field.strip() for field in record):  # else it is a blank line
            yield record


def _why(error: Exception, lines: int) -> str:
    if "new-line character" in str(error):
        return (
            "a carriage return stands in it without a line feed: save the list with LF or CRLF as line ends"
        )
    if isinstance(error, csv.Error) and (lines > 1 or "unexpected end" in str(error)):
        return _OPEN
    return str(error)


def _rows(feed: _Feed, records: Iterator[list[str] | str], names: Sequence[str]) -> Iterator[RawRow]:
    for record in records:
        if isinstance(record, str):
            yield record
        elif len(record) != len(names):
            number = feed.record[0].number
            feed.put_back()
            yield f"line {number} has {len(record)} fields, the header has {len(names)}"
        else:
            yield dict(zip(names, record, strict=True))
