"""Writes one part of a table: its Parquet file, and the tar that holds the bytes of its rows."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from facerefs.pipeline.storage.blobs import blob_folder, tar_name
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.fingerprint import column_digests, text_digest
from facerefs.pipeline.storage.tar import TarWriter
from facerefs.schemas.tables import BLOB, BUNDLE, TABLES

# In the metadata of the Parquet file.
FINGERPRINT_KEY = b"facerefs.fingerprint"
COLUMNS_KEY = b"facerefs.columns"
# Parquet has statistics of it, but pyarrow aborts the process if it is asked for those of a damaged footer.
EMPTY_KEY = b"facerefs.empty"
TAR_KEY = b"facerefs.tar"
CHECK_KEY = b"facerefs.check"  # a digest of the others
_EXTENSIONS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif"}


@dataclass(frozen=True)
class PartTar:
    """The path, size and hash of a part's tar, as they stand in the footer of its Parquet file."""

    path: str  # relative to the build's folder
    size: int
    sha256: str | None  # None where each row has the hash of its own bytes

    def text(self) -> bytes:
        """As it stands in the footer."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def write_rows(storage: FileStore, path: str, rows: pa.Table, metadata: dict[bytes, bytes]) -> None:
    """Write the Parquet file of a part, whole or not at all; its footer gets the metadata and the columns' digests."""
    empty = [name for name in rows.column_names if len(rows) and rows[name].null_count == len(rows)]
    metadata = metadata | {
        COLUMNS_KEY: json.dumps(column_digests(rows)).encode(),
        EMPTY_KEY: json.dumps(empty).encode(),
    }
    metadata |= {CHECK_KEY: metadata_digest(metadata)}
    write_parquet(storage, path, rows.replace_schema_metadata(metadata))


def metadata_digest(metadata: Mapping[bytes, bytes]) -> bytes:
    """The value of `CHECK_KEY` for what else we write into a footer."""
    own = (FINGERPRINT_KEY, COLUMNS_KEY, EMPTY_KEY, TAR_KEY)
    return text_digest(*(metadata.get(key, b"").decode(errors="replace") for key in own)).encode()


class PartWriter:
    """Collects the rows of one part, and writes their bytes into the part's tar as they come."""

    def __init__(self, storage: FileStore, table: str, name: str, digest: bool) -> None:
        self._storage = storage
        self._digest = digest
        self._table = table
        self._schema = TABLES[table]
        self._parquet = f"{table}/{name}.parquet"
        self._tar = tar_name(table, name)
        self._temporary_tar = storage.temporary_name(self._tar)
        self._file: BinaryIO | None = None
        self._writer: TarWriter | None = None
        self._rows: list[pa.Table] = []
        self._members = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows; a blob column may hold bytes, bundles of files, or references that are kept."""
        for column in (item.name for item in self._schema if item.type == BLOB):
            if rows.column(column).type == BLOB:
                continue
            stored = [self._stored(column, value) for value in rows.column(column)]
            rows = _replaced(rows, column, pa.array([place for place, _ in stored], BLOB))
            if (name := f"{column}_sha256") in self._schema.names:
                rows = _replaced(rows, name, pa.array([digest for _, digest in stored], pa.string()))
        self._rows.append(rows.select(self._schema.names).cast(self._schema))

    def add_copies(self, rows: pa.Table, column: str, blocks: Sequence[bytes]) -> None:
        """Add rows of an earlier part, whose bundles in a column are copied as they are: runs of whole tar blocks."""
        places = [self._place(self._open().append(bundle)) for bundle in blocks]
        self.add(_replaced(rows, column, pa.array(places, BLOB)))

    def commit(self, fingerprint: str) -> None:
        """Finish the part: give the tar, then the Parquet file, its name."""
        metadata = {FINGERPRINT_KEY: fingerprint.encode()}
        self._storage.remove_file(self._parquet)  # first, since a part with one counts as finished
        self._storage.remove_file(self._tar)
        if self._writer is not None and self._file is not None:
            facts = PartTar(path=self._tar, sha256=self._writer.close(), size=self._writer.size)
            self._file.close()
            self._storage.commit_file(self._temporary_tar, self._tar)
            metadata[TAR_KEY] = facts.text()
        rows = pa.concat_tables(self._rows or [self._schema.empty_table()]).combine_chunks()
        write_rows(self._storage, self._parquet, rows, metadata)

    def abandon(self) -> None:
        """Remove the temporary files; after a commit there are none."""
        if self._file is not None and not self._file.closed:
            self._file.close()
        self._storage.remove_temporary(self._temporary_tar)
        self._storage.remove_temporary(_temporary_parquet(self._storage, self._parquet))

    def _stored(self, column: str, value: pa.Scalar) -> tuple[Mapping[str, str | int] | None, str | None]:
        """The reference to bytes or to a bundle that are now in the part's tar, and their SHA-256."""
        if not value.is_valid:
            return None, None
        if value.type == BUNDLE:
            blocks = _bundled(value.as_py())
            return self._place(self._open().append(blocks)), hashlib.sha256(blocks).hexdigest()
        data = memoryview(value.as_buffer())
        return self.put(column, data), hashlib.sha256(data).hexdigest()

    def put(self, column: str, data: bytes | memoryview) -> Mapping[str, str | int]:
        """Write bytes into the part's tar; returns the reference to them, a `BLOB`."""
        start = bytes(data[:4])
        extension = next((e for magic, e in _EXTENSIONS.items() if start.startswith(magic)), "bin")
        offset = self._open().add(f"{self._members:05d}.{column}.{extension}", data)
        self._members += 1
        return {"path": self._tar, "offset": offset, "length": len(data)}

    def _place(self, start: int) -> Mapping[str, str | int]:
        """The reference to all that was written from an offset on."""
        return {"path": self._tar, "offset": start, "length": self._open().size - start}

    def _open(self) -> TarWriter:
        if self._writer is None:
            self._file = self._storage.open_temporary(self._temporary_tar)
            self._writer = TarWriter(self._file, self._digest)
        return self._writer


def _bundled(files: list[dict[str, bytes]]) -> bytes:
    """The files of a bundle as members of a tar."""
    blocks = io.BytesIO()
    tar = TarWriter(blocks, digest=False)
    for file in files:
        tar.add(str(file["name"]), file["data"])
    return blocks.getvalue()


def _replaced(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    """The rows with other values in a column, which they may lack."""
    if column not in rows.column_names:
        return rows.append_column(column, values)
    return rows.set_column(rows.column_names.index(column), column, values)


def write_parquet(storage: FileStore, name: str, rows: pa.Table) -> None:
    """Write the Parquet file of a part, whole or not at all."""
    temporary = _temporary_parquet(storage, name)
    with storage.open_temporary(temporary) as file:
        pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
    storage.commit_file(temporary, name)


def _temporary_parquet(storage: FileStore, name: str) -> str:
    """Not in the folder of the table, where a reader would take an unfinished file for a part."""
    table, _, file = name.partition("/")
    return storage.temporary_name(f"{blob_folder(table)}/{file}")
