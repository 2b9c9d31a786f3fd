"""Reads the rows of a Parquet file, a few at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from facerefs.stages.sources.lists.class_labels import class_labels
from facerefs.stages.sources.lists.columns import ROLES, ColumnNames, check_names, usual_names
from facerefs.stages.sources.lists.text_rows import RawRow
from facerefs.stages.sources.source import SourceError

_BATCH_BYTES = 8 << 20
_BUFFER_BYTES = 1 << 20  # of each column; without it, a column's whole row group is read at once
_SHA256_BYTES = 32
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


def text_columns(schema: pa.Schema, columns: ColumnNames) -> list[str]:
    """The names of the columns whose values can be written as text: those without bytes, and the bytes of a role."""
    of_roles: set[str | None] = {
        name for role in ROLES if role != "photo" for name in usual_names(role, schema.names)
    }
    of_roles |= {name for role, name in vars(columns).items() if role != "photo"}
    return [item.name for item in schema if not _holds_bytes(item.type) or _is_text(item, of_roles)]


def read_parquet(file: BinaryIO, shown: str, columns: ColumnNames) -> tuple[list[str], Iterator[RawRow]]:
    """The columns of a Parquet file that can be text, and its rows."""
    parquet = open_parquet_file(file, shown)
    names = text_columns(parquet.schema_arrow, columns)
    return names, read_rows(parquet, names, 1000, shown)


def read_rows(
    parquet: pq.ParquetFile, texts: Sequence[str], max_rows: int, shown: str, photo: str | None = None
) -> Iterator[RawRow]:
    """The rows with these columns of texts, and that of photos as it is.

    About 8 MB and at most `max_rows` rows are read at a time. Bytes in a column of texts become text, and the numbers
    of Hugging Face's ClassLabel the names that they stand for.
    """
    schema = parquet.schema_arrow
    converted = class_labels(schema.metadata)
    converted |= {name: _text_of_bytes(name) for name in texts if _holds_bytes(schema.field(name).type)}
    converted = {name: convert for name, convert in converted.items() if name in texts}
    names = [*texts, *([] if photo is None else [photo])]
    with parquet_errors(shown):
        for group in range(parquet.num_row_groups):
            facts = parquet.metadata.row_group(group)
            fitting = _BATCH_BYTES * facts.num_rows // max(1, facts.total_byte_size)
            size = max(1, min(max_rows, fitting))
            for batch in parquet.iter_batches(size, row_groups=[group], columns=names):
                yield from (_converted(row, converted) for row in _batch_rows(batch))


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


def _converted(row: RawRow, converted: Mapping[str, Callable[[Any], Any]]) -> RawRow:
    if isinstance(row, str):
        return row
    try:
        return row | {name: convert(row[name]) for name, convert in converted.items()}
    except ValueError as error:
        return str(error)


def _text_of_bytes(name: str) -> Callable[[Any], str | None]:
    is_hash = bool(usual_names("sha256", [name]))

    def text(value: bytes | None) -> str | None:
        if value is None or (is_hash and len(value) == _SHA256_BYTES):
            return None if value is None else value.hex()
        try:
            return value.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"its {name} is no UTF-8 text, but {value[:40]!r}") from None

    return text


def _is_text(item: pa.Field, of_roles: set[str | None]) -> bool:
    return item.name in of_roles and not pa.types.is_nested(item.type)


def _holds_bytes(type_: pa.DataType) -> bool:
    if pa.types.is_nested(type_):
        return any(_holds_bytes(type_.field(i).type) for i in range(type_.num_fields))
    return is_bytes(type_)


def is_bytes(type_: pa.DataType) -> bool:
    """Whether a column's values are bytes."""
    if pa.types.is_dictionary(type_):
        return is_bytes(type_.value_type)
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    )
