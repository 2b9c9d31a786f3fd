"""Reads the rows of text files: csv with a header, JSON lines, or one URL on each line."""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TypeAlias

from facerefs.stages.sources.lists.columns import quoted_names
from facerefs.stages.sources.lists.lines import MAX_LINE_BYTES, read_lines
from facerefs.stages.sources.source import SourceError

RawRow: TypeAlias = dict[str, Any] | str
"""The values of a row by column; or the sentence that says why it cannot be read."""

_BOM = b"\xef\xbb\xbf"
_BOMS_16 = (b"\xff\xfe", b"\xfe\xff")
_MAX_COLUMNS = 1000
_PEEKED_ROWS = 100
_PEEKED_BYTES = 4 << 20


def read_separated(separator: str, file: BinaryIO, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    """The header and the rows of csv or tsv (RFC 4180, line ends of any kind but a lone CR, UTF-8).

    A .csv whose header has tabs or semicolons and no comma is read with those. Raises SourceError for a header
    that cannot be read or names a column twice.
    """
    feed = _Feed(read_lines(file), shown)
    try:
        header = next((line for line in feed if line.strip()), "")
    except _TooLongError as error:
        raise SourceError(f"cannot read the header of {shown}: {error}") from error
    if separator == "," and "," not in header:
        separator = "\t" if "\t" in header else ";"
    feed.put_back(header)
    records = _records(feed, separator)
    names = next(records, [])
    if isinstance(names, str):
        raise SourceError(f"cannot read the header of {shown}: {names}")
    names = [name.strip() or f"column {i}" for i, name in enumerate(names, start=1)]
    check_names(names, shown)
    return names, (_named(names, record) for record in records)


def check_names(names: Sequence[str], shown: str) -> None:
    """Raise SourceError for two columns of the same name, and for more than 1000 columns."""
    if len(names) > _MAX_COLUMNS:
        raise SourceError(f"{shown} has {len(names)} columns, at most {_MAX_COLUMNS}: is it a list of URLs?")
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"{shown} has two columns {quoted_names([name])}: give one another name")


def read_json_lines(file: BinaryIO, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    """The names in the first hundred rows, in order, and the rows: one JSON object a line, blank lines apart."""
    numbered = (
        (i, line) for i, line in enumerate(_lines(file, shown), start=1) if line is None or line.strip()
    )
    head: list[tuple[int, bytes | None]] = []
    size = 0
    for i, line in numbered:
        head.append((i, line))
        size += len(line or b"")
        if len(head) == _PEEKED_ROWS or size >= _PEEKED_BYTES:
            break
    names: dict[str, None] = {}
    for i, line in head:
        values = _json_object(line, i)
        if not isinstance(values, str):
            names |= dict.fromkeys(values)
    rest = (_json_object(line, i) for i, line in numbered)
    return list(names), _chain(head, rest)


def read_urls(file: BinaryIO, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    """One URL on each line, in a column `url`; blank lines apart."""
    numbered = enumerate(_lines(file, shown), start=1)
    return ["url"], (_url(line, i) for i, line in numbered if line is None or line.strip())


def _chain(head: Sequence[tuple[int, bytes | None]], rest: Iterator[RawRow]) -> Iterator[RawRow]:
    for i, line in head:
        yield _json_object(line, i)
    yield from rest


def _json_object(line: bytes | None, number: int) -> RawRow:
    if line is None:
        return _too_long(number)
    try:
        values = json.loads(line.decode())
    except UnicodeDecodeError:
        return f"line {number} is no UTF-8 text"
    except (ValueError, RecursionError) as error:
        return f"line {number} is no JSON that we can read: {str(error)[:200]}"
    return (
        values
        if isinstance(values, dict)
        else f"line {number} holds a JSON {type(values).__name__}, not an object"
    )


def _url(line: bytes | None, number: int) -> RawRow:
    if line is None:
        return _too_long(number)
    try:
        return {"url": line.decode()}
    except UnicodeDecodeError:
        return f"line {number} is no UTF-8 text"


def _too_long(number: int) -> str:
    return f"line {number} is longer than {MAX_LINE_BYTES} bytes"


def _lines(file: BinaryIO, shown: str) -> Iterator[bytes | None]:
    """Lines without a byte order mark. Raises SourceError for UTF-16."""
    for i, line in enumerate(read_lines(file)):
        if i == 0 and line is not None:
            if line.startswith(_BOMS_16):
                raise SourceError(f"{shown} is UTF-16 text: save it as UTF-8")
            line = line.removeprefix(_BOM)  # noqa: PLW2901
        yield line


class _TooLongError(Exception):
    """A record that is longer than MAX_LINE_BYTES."""


class _Feed:
    """The lines of a file for `csv.reader`, which reads further lines while a quoted field is open."""

    def __init__(self, raw: Iterator[bytes | None], shown: str) -> None:
        self._raw = raw
        self._shown = shown
        self._put_back: str | None = None
        self._record_bytes = 0
        self.number = 0
        self.fault: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._put_back is not None:
            line, self._put_back = self._put_back, None
            return line
        raw = next(self._raw)
        self.number += 1
        if raw is None:
            raise _TooLongError(_too_long(self.number))
        if self.number == 1:
            if raw.startswith(_BOMS_16):
                raise SourceError(f"{self._shown} is UTF-16 text: save it as UTF-8")
            raw = raw.removeprefix(_BOM)
        self._record_bytes += len(raw)
        if self._record_bytes > MAX_LINE_BYTES:
            raise _TooLongError(
                f"the row that ends in line {self.number} is longer than {MAX_LINE_BYTES} bytes"
            )
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.fault = f"line {self.number} is no UTF-8 text"
            return raw.decode(errors="surrogateescape")

    def put_back(self, line: str) -> None:
        """Make this line the next one again."""
        self._put_back = line

    def begin(self) -> None:
        """Start a new record: reset its length and its error."""
        self._record_bytes = 0
        self.fault = None


def _records(feed: _Feed, separator: str) -> Iterator[list[str] | str]:
    """Records, or sentences about their errors; after an error, the next line begins the next record."""
    # strict: a quote that is out of place is an error, not a guess, and so is one that is open at the end.
    reader = csv.reader(feed, delimiter=separator, strict=True)
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except _TooLongError as error:
            yield str(error)
        except csv.Error as error:
            yield f"line {feed.number}: {_why(error)}"
        else:
            if record:
                yield feed.fault or record
        feed.begin()


def _why(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return (
            "a carriage return stands in it without a line feed: save the list with LF or CRLF as line ends"
        )
    return str(error)


def _named(names: Sequence[str], record: list[str] | str) -> RawRow:
    if isinstance(record, str):
        return record
    if len(record) != len(names):
        return f"it has {len(record)} fields, the header has {len(names)}"
    return dict(zip(names, record, strict=True))
