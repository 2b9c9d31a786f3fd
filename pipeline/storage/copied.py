"""Copies bytes from the tars of one build into those of another."""

import hashlib
import posixpath
from typing import Any

import pyarrow as pa

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.part_writer import PartWriter
from facerefs.schemas.object_storage import is_address
from facerefs.schemas.tables import BLOB


def copied(rows: pa.Table, column: str, hashes: str | None, source: Storage, part: PartWriter) -> pa.Table:
    """The rows with the bytes of a `BLOB` column in the tar of `part`; references to files outside of builds stay.

    hashes: the column with the SHA-256 of the bytes, filled in where it is null. Raises RunError for damaged bytes.
    """
    places = rows[column].to_pylist()
    wanted = [None] * len(rows) if hashes is None else rows[hashes].to_pylist()
    for number, place in enumerate(places):
        if place is not None and _is_in_build(place["path"]):
            data = _read(source, place, wanted[number])
            places[number] = part.put(column, data)
            wanted[number] = wanted[number] or hashlib.sha256(data).hexdigest()
    rows = _with(rows, column, pa.array(places, BLOB))
    return rows if hashes is None else _with(rows, hashes, pa.array(wanted, pa.string()))


def _with(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    at = rows.column_names.index(column)
    return rows.set_column(at, rows.schema.field(column), values)


def _is_in_build(path: str) -> bool:
    return not (posixpath.isabs(path) or is_address(path))


def _read(source: Storage, place: dict[str, Any], wanted: str | None) -> bytes:
    data = source.read_blob(**place)
    if data is None or (wanted is not None and hashlib.sha256(data).hexdigest() != wanted):
        raise RunError(
            f"{posixpath.join(source.address, place['path'])} is damaged (bytes {place['offset']} to "
            f"{place['offset'] + place['length']}): delete it, and run the facerefs build that made it again",
            again=False,
        )
    return data
