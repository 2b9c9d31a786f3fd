"""Reads the rows of a Parquet file, a few at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from facerefs.stages.sources.lists.columns import check_names
from facerefs.stages.sources.lists.text_rows import RawRow
from facerefs.stages.sources.source import SourceError

_BATCH_BYTES = 8 << 20
_BUFFER_BYTES = 1 << 20  # of each column; without it, a column's whole row group is read at once
_FAULTS = (pa.ArrowException, ValueError, OverflowError, OSError)


@contextmanager
def parquet_errors(shown: str) -> Iterator[None]:
    """Turn pyarrow's errors for a damaged file into SourceError."""
    try:
        yield
    except SourceError:
        raise
    except _FAULTS as error:
        raise SourceError(f"cannot read {shown} as Parquet: {str(error).splitlines()[0][:300]}") from error


def open_parquet_file(file: BinaryIO | str, shown: str) -> pq.ParquetFile:
    """An open Parquet file, its footer read. Raises SourceError for a damaged one, and as `check_names` does."""
    with parquet_errors(shown):
        parquet = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES)
        names = parquet.schema_arrow.names
    check_names(names, shown)
    return parquet


def text_columns(schema: pa.Schema) -> list[str]:
    """The names of the columns without bytes, whose values can be written as text."""
    return [item.name for item in schema if not _holds_bytes(item.type)]


def read_parquet(file: BinaryIO, shown: str) -> tuple[list[str], Iterator[RawRow]]:
    """The columns of a Parquet file that hold no bytes, and its rows."""
    parquet = open_parquet_file(file, shown)
    names = text_columns(parquet.schema_arrow)
    return names, read_rows(parquet, names, 1000, shown)


def read_rows(parquet: pq.ParquetFile, names: Sequence[str], max_rows: int, shown: str) -> Iterator[RawRow]:
    """The rows with these columns, read about 8 MB and at most `max_rows` rows at a time."""
    with parquet_errors(shown):
        for group in range(parquet.num_row_groups):
            facts = parquet.metadata.row_group(group)
            fitting = _BATCH_BYTES * facts.num_rows // max(1, facts.total_byte_size)
            size = max(1, min(max_rows, fitting))
            for batch in parquet.iter_batches(size, row_groups=[group], columns=list(names)):
                yield from _batch_rows(batch)


def _batch_rows(batch: pa.RecordBatch) -> Iterator[RawRow]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except _FAULTS:
        yield from map(_single_row, (batch.slice(i, 1) for i in range(len(batch))))
    else:
        yield from rows


def _single_row(row: pa.RecordBatch) -> RawRow:
    try:
        values: dict[str, Any] = row.to_pylist()[0]
    except _FAULTS as error:
        return f"one of its values cannot be read: {str(error)[:200]}"
    return values


def _holds_bytes(type_: pa.DataType) -> bool:
    if pa.types.is_nested(type_):
        return any(_holds_bytes(type_.field(i).type) for i in range(type_.num_fields))
    return is_bytes(type_)


def is_bytes(type_: pa.DataType) -> bool:
    """Whether a column's values are bytes."""
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    )
