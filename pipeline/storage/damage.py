"""Finds parts whose files changed after they were written, before a build uses them.

A part is checked as a whole if the size or time of its file or of its tar is not the one in the catalogue: a build
with nothing to do only lists folders. What is damaged is removed, so that the stage makes it anew.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facerefs.pipeline.storage.blobs import blob_folder, tar_name
from facerefs.pipeline.storage.catalogue import Catalogue, Entry, kept_entries
from facerefs.pipeline.storage.fingerprint import column_digests
from facerefs.pipeline.storage.folder import Part, Storage
from facerefs.pipeline.storage.part_writer import CHECK_KEY, TAR_KEY, PartTar, metadata_digest, write_rows
from facerefs.schemas.object_storage import is_failed_request
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import LATER_COLUMNS, TABLES

_CHUNK = 1 << 20
_FETCHED = (
    "downloads"  # a part of it is never removed for the sake of some of its photos: the web may not have them
)


@dataclass(frozen=True)
class Damage:
    """A damaged file of a part of a table, what is wrong with it, and what became of it."""

    table: str
    file: str
    what: str
    way: str = "it is made anew"

    def __str__(self) -> str:
        return f"{self.file} {self.what}: {self.way}"


def mend(storage: Storage, every_file: bool = False) -> Iterator[Damage]:
    """Yield what is damaged in the parts of a build, each part removed, or its damaged photos marked to be fetched.

    every_file: check also files whose size and time are the ones that the catalogue knows.
    """
    for table in TABLES:
        kept = kept_entries(storage, table)
        files = {info.base_name: info for info in storage.listed(table)}
        tars = {info.base_name: info for info in storage.listed(blob_folder(table))}
        for name in storage.parts_in(files):
            entry = kept.get(name)
            if (
                entry is not None
                and not every_file
                and entry.is_of(files[f"{name}.parquet"], tars.get(f"{name}.tar"))
            ):
                continue
            damage = _mended(storage, table, name, entry)
            if damage is not None:
                yield damage
        Catalogue.of(storage, table)  # what was found whole is not checked again


def _mended(storage: Storage, table: str, name: str, entry: Entry | None) -> Damage | None:
    """The damage of a part, of which what is to be made again is now removed; None if it is whole."""
    file = f"{table}/{name}.parquet"
    data = _bytes(storage, file)
    fault = _table_fault(table, name, data, entry)
    if fault is not None:
        storage.remove_part(table, name)
        return Damage(table, file, fault, "its photos are fetched again" if table == _FETCHED else Damage.way)
    tar = _tar_of(data)
    if tar is None:
        return None
    if tar.sha256 is None:
        return _mended_photos(storage, table, name, tar)
    fault = _tar_fault(storage, tar)
    if fault is None:
        return None
    storage.remove_part(table, name)
    return Damage(table, tar.path, fault)


def _bytes(storage: Storage, name: str) -> bytes:
    with storage.open_to_read(name) as file:
        return bytes(file.read())


def _table_fault(table: str, name: str, data: bytes, entry: Entry | None) -> str | None:
    """What is wrong with the bytes of a part's Parquet file; None if they are what was written."""
    if entry is not None and hashlib.sha256(data).hexdigest() == entry.sha256:
        return None
    try:
        footer = pq.read_metadata(pa.BufferReader(data))
        part = Part.of("", footer)
        rows = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        rows.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        return f"is damaged ({' '.join(str(error).split())[:120]})"
    if (check := (footer.metadata or {}).get(CHECK_KEY)) is not None and check != metadata_digest(
        footer.metadata
    ):
        return "is damaged (what its footer says of it was changed)"
    if (fault := _row_fault(table, name, part, rows)) is not None:
        return fault
    if entry is not None and (part.fingerprint, part.columns) == (entry.part.fingerprint, entry.part.columns):
        return "is damaged (its rows are right, but some of its bytes are others)"
    return None


def _row_fault(table: str, name: str, part: Part, rows: pa.Table) -> str | None:
    """Why the rows, or the footer with what it says of them, are not those that were written."""
    if part.tar is not None and part.tar.path != tar_name(table, name):
        return "is damaged (it names a tar that is not its own)"
    if not _has_columns(table, rows.schema):
        return "is damaged (its columns are others)"
    # As the schema has it: what Parquet adds to fields that were read would change the digests.
    written = rows.cast(pa.schema([TABLES[table].field(name) for name in rows.column_names]))
    if part.columns and column_digests(written) != dict(part.columns):
        return "is damaged (its values are not those that were written)"
    return None


def _has_columns(table: str, schema: pa.Schema) -> bool:
    """Whether these are the columns of a table, of which the later ones may be missing."""
    later = LATER_COLUMNS.get(table, ())
    wanted = [field for field in TABLES[table] if field.name in schema.names or field.name not in later]
    return bool(pa.schema(wanted).equals(schema.remove_metadata()))


def _tar_of(data: bytes) -> PartTar | None:
    return Part.of("", pq.read_metadata(pa.BufferReader(data))).tar


def _tar_fault(storage: Storage, tar: PartTar) -> str | None:
    digest, size = hashlib.sha256(), 0
    try:
        with storage.open_to_read(tar.path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        if is_failed_request(error):
            raise
        return f"cannot be read ({error.strerror or error})"
    if size != tar.size:
        return f"is damaged ({size} bytes instead of {tar.size})"
    return None if digest.hexdigest() == tar.sha256 else "is damaged (other bytes than were written)"


def _mended_photos(storage: Storage, table: str, name: str, tar: PartTar) -> Damage | None:
    """The damage of a tar whose rows have the hashes of their photos; the damaged ones are now to be fetched again."""
    rows = storage.read(table, name)
    places, hashes = rows.column("photo").to_pylist(), rows.column("sha256").to_pylist()
    damaged = [
        place is not None and _digest_at(storage, place) != sha256
        for place, sha256 in zip(places, hashes, strict=True)
    ]
    size = storage.info(tar.path).size
    if not any(damaged) and size == tar.size:
        return None
    mask = pa.array(damaged, pa.bool_())
    lost = {
        "photo": pa.nulls(len(rows), rows.schema.field("photo").type),
        "reject": pa.array([str(Reject.CONNECTION_LOST)] * len(rows), pa.string()),
        "reject_detail": pa.array(["the photo that was fetched is damaged"] * len(rows), pa.string()),
    }
    for column, values in lost.items():
        index = rows.column_names.index(column)
        rows = rows.set_column(index, column, pc.if_else(mask, values, rows.column(column)))
    there = PartTar(tar.path, size or 0, None)
    metadata = {TAR_KEY: there.text()} if size is not None else {}
    write_rows(storage, f"{table}/{name}.parquet", rows.cast(TABLES[table]), metadata)
    return Damage(table, tar.path, f"is damaged ({sum(damaged)} of its photos)", "they are fetched again")


def _digest_at(storage: Storage, place: dict[str, Any]) -> str | None:
    data = storage.read_blob(**place)
    return None if data is None else hashlib.sha256(data).hexdigest()
