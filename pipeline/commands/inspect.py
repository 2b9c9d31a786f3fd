"""`facerefs inspect`: print rows of a table, or all rows of one photo, face, sample or person."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.build.known_names import as_known
from facerefs.pipeline.commands.inspect_tables import print_table
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import TABLES

_WIDTH = 160  # characters, if the output is not a terminal
_NAMES = {
    "sources": ("key", "url"),
    "downloads": ("key", "url", "final_url"),
    "images": ("key", "id"),
    "duplicates": ("key", "id", "group"),
    "faces": ("id", "image", "key"),
    "labels": ("face",),
    "overrides": ("what", "other"),
    "copies": ("face", "other"),
    "identities": ("face", "identity"),
    "made_elsewhere": ("target", "file", "image"),
    "given_pairs": ("target", "references"),
    "given_splits": ("name",),
    "pairs": ("target", "reference"),
    "splits": ("target",),
    "samples": ("key", "target", "references"),
}
"""The columns of each table in which a key, id or name is searched."""

_LINKS = (
    ("identities", ("identity",), ("face",)),
    ("sources", ("key", "url"), ("key",)),
    ("images", ("key", "id"), ("key", "id")),
    ("faces", ("id", "image", "key"), ("id", "image", "key")),
)
"""Links to follow, as (table, columns to search, columns to add): from a person to its faces, a photo to its faces
and back.

A sample's key is its target's id. A face does not lead to the photos of its references or of its person.
"""


def print_rows(folder: str | Path, what: str, limit: int, rejected: bool, as_json: bool) -> None:
    """Print rows of table `what`, or all rows linked with the key, id or person `what`.

    At most `limit` rows, but at least one of each table that has any. as_json: one object per row, with `table`.
    Raises UserError if `what` is neither a table nor found in one.
    """
    storage = open_build(folder)
    found: dict[str, pa.Table] = {}
    for table, part in _table(storage, what) if what in TABLES else _linked_rows(storage, what):
        rows = _only_rejected(part) if rejected else part
        if len(rows):
            found[table] = pa.concat_tables([found[table], rows]) if table in found else rows
    console = Console(soft_wrap=True, markup=False, stderr=as_json)
    if not console.is_terminal:
        console.width = _WIDTH
    if not found:
        kind = "rejected rows" if rejected else "rows"
        console.print(f"no {kind} {'in' if what in TABLES else 'of'} {what}", highlight=False)
        return
    allowed = _shares({table: len(rows) for table, rows in found.items()}, limit)
    for table, rows in found.items():
        chosen = rows.slice(0, allowed[table]).to_pylist()
        if as_json:
            for row in chosen:
                text = json.dumps({"table": table, **row}, default=_as_text, ensure_ascii=False)
                sys.stdout.buffer.write(f"{text}\n".encode(errors="backslashreplace"))
            sys.stdout.flush()
        else:
            print_table(console, table, chosen, len(rows))
    left = sum(map(len, found.values())) - sum(allowed.values())
    if left:
        console.print(f"... {left} more rows: raise --limit {limit}", highlight=False)


def _shares(rows: Mapping[str, int], limit: int) -> dict[str, int]:
    """How many rows of each table to show: one of each first, then as the limit allows, in the order of the tables."""
    shares = dict.fromkeys(rows, 1)
    left = limit - len(shares)
    for table, count in rows.items():
        more = max(min(count - 1, left), 0)
        shares[table] += more
        left -= more
    return shares


def _table(storage: Storage, table: str) -> Iterator[tuple[str, pa.Table]]:
    for part in storage.parts(table):
        yield table, storage.read(table, part)


def _linked_rows(storage: Storage, what: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows that contain `what` or one of the keys and ids linked with it, in the order of the tables."""
    names = _linked_names(storage, what)
    known = False
    for table, columns in _NAMES.items():
        for part in storage.parts(table):
            hits = _hits(storage.read(table, part, columns), names)
            if pc.any(hits).as_py():
                known = True
                yield table, storage.read(table, part).filter(hits)
    if not known:
        raise UserError(
            f"{what!r} is neither a table ({', '.join(TABLES)}) nor a key or id in {storage.address}"
        )


def _linked_names(storage: Storage, what: str) -> pa.Array:
    """`what`, and the photo keys, image ids and face ids linked with it."""
    asked = os.fsencode(what).decode(
        "utf-8", "backslashreplace"
    )  # as `facerefs.schemas.paths` writes odd bytes
    names = pa.array([as_known(storage, [asked])[asked]])
    for table, found_by, leads_to in _LINKS:
        found = []
        for part in storage.parts(table):
            rows = storage.read(table, part, tuple(dict.fromkeys(found_by + leads_to)))
            rows = rows.filter(_hits(rows.select(found_by), names))
            found += [rows.column(column).combine_chunks() for column in leads_to]
        names = pc.drop_null(pc.unique(pa.concat_arrays([names, *found])))
    return names


def _hits(rows: pa.Table, names: pa.Array) -> pa.Array:
    """A mask of the rows that contain one of the names in any column."""
    hits = pa.repeat(False, len(rows))
    for column in rows.columns:
        hits = pc.or_(hits, _in(column.combine_chunks(), names))
    return hits


def _in(values: pa.Array, names: pa.Array) -> pa.Array:
    if not pa.types.is_list(values.type):
        return pc.is_in(values, value_set=names)
    holders = pc.list_parent_indices(values).filter(pc.is_in(pc.list_flatten(values), value_set=names))
    return pc.is_in(pa.array(range(len(values)), holders.type), value_set=holders)


def _only_rejected(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.is_valid(rows.column("reject")))


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
