"""Keeps the tables `given_pairs` and `given_splits` up to date with the files that the settings name."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from facerefs.pipeline.build.given.pairs_file import pair_rows
from facerefs.pipeline.build.given.splits_file import checked_split, split_rows
from facerefs.pipeline.config.given import Given
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import TABLES

_PART = "part-00000"


def read_given(given: Given) -> dict[str, pa.Table]:
    """The rows of the published lists by table, empty without any.

    Raises UserError for a file that cannot be used, and if it has no row.
    """
    pairs, splits = list(pair_rows(given)), list(split_rows(given))
    for files, rows, what in ((given.pairs, pairs, "pair"), (given.splits, splits, "photo or person")):
        if files and not rows:
            raise UserError(f"{', '.join(files)} names no {what}")
    of_pairs = [
        {"file": row["file"], "line": row["line"], "name": row["target"], "kind": "photo"}
        | checked_split(row["split"])
        for row in pairs
        if row.get("split") is not None and row.get("target") is not None
    ]
    if of_pairs and splits:
        raise UserError(
            "splits are given twice, by given.splits and by a column of given.pairs: "
            "leave one out, the column with --set given.columns.split=none"
        )
    return {
        "given_pairs": _table("given_pairs", pairs),
        "given_splits": _table("given_splits", splits or of_pairs),
    }


def update_given(storage: Storage, tables: dict[str, pa.Table]) -> None:
    """Write the tables that have changed; remove those without rows, and `splits` if no split is given."""
    for name, table in tables.items():
        if not len(table):
            storage.remove_part(name, _PART)
            continue
        fingerprint = rows_digest(table)
        before = storage.part(name, _PART)
        if before is None or before.fingerprint != fingerprint:
            with storage.writing(name, _PART, fingerprint) as part:
                part.add(table)
    if not len(tables["given_splits"]):
        storage.remove_part("splits", _PART)


def _table(name: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    schema = TABLES[name]
    numbered = ({"row": number} | row for number, row in enumerate(rows))
    return pa.Table.from_pylist([{key: row.get(key) for key in schema.names} for row in numbered], schema)
