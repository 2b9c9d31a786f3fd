"""A build's folder: tables as folders of Parquet parts, the bytes of a part in a tar (`blobs.py` says where).

A part is done when its Parquet file is there: everything is written to a temporary name, fsynced and renamed,
the tar first. The Parquet metadata carries the fingerprint of what the part was made from.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facerefs.pipeline.errors import DamagedFileError, UserError
from facerefs.pipeline.storage.blobs import blob_folder, tar_name
from facerefs.pipeline.storage.file_store import TEMPORARY_PREFIX, FileStore
from facerefs.pipeline.storage.mapped_table import mapped_rows
from facerefs.pipeline.storage.part_writer import (
    COLUMNS_KEY,
    EMPTY_KEY,
    FINGERPRINT_KEY,
    TAR_KEY,
    PartTar,
    PartWriter,
    write_rows,
)
from facerefs.schemas.object_storage import (
    AddressError,
    address_of,
    is_address,
    is_failed_request,
    object_at,
)
from facerefs.schemas.paths import path_of_text
from facerefs.schemas.tables import LATER_COLUMNS, MAX_BLOB_BYTES, TABLES

_FOOTER_BYTES = 64 << 10  # read at once: the footers of our parts are smaller


@dataclass(frozen=True)
class Part:
    """What the Parquet footer of a part holds."""

    name: str
    rows: int
    fingerprint: str
    columns: Mapping[str, str]  # digest of the values of each column
    tar: PartTar | None
    empty: tuple[str, ...] = ()  # the columns that have no value at all; of a part of an earlier version none

    @classmethod
    def of(cls, name: str, footer: pq.FileMetaData) -> "Part":
        """The part that a footer describes. Raises ValueError, KeyError or TypeError if it is not one of ours."""
        metadata = footer.metadata or {}
        tar = PartTar(**json.loads(metadata[TAR_KEY])) if TAR_KEY in metadata else None
        fingerprint = metadata.get(FINGERPRINT_KEY, b"").decode()
        columns = json.loads(metadata.get(COLUMNS_KEY, b"{}"))
        empty = tuple(json.loads(metadata.get(EMPTY_KEY, b"[]")))
        return cls(name, footer.num_rows, fingerprint, columns, tar, empty)

    def values(self, columns: Iterable[str]) -> list[str]:
        """The digests of the values of some columns; of a part of an earlier version what it was made from."""
        return [self.columns.get(name, self.fingerprint) for name in columns if name != "part"]


@dataclass(frozen=True)
class Storage(FileStore):
    """The tables and files of one build, under `root` of a pyarrow filesystem."""

    def parts(self, table: str) -> list[str]:
        """Names of a table's finished parts, sorted."""
        return self.parts_in(self.files(table))

    def parts_in(self, files: Iterable[str]) -> list[str]:
        """Names of the finished parts among the files of a table's folder, sorted."""
        return sorted(name.removesuffix(".parquet") for name in files if _is_final(name, ".parquet"))

    def started_parts(self, table: str) -> set[str]:
        """Names of parts with any file, also those with only a tar, which a killed run leaves."""
        tars = self.files(blob_folder(table))
        return {name.removesuffix(".tar") for name in tars if _is_final(name, ".tar")} | set(
            self.parts(table)
        )

    def part(self, table: str, name: str) -> Part | None:
        """The footer of a part; None if the part does not exist, is damaged, or lacks its tar."""
        data = self._end(f"{table}/{name}.parquet")
        if data is None:
            return None
        try:
            part = Part.of(name, pq.read_metadata(pa.BufferReader(data)))
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
            return None  # pyarrow raises OSError for a footer that is not Thrift
        if part.tar and self.filesystem.get_file_info(self.full_path(part.tar.path)).size != part.tar.size:
            return None
        return part

    def _end(self, name: str) -> bytes | None:
        """The end of a Parquet file, with its whole footer; None if there is no file."""
        try:
            with self.filesystem.open_input_file(self.full_path(name)) as file:
                size = file.size()
                data = bytes(file.read_at(min(size, _FOOTER_BYTES), max(size - _FOOTER_BYTES, 0)))
                footer = int.from_bytes(data[-8:-4], "little") + 8
                return data if footer <= len(data) or len(data) == size else bytes(file.read_at(size, 0))
        except FileNotFoundError:
            return None

    def read(self, table: str, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """The rows of one part, with references (`BLOB`) for photos and crops.

        Columns that came later than the part (`LATER_COLUMNS`) are null.
        Raises DamagedFileError if its file is damaged, UserError if it is of a version that did not have these columns.
        """
        wanted = None if columns is None else [column for column in columns if column != "part"]
        path = self.full_path(f"{table}/{name}.parquet")
        try:
            with (
                self.filesystem.open_input_file(path) as file,
                # `pq.read_table` would take a millisecond more for each part, to look for a dataset of many files.
                pq.ParquetFile(
                    file, pre_buffer=not self.is_local, page_checksum_verification=True
                ) as parquet,
            ):
                there = parquet.schema_arrow.names
                later = [name for name in LATER_COLUMNS.get(table, ()) if name not in there]
                if lacking := set(wanted or ()).difference(there, later):
                    raise UserError(
                        f"{self.address} holds a build by another version of facerefs: its table {table} lacks "
                        f"{', '.join(sorted(lacking))}; run the facerefs build that made it again, with --update"
                    )
                stored = None if wanted is None else [name for name in wanted if name not in later]
                rows = parquet.read(columns=stored).select(there if stored is None else stored)
                rows = rows.replace_schema_metadata(None)
                if later:
                    rows = _with_nulls(rows, TABLES[table], later, wanted)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and (error.errno is not None or is_failed_request(error)):
                raise
            raise DamagedFileError(
                f"{address_of(self.filesystem, path)} is damaged ({error}): run the same `facerefs build` again with "
                "--check-files, which makes it anew",
                again=False,
            ) from None
        if columns is not None and "part" in columns:
            rows = rows.append_column("part", pa.array([name] * len(rows), pa.string()))
        return rows

    def rows_in(self, table: str, name: str, column: str, values: set[str]) -> list[dict[str, Any]]:
        """The rows of one part that have one of the values in a column; no rows if the part does not exist."""
        if self.part(table, name) is None:
            return []
        wanted = pc.is_in(
            self.read(table, name, (column,)).column(column), value_set=pa.array(values, pa.string())
        )
        if not pc.any(wanted).as_py():
            return []
        rows: list[dict[str, Any]] = self.read(table, name).filter(wanted).to_pylist()
        return rows

    def scan(self, table: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """The rows of all parts of a table, in the order of the parts' names."""
        columns = columns or tuple(TABLES[table].names)
        parts = list(self.in_parallel(lambda name: self.read(table, name, columns), self.parts(table)))
        return pa.concat_tables(parts) if parts else _schema(table, columns).empty_table()

    def mapped(
        self, table: str, columns: tuple[str, ...], only: pc.Expression | None, folder: Path
    ) -> pa.Table:
        """As `scan`, but the rows lie in a memory-mapped file in a local folder. only: which of them."""
        schema = _schema(table, columns)
        parts = (self.read(table, name, columns) for name in self.parts(table))
        rows = ((part if only is None else part.filter(only)).select(columns).cast(schema) for part in parts)
        return mapped_rows(rows, schema, folder)

    @contextmanager
    def writing(self, table: str, name: str, fingerprint: str, digest: bool = True) -> Iterator[PartWriter]:
        """A writer for a part, which is complete when the block ends, and does not exist if the block raises."""
        writer = PartWriter(self, table, name, digest)
        try:
            yield writer
            writer.commit(fingerprint)
        finally:
            writer.abandon()

    def replace_rows(self, table: str, name: str, rows: pa.Table, fingerprint: str) -> None:
        """Give a finished part other rows and another fingerprint; its tar, to which the rows refer, stays."""
        part = self.part(table, name)
        metadata = {FINGERPRINT_KEY: fingerprint.encode()}
        if part is not None and part.tar is not None:
            metadata[TAR_KEY] = part.tar.text()
        # As the schema has it: what Parquet adds to fields that were read would change the digests of the columns.
        write_rows(self, f"{table}/{name}.parquet", rows.cast(TABLES[table]), metadata)

    def remove_part(self, table: str, name: str) -> None:
        """Remove a part: its Parquet file first, since a part with one counts as finished."""
        self.remove_file(f"{table}/{name}.parquet")
        self.remove_file(tar_name(table, name))

    def clear_temporary(self) -> None:
        """Remove the incomplete files of an interrupted run."""
        self.clear_scratch()
        for folder in sorted({"", *TABLES, *map(blob_folder, TABLES)}):
            for name in self.files(folder):
                if TEMPORARY_PREFIX in name:
                    self.remove_file(posixpath.join(folder, name))

    def load_blobs(self, rows: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        """The rows with bytes in place of the references in these columns; the references are in columns `X_at`.

        Null stands for bytes that cannot be read, are more than MAX_BLOB_BYTES, or do not have the length that the
        reference gives. Columns that the rows do not have are passed over.
        """
        for column in (name for name in columns if name in rows.column_names):
            at = rows.column(column).combine_chunks()
            data = self._load_lists(at) if pa.types.is_list(at.type) else self._load(at)
            rows = rows.append_column(f"{column}_at", at)
            rows = rows.set_column(rows.column_names.index(column), column, data)
        return rows

    def read_blob(self, path: str, offset: int, length: int) -> bytes | None:
        """The bytes of a reference, in a tar of this build or, if the path is absolute, in a local file.

        None if they cannot be read, are more than MAX_BLOB_BYTES, or do not have this length.
        Raises OSError if object storage does not answer: the bytes may well be there.
        """
        if length > MAX_BLOB_BYTES or ".." in path.split("/"):
            return None
        try:
            if is_address(path):
                return _read_remote(path, offset, length)
            if posixpath.isabs(path):
                return _read_local(path_of_text(path), offset, length)
            with self.filesystem.open_input_file(self.full_path(path)) as file:
                data = bytes(file.read_at(length, offset))
        except AddressError:
            return None
        except OSError as error:
            if is_failed_request(error):
                raise
            return None
        return data if len(data) == length else None

    def _load(self, places: pa.StructArray) -> pa.Array:
        return pa.array(self._blobs(places.to_pylist()), pa.large_binary())

    def _load_lists(self, places: pa.ListArray) -> pa.Array:
        rows = [row or [] for row in places.to_pylist()]
        data = iter(self._blobs([at for row in rows for at in row]))
        return pa.array([list(islice(data, len(row))) for row in rows], pa.list_(pa.large_binary()))

    def _blobs(self, places: Sequence[dict[str, Any] | None]) -> list[bytes | None]:
        """The bytes of each reference; many at a time if they come from a server."""
        is_remote = any(at is not None and is_address(at["path"]) for at in places)
        return list(
            self.in_parallel(lambda at: None if at is None else self.read_blob(**at), places, is_remote)
        )


def _schema(table: str, columns: tuple[str, ...]) -> pa.Schema:
    """The schema of some columns of a table, of which `part` is one more."""
    part = pa.field("part", pa.string())
    return pa.schema([part if name == "part" else TABLES[table].field(name) for name in columns])


def _with_nulls(rows: pa.Table, schema: pa.Schema, later: list[str], wanted: list[str] | None) -> pa.Table:
    """The rows with columns of nulls, in the order of `wanted` (None: of the schema)."""
    order = schema.names if wanted is None else wanted
    for name in set(later).intersection(order):
        rows = rows.append_column(schema.field(name), pa.nulls(len(rows), schema.field(name).type))
    return rows.select(order)


def _is_final(name: str, extension: str) -> bool:
    """Whether a file is of a part: neither unfinished nor what macOS or a browser adds, `._NAME` or `NAME (1)`."""
    return name.endswith(extension) and re.fullmatch(r"[\w-]+", name.removesuffix(extension)) is not None


def _read_remote(address: str, offset: int, length: int) -> bytes | None:
    """Bytes of an object; None if it is too short or, from offset 0, if it is longer: then it has changed."""
    filesystem, path = object_at(address)
    with filesystem.open_input_file(path) as file:
        if file.size() < offset + length or (offset == 0 and file.size() > length):
            return None
        return bytes(file.read_at(length, offset))


def _read_local(path: str, offset: int, length: int) -> bytes | None:
    """Bytes of a file; None if it is too short or, from offset 0, if it is longer: then it has changed."""
    with Path(path).open("rb") as file:
        file.seek(offset)
        data = file.read(length)
        grown = offset == 0 and bool(file.read(1))
    return data if len(data) == length and not grown else None
