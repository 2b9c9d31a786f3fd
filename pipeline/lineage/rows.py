"""Rows of a build's tables that hold one of some values: first the column that is searched, then the rows found.

Parquet files are scanned by Arrow's datasets, on all cores and past row groups whose statistics rule the values out.
"""

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.object_storage import is_failed_request
from facerefs.schemas.tables import BLOB, LANDMARKS, TABLES

Row = Mapping[str, Any]
_FILE = "__filename"
_CHECKED = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
_EMBEDDINGS = pa.list_(pa.float32())
_UNREAD = (BLOB, pa.list_(BLOB), LANDMARKS, _EMBEDDINGS)
"""Types of columns that tell nothing to a reader: they are not read."""


@dataclass(frozen=True)
class TableRows:
    """The rows of the tables of a build."""

    storage: Storage

    def where(
        self, table: str, values: Collection[str], *searched: str, columns: tuple[str, ...] | None = None
    ) -> list[Row]:
        """The rows with one of the values in one of the searched columns, with `part`, in the order of the parts.

        searched: columns of text, or of lists of text. columns: which are returned; None: all that a person can read.
        Raises RunError for a damaged part.
        """
        return self._where(table, pa.array(sorted(values), pa.string()), searched, columns)

    def numbered(self, table: str, numbers: Collection[int], column: str) -> list[Row]:
        """The rows with one of these whole numbers in a column, as `where`."""
        return self._where(
            table, pa.array(sorted(numbers), TABLES[table].field(column).type), (column,), None
        )

    def parts(self, table: str) -> list[str]:
        """The names of the finished parts of a table."""
        return [posixpath.basename(path).removesuffix(".parquet") for path in self._files(table)]

    def _where(
        self, table: str, wanted: pa.Array, searched: tuple[str, ...], columns: tuple[str, ...] | None
    ) -> list[Row]:
        files = self._files(table)
        if not files or not len(wanted):
            return []
        found = self._scan(table, files, (*searched, _FILE), _filter(table, searched, wanted))
        holding = pc.unique(found.filter(_hits(found, searched, wanted))[_FILE]).to_pylist()
        if not holding:
            return []
        names = columns or readable_columns(table)
        every = tuple(dict.fromkeys((*names, *searched, _FILE)))
        rows = self._scan(table, sorted(holding), every, _filter(table, searched, wanted))
        rows = rows.filter(_hits(rows, searched, wanted))
        parts = [posixpath.basename(path).removesuffix(".parquet") for path in rows[_FILE].to_pylist()]
        return [row | {"part": part} for row, part in zip(rows.select(names).to_pylist(), parts, strict=True)]

    def _scan(
        self, table: str, files: list[str], columns: tuple[str, ...], only: pc.Expression | None
    ) -> pa.Table:
        try:
            found = ds.dataset(
                files, schema=TABLES[table], format=_CHECKED, filesystem=self.storage.filesystem
            )
            return found.to_table(columns=list(columns), filter=only)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and (error.errno is not None or is_failed_request(error)):
                raise
            for path in files:  # the reader that names the damaged part, and says what to do
                self.storage.read(table, posixpath.basename(path).removesuffix(".parquet"))
            raise

    def _files(self, table: str) -> list[str]:
        if table not in self._listed:
            names = self.storage.parts(table)
            self._listed[table] = [self.storage.full_path(f"{table}/{name}.parquet") for name in names]
        return self._listed[table]

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        return {}


def readable_columns(table: str) -> tuple[str, ...]:
    """The columns of a table without bytes, hashes of pixels, embeddings and landmarks."""
    return tuple(
        field.name
        for field in TABLES[table]
        if field.type not in _UNREAD
        and not pa.types.is_fixed_size_binary(field.type)
        and field.type != pa.uint64()
    )


def _filter(table: str, searched: tuple[str, ...], wanted: pa.Array) -> pc.Expression | None:
    """What Arrow can filter while it reads; None if a list is searched."""
    if any(pa.types.is_list(TABLES[table].field(name).type) for name in searched):
        return None
    only = pc.field(searched[0]).isin(wanted)
    for name in searched[1:]:
        only |= pc.field(name).isin(wanted)
    return only


def _hits(rows: pa.Table, searched: tuple[str, ...], wanted: pa.Array) -> pa.Array:
    hits = pc.is_in(pa.nulls(len(rows), wanted.type), value_set=wanted)
    for name in searched:
        values = rows[name].combine_chunks()
        hits = pc.or_(
            hits, _list_hits(values, wanted) if pa.types.is_list(values.type) else _in(values, wanted)
        )
    return hits


def _in(values: pa.Array, wanted: pa.Array) -> pa.Array:
    return pc.is_in(values, value_set=wanted)


def _list_hits(values: pa.Array, wanted: pa.Array) -> pa.Array:
    holders = pc.list_parent_indices(values).filter(_in(pc.list_flatten(values), wanted))
    return _in(pa.array(range(len(values)), holders.type), holders)
