"""A build's folder: tables as folders of Parquet parts, the bytes of a part in a tar beside it.

A part is done when its Parquet file is there: everything is written to a temporary name, fsynced and renamed,
the tar first. The Parquet metadata carries the fingerprint of what the part was made from.
"""

import hashlib
import json
import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.storage.fingerprint import column_digests
from facerefs.pipeline.storage.journal import Journal, JournalEntry
from facerefs.pipeline.storage.tar import TarWriter
from facerefs.schemas.paths import path_of_text
from facerefs.schemas.tables import BLOB, BUNDLE, MAX_BLOB_BYTES, TABLES

_FINGERPRINT = b"facerefs.fingerprint"
_COLUMNS = b"facerefs.columns"
_TAR = b"facerefs.tar"
_TEMPORARY = ".tmp-"
_EXTENSIONS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif"}


@dataclass(frozen=True)
class PartTar:
    """What is known of a part's tar without opening it."""

    path: str  # relative to the build's folder
    size: int
    sha256: str | None  # null where each row has that of its own bytes


@dataclass(frozen=True)
class Part:
    """What a part's footer says."""

    name: str
    rows: int
    fingerprint: str
    columns: Mapping[str, str]  # digest of the values of each column
    tar: PartTar | None


@dataclass(frozen=True)
class Storage:
    """The tables and files of one build, under `root` of a pyarrow filesystem."""

    root: str
    filesystem: pafs.FileSystem = field(default_factory=pafs.LocalFileSystem)

    # ---- tables

    def parts(self, table: str) -> list[str]:
        """Names of a table's finished parts, sorted."""
        return sorted(
            name.removesuffix(".parquet")
            for name in self.files(table)
            if name.endswith(".parquet") and _TEMPORARY not in name
        )

    def remains(self, table: str) -> set[str]:
        """Names of parts of which any file is there, be it only a tar that a killed run left without its rows."""
        return {name.partition(".")[0] for name in self.files(table) if name.endswith((".parquet", ".tar"))}

    def part(self, table: str, name: str) -> Part | None:
        """What the footer of a part says; None if the part is not there, is damaged, or lacks its tar."""
        path = self._path(f"{table}/{name}.parquet")
        try:
            with self.filesystem.open_input_file(path) as file:
                footer = pq.read_metadata(file)
        except (FileNotFoundError, pa.ArrowInvalid):
            return None
        except OSError as error:
            if error.errno is not None:
                raise
            return None  # pyarrow's word for a footer that is no Thrift
        metadata = footer.metadata or {}
        tar = PartTar(**json.loads(metadata[_TAR])) if _TAR in metadata else None
        if tar and self.filesystem.get_file_info(self._path(tar.path)).size != tar.size:
            return None
        fingerprint = metadata.get(_FINGERPRINT, b"").decode()
        columns = json.loads(metadata.get(_COLUMNS, b"{}"))
        return Part(name=name, rows=footer.num_rows, fingerprint=fingerprint, columns=columns, tar=tar)

    def read(self, table: str, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """The rows of one part, bytes left where they lie.

        Raises RunError if its file is damaged, UserError if it is of a version that did not have these columns.
        """
        wanted = None if columns is None else [column for column in columns if column != "part"]
        path = self._path(f"{table}/{name}.parquet")
        try:
            with self.filesystem.open_input_file(path) as file:
                if lacking := set(wanted or ()).difference(pq.read_schema(file).names):
                    raise UserError(
                        f"{self.root} holds a build by another version of facerefs: its table {table} lacks "
                        f"{', '.join(sorted(lacking))}; run the facerefs build that made it again, with --update"
                    )
                rows = pq.read_table(file, columns=wanted).replace_schema_metadata(None)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise RunError(
                f"{path} is damaged ({error}): delete it, and `facerefs build` makes it anew"
            ) from None
        if columns is not None and "part" in columns:
            rows = rows.append_column("part", pa.array([name] * len(rows), pa.string()))
        return rows

    def rows_in(self, table: str, name: str, column: str, values: set[str]) -> list[dict[str, Any]]:
        """The rows of one part that have one of the values in a column; none if the part is not there."""
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
        schema = TABLES[table]
        columns = columns or tuple(schema.names)
        parts = [self.read(table, name, columns) for name in self.parts(table)]
        if parts:
            return pa.concat_tables(parts)
        fields = [pa.field("part", pa.string()) if c == "part" else schema.field(c) for c in columns]
        return pa.schema(fields).empty_table()

    @contextmanager
    def writing(self, table: str, name: str, fingerprint: str, digest: bool = True) -> "Iterator[PartWriter]":
        """Write a part: it is there, whole, when the block ends, and not at all if the block raises."""
        writer = PartWriter(self, table, name, digest)
        try:
            yield writer
            writer.commit(fingerprint)
        finally:
            writer.abandon()

    def remove_part(self, table: str, name: str) -> None:
        """Take a part away: the Parquet file first, since it is what says that the part is there."""
        for ending in ("parquet", "tar"):
            self._delete(f"{table}/{name}.{ending}")

    # ---- journals, which are local files even where the build is not

    def local_path(self, name: str) -> Path:
        """A path on this machine: in the build's folder, or, for a remote build, in a folder of its own."""
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            return Path(self._path(name))
        digest = hashlib.sha256(self.root.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"facerefs-{digest}", name)

    def journal(self, table: str, name: str) -> Journal:
        """The journal of a part."""
        return Journal(self.local_path(f"{table}/{name}.journal"))

    def journal_rows(self, table: str, name: str) -> Iterator[tuple[JournalEntry, dict[str, Any]]]:
        """Entries of a part's journal, and the same as rows of the table whose photo lies in the journal."""
        journal = self.journal(table, name)
        for entry in journal.entries():
            has_photo = entry.record["reject"] is None
            place = {"path": str(journal.path), "offset": entry.offset, "length": entry.length}
            yield entry, entry.record | {"photo": place if has_photo else None}

    def journals(self, table: str) -> set[str]:
        """Names of parts that have a journal: those that an interrupted run was at."""
        return {path.name.removesuffix(".journal") for path in self.local_path(table).glob("*.journal")}

    def remove_journals(self, table: str) -> None:
        """Remove the journals of parts that are not wanted any more."""
        for path in self.local_path(table).glob("*.journal"):
            path.unlink()

    # ---- bytes

    def attach(self, rows: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        """Put the bytes in place of the references of these columns, which stay as `X_at`.

        Bytes that cannot be read, that no longer have the length that the reference says, or that are more
        than MAX_BLOB_BYTES, come as null.
        """
        for column in columns:
            at = rows.column(column).combine_chunks()
            data = self._load_lists(at) if pa.types.is_list(at.type) else self._load(at)
            rows = rows.append_column(f"{column}_at", at)
            rows = rows.set_column(rows.column_names.index(column), column, data)
        return rows

    def read_blob(self, path: str, offset: int, length: int) -> bytes | None:
        """Bytes of a tar of this build, or of a local file if the path is absolute; None if not as said."""
        if length > MAX_BLOB_BYTES or ".." in path.split("/"):
            return None
        try:
            if posixpath.isabs(path):
                return _read_local(path_of_text(path), offset, length)
            with self.filesystem.open_input_file(self._path(path)) as file:
                data = bytes(file.read_at(length, offset))
        except OSError:
            return None
        return data if len(data) == length else None

    def _load(self, places: pa.StructArray) -> pa.Array:
        return pa.array(
            [None if at is None else self.read_blob(**at) for at in places.to_pylist()], pa.large_binary()
        )

    def _load_lists(self, places: pa.ListArray) -> pa.Array:
        loaded = [
            [None if at is None else self.read_blob(**at) for at in row or []] for row in places.to_pylist()
        ]
        return pa.array(loaded, pa.list_(pa.large_binary()))

    # ---- other files

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder of the build."""
        selector = pafs.FileSelector(self._path(folder), allow_not_found=True)
        return [info.base_name for info in self.filesystem.get_file_info(selector) if info.is_file]

    def read_text(self, name: str) -> str | None:
        """A small file of the build; None if it is not there."""
        try:
            with self.filesystem.open_input_stream(self._path(name)) as file:
                return bytes(file.read()).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise RunError(f"{self._path(name)} is damaged ({error}): choose another --out") from None

    def read_small(self, name: str, limit: int) -> bytes | None:
        """A file that somebody else wrote, one byte more than `limit` at most; None if there is no such thing.

        Raises OSError for what is there and no file, or cannot be read.
        """
        path = self._path(name)
        kind = self.filesystem.get_file_info(path).type
        if kind == pafs.FileType.NotFound:
            if self.local_path(name).is_symlink():
                raise OSError("it is a link to nothing")
            return None
        if kind != pafs.FileType.File:
            raise OSError("it is not a file")
        with self.filesystem.open_input_stream(path) as file:
            return bytes(file.read(limit + 1))

    def write_text(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a small file, whole or not at all; one that holds these bytes already is left alone."""
        if not self._holds(name, data):
            with self.replacing(name) as file:
                file.write(data)

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write in place of one that may be there: whole, or not at all if the block raises."""
        temporary = self._temporary(name)
        with self.open_output(temporary) as file:
            yield file
        self.commit_file(temporary, name)

    def remove_file(self, name: str) -> None:
        """Remove a file of the build, if it is there."""
        self._delete(name)

    def clear_temporary(self) -> None:
        """Remove what an interrupted run left half written."""
        for folder in ("", *TABLES):
            for name in self.files(folder):
                if _TEMPORARY in name:
                    self._delete(posixpath.join(folder, name))

    def open_output(self, name: str) -> BinaryIO:
        """Open a new file of the build, making its folder."""
        path = self._path(name)
        self.filesystem.create_dir(posixpath.dirname(path), recursive=True)
        return self.filesystem.open_output_stream(path)  # type: ignore[no-any-return]  # pyarrow has no types

    def commit_file(self, temporary: str, name: str) -> None:
        """Give a written file its name, after its bytes have reached the disk."""
        source, target = self._path(temporary), self._path(name)
        local = isinstance(self.filesystem, pafs.LocalFileSystem)
        if local:
            _fsync(source)
        self.filesystem.move(source, target)
        if local:
            _fsync(posixpath.dirname(target))

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            with self.filesystem.open_input_stream(self._path(name)) as file:
                return bool(file.read(len(data) + 1) == data)
        except FileNotFoundError:
            return False

    def _temporary(self, name: str) -> str:
        folder, base = posixpath.split(name)
        return posixpath.join(folder, f"{_TEMPORARY}{os.getpid()}-{base}")

    def _delete(self, name: str) -> None:
        try:
            self.filesystem.delete_file(self._path(name))
        except FileNotFoundError:
            return

    def _path(self, name: str) -> str:
        return posixpath.join(self.root, name)


class PartWriter:
    """Collects the rows of one part, and streams their bytes into the part's tar."""

    def __init__(self, storage: Storage, table: str, name: str, digest: bool) -> None:
        self._storage = storage
        self._digest = digest
        self._table = table
        self._name = name
        self._schema = TABLES[table]
        self._parquet = f"{table}/{name}.parquet"
        self._tar = f"{table}/{name}.tar"
        self._temporary = {path: storage._temporary(path) for path in (self._parquet, self._tar)}
        self._file: BinaryIO | None = None
        self._writer: TarWriter | None = None
        self._rows: list[pa.Table] = []
        self._members = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows; a blob column may hold bytes, bundles of files, or references that are kept."""
        for column in (item.name for item in self._schema if item.type == BLOB):
            index = rows.column_names.index(column)
            rows = rows.set_column(index, column, self._stored(column, rows.column(column)))
        self._rows.append(rows.select(self._schema.names).cast(self._schema))

    def commit(self, fingerprint: str) -> None:
        """Give the tar, then the Parquet file, its name."""
        metadata = {_FINGERPRINT: fingerprint.encode()}
        self._storage.remove_part(self._table, self._name)
        if self._writer is not None and self._file is not None:
            facts = PartTar(path=self._tar, sha256=self._writer.close(), size=self._writer.size)
            self._file.close()
            self._storage.commit_file(self._temporary[self._tar], self._tar)
            metadata[_TAR] = json.dumps(facts.__dict__, sort_keys=True).encode()
        rows = pa.concat_tables(self._rows or [self._schema.empty_table()]).combine_chunks()
        metadata[_COLUMNS] = json.dumps(column_digests(rows)).encode()
        temporary = self._temporary[self._parquet]
        with self._storage.open_output(temporary) as file:
            pq.write_table(rows.replace_schema_metadata(metadata), file, compression="zstd")
        self._storage.commit_file(temporary, self._parquet)

    def abandon(self) -> None:
        """Remove what is left under temporary names; nothing after a commit."""
        if self._file is not None and not self._file.closed:
            self._file.close()
        for temporary in self._temporary.values():
            self._storage._delete(temporary)

    def _stored(self, column: str, values: pa.ChunkedArray) -> pa.Array:
        if values.type == BLOB:
            return values.combine_chunks()
        places: list[Mapping[str, str | int] | None] = []
        for value in values:
            if not value.is_valid:
                places.append(None)
            elif values.type == BUNDLE:
                places.append(self._put_bundle(value.as_py()))
            else:
                places.append(self.put(column, memoryview(value.as_buffer())))
        return pa.array(places, BLOB)

    def put(self, column: str, data: bytes | memoryview) -> Mapping[str, str | int]:
        """Put bytes into the part's tar; returns where they lie, as a `BLOB`."""
        start = bytes(data[:4])
        extension = next((e for magic, e in _EXTENSIONS.items() if start.startswith(magic)), "bin")
        offset = self._open().add(f"{self._members:05d}.{column}.{extension}", data)
        self._members += 1
        return {"path": self._tar, "offset": offset, "length": len(data)}

    def _put_bundle(self, files: list[dict[str, bytes]]) -> Mapping[str, str | int]:
        tar = self._open()
        start = tar.size
        for file in files:
            tar.add(str(file["name"]), file["data"])
        return {"path": self._tar, "offset": start, "length": tar.size - start}

    def _open(self) -> TarWriter:
        if self._writer is None:
            self._file = self._storage.open_output(self._temporary[self._tar])
            self._writer = TarWriter(self._file, self._digest)
        return self._writer


def _read_local(path: str, offset: int, length: int) -> bytes | None:
    """Part of a file, or all of it from offset 0: then a file that has grown is not the one that was meant."""
    with Path(path).open("rb") as file:
        file.seek(offset)
        data = file.read(length)
        grown = offset == 0 and bool(file.read(1))
    return data if len(data) == length and not grown else None


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
