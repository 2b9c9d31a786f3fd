"""Reads the rows of text files with one row on each line: JSON lines, or URLs."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias

from facerefs.stages.sources.lists.lines import text_lines, too_long

RawRow: TypeAlias = dict[str, Any] | str
"""The values of a row by column; or the sentence that says why it cannot be read."""


def read_json_lines(file: BinaryIO, shown: str) -> Iterator[RawRow]:
    """The rows, each with names of its own: one JSON object a line, blank lines apart."""
    return (_json_object(line, i) for i, line in _numbered(file, shown))


def read_urls(file: BinaryIO, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    """One URL on each line, in a column `url`; blank lines apart."""
    return ["url"], (_url(line, i) for i, line in _numbered(file, shown))


def _numbered(file: BinaryIO, shown: str) -> Iterator[tuple[int, bytes | None]]:
    lines = enumerate(text_lines(file, shown), start=1)
    return ((i, line) for i, line in lines if line is None or line.strip())


def _json_object(line: bytes | None, number: int) -> RawRow:
    if line is None:
        return too_long(number)
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
        return too_long(number)
    try:
        return {"url": line.decode()}
    except UnicodeDecodeError:
        return f"line {number} is no UTF-8 text"
