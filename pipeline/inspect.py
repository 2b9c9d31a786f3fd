"""`facerefs inspect`: rows of a table, or everything that is known of one photo, face or sample."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from pipeline.commands import open_build
from pipeline.errors import UserError
from pipeline.storage import Storage
from schemas.tables import TABLES

_NAMES = {
    "sources": ("key",),
    "images": ("key", "id"),
    "duplicates": ("key", "id", "group"),
    "faces": ("id", "image", "key"),
    "identities": ("face", "identity"),
    "pairs": ("target", "reference"),
    "samples": ("key", "target"),
}
"""The columns by which a row is found."""


def print_rows(folder: Path, what: str, limit: int, rejected: bool) -> None:
    """Print rows of table `what`, or the rows in which `what` is a key or id; one JSON object per line.

    Raises UserError if `what` is neither.
    """
    storage = open_build(folder)
    console = Console(soft_wrap=True)
    found = _table(storage, what, rejected) if what in TABLES else _occurrences(storage, what, rejected)
    shown = 0
    for table, row in found:
        if shown == limit:
            console.print(f"... more rows: raise --limit {limit}", highlight=False)
            break
        console.print(
            f"{table} {json.dumps(row, default=str, ensure_ascii=False)}", highlight=False, markup=False
        )
        shown += 1
    if not shown:
        if what in TABLES:
            console.print(f"no {'rejected ' if rejected else ''}rows in {what}", highlight=False)
        else:
            raise UserError(f"{what!r} is neither a table ({', '.join(TABLES)}) nor a key or id in {folder}")


def _table(storage: Storage, table: str, rejected: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in storage.parts(table):
        yield from ((table, _short(row)) for row in _wanted(storage.read(table, name), rejected).to_pylist())


def _occurrences(storage: Storage, value: str, rejected: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for table, columns in _NAMES.items():
        for name in storage.parts(table):
            rows = storage.read(table, name)
            hit = pc.equal(rows.column(columns[0]), value)
            for column in columns[1:]:
                hit = pc.or_kleene(hit, pc.equal(rows.column(column), value))
            found = _wanted(rows.filter(pc.fill_null(hit, False)), rejected)
            yield from ((table, _short(row)) for row in found.to_pylist())


def _wanted(rows: pa.Table, rejected: bool) -> pa.Table:
    return (
        rows.filter(pc.is_valid(rows.column("reject")))
        if rejected and "reject" in rows.column_names
        else rows
    )


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what is empty, and long vectors by their length."""
    short = {}
    for name, value in row.items():
        if value is None:
            continue
        is_vector = isinstance(value, list) and len(value) > 8
        short[name] = f"[{len(value)} values]" if is_vector else value
    return short
