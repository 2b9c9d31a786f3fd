"""Check one shard and its index against the manifest and against each other.

Both may be hostile: sizes are checked before anything is read, and nothing is extracted.
"""

import hashlib
import heapq
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.tar import BLOCK, read_members
from facerefs.pipeline.verify.sample import sample_faults
from facerefs.schemas.manifest import File, ShardFile
from facerefs.schemas.object_storage import is_failed_request
from facerefs.schemas.tables import LATER_COLUMNS, MAX_BLOB_BYTES, SAMPLES

_TAR = b"facerefs.tar"  # metadata key under which facerefs.pipeline.storage.folder writes size and hash of a part's tar
_CHUNK = 1 << 20
_MAX_INDEX_BYTES = 512 << 20  # of its columns in memory
_BATCH_ROWS = 64
_SHOWN = 5
_EARLIER = [field for field in SAMPLES if field.name not in LATER_COLUMNS["samples"]]
_INDEX_SCHEMAS = (SAMPLES, pa.schema(_EARLIER))


@dataclass(frozen=True)
class SamplePlace:
    """The location of a sample. Sorted by a hash of the key, so that the first few are a pseudo-random choice."""

    digest: str
    key: str
    shard: str
    offset: int
    length: int


@dataclass
class Found:
    """The result of checking one shard."""

    faults: list[tuple[str, str]] = field(default_factory=list)  # (file, fault)
    people: dict[str, str] = field(default_factory=dict)  # key of a sample -> identity
    places: list[SamplePlace] = field(default_factory=list)  # of the samples proposed for replay


def check_file(folder: FileStore, file: File | ShardFile) -> Iterator[str]:
    """The faults of a file as a whole: missing, wrong size, wrong bytes. Raises OSError if a server fails."""
    try:
        info = folder.info(file.name)
        if not info.is_file:
            yield "is not there"
        elif info.size != file.bytes:
            yield f"has {info.size} bytes and should have {file.bytes}: cut short, or of another build"
        elif (digest := _digest(folder, file.name)) != file.sha256:
            yield _other_bytes(digest, file.sha256)
    except OSError as error:
        yield _unreadable(error)


def check_shard(folder: FileStore, shard: ShardFile, replay: int, parsers: Collection[str] = ()) -> Found:
    """Check a shard and its index. replay: the number of samples to propose for replay. parsers: as in the manifest."""
    found = Found()
    found.faults += [(shard.index.name, what) for what in check_file(folder, shard.index)]
    rows = [] if found.faults else _index(folder, shard, found)
    faults = _shard_faults(folder, shard, rows, parsers)
    more = [f"{len(faults) - _SHOWN} more faults in its samples"] if len(faults) > _SHOWN else []
    found.faults += [(shard.name, what) for what in [*faults[:_SHOWN], *more]]
    if not faults:
        found.people = {row["key"]: row["identity"] for row in rows}
        found.places = heapq.nsmallest(replay, map(_place, rows), key=lambda place: place.digest)
    return found


def _shard_faults(
    folder: FileStore, shard: ShardFile, rows: list[dict[str, Any]], parsers: Collection[str]
) -> list[str]:
    """The faults of a shard as a whole, or else of the samples in it."""
    if not folder.exists(shard.name):
        return ["is not there"]
    faults: list[str] = []
    digest = hashlib.sha256()
    try:
        with folder.open_to_read(shard.name) as file:
            for row in rows:
                faults += _next_sample(file, digest, row, parsers)
            size, zeros = sum(row["files"]["length"] for row in rows), 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                zeros += chunk.count(0)
    except OSError as error:
        return [_unreadable(error)]
    if digest.hexdigest() != shard.sha256:
        return [_other_shard(folder, shard, size, digest.hexdigest())]
    if rows and zeros != 2 * BLOCK:
        faults.append("does not end with two blocks of zeros")
    return faults


def sample_at(folder: FileStore, place: SamplePlace) -> dict[str, bytes]:
    """The files of a checked sample, by name after the key, such as `gt.jpg`."""
    with folder.filesystem.open_input_file(folder.full_path(place.shard)) as file:
        members = read_members(file.read_at(place.length, place.offset))
    return {name.removeprefix(f"{place.key}."): data for name, data in members.items()}


def _index(folder: FileStore, shard: ShardFile, found: Found) -> list[dict[str, Any]]:
    """The accepted rows of an index whose SHA-256 is right. Empty, with a fault in `found`, if they are invalid."""
    rows: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(folder.full_path(shard.index.name), filesystem=folder.filesystem) as file:
            if not any(file.schema_arrow.remove_metadata().equals(known) for known in _INDEX_SCHEMAS):
                raise ValueError("its columns are others")
            for batch in _batches(file):
                rows += [row for row in batch.to_pylist() if row["reject"] is None]
                if len(rows) > shard.samples:
                    raise ValueError(f"it holds more than the {shard.samples} samples of the manifest")
    except (OSError, ValueError, pa.ArrowException) as error:
        found.faults.append((shard.index.name, f"is no index of samples ({error})"))
        return []
    if faults := list(_disagreements(rows, shard)):
        found.faults.append((shard.index.name, f"does not agree with its shard: {faults[0]}"))
        return []
    return rows


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """The rows in small batches: a footer cannot be trusted, and a kilobyte may unpack to terabytes."""
    size = 0
    for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
        size += batch.nbytes
        if size > _MAX_INDEX_BYTES:
            raise ValueError("it unpacks to more than 512 MB")
        batch.validate(full=True)
        yield batch


def _disagreements(rows: list[dict[str, Any]], shard: ShardFile) -> Iterator[str]:
    if len(rows) != shard.samples:
        yield f"it holds {len(rows)} samples, the manifest says {shard.samples}"
    keys = [row["key"] for row in rows]
    if keys != sorted(set(keys)):
        yield "its keys are not in order, or one is there twice"
    end = 0
    for row in rows:
        place = row["files"] or {"path": None, "offset": None, "length": 0}
        if place["path"] != f"samples/{shard.name}" or place["offset"] != end:
            yield f"{row['key']} does not begin where the sample before it ends"
            return
        length = int(place["length"] or 0)
        if not 0 < length <= MAX_BLOB_BYTES or length % BLOCK:
            yield f"{row['key']} has {length} bytes"
            return
        if row["split"] != shard.split or None in (row["identity"], row["references"], row["theta"]):
            yield f"{row['key']} is of the split {row['split']}, or lacks its identity, references or theta"
        end += length
    if end + 2 * BLOCK != shard.bytes:
        yield f"its samples end at byte {end}, and the shard has {shard.bytes}"


def _next_sample(file: BinaryIO, digest: Any, row: dict[str, Any], parsers: Collection[str]) -> Iterator[str]:
    data = file.read(row["files"]["length"])
    digest.update(data)
    for what in sample_faults(data, row, parsers):
        yield f"sample {row['key']} {what}"


def _place(row: dict[str, Any]) -> SamplePlace:
    at, key = row["files"], row["key"]
    shard = at["path"].removeprefix("samples/")
    return SamplePlace(hashlib.sha256(key.encode()).hexdigest(), key, shard, at["offset"], at["length"])


def _digest(folder: FileStore, name: str) -> str:
    with folder.open_to_read(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has `readinto`


def _unreadable(error: OSError) -> str:
    if is_failed_request(error):
        raise error
    return f"cannot be read ({error.strerror or error})"


def _other_bytes(digest: str, wanted: str) -> str:
    return f"has other bytes (SHA-256 {digest[:12]}..., not {wanted[:12]}...): damaged, or of another build"


def _other_shard(folder: FileStore, shard: ShardFile, size: int, digest: str) -> str:
    """Why a shard differs from the manifest. Its own index can show that it is whole, but of another build."""
    try:
        index = folder.full_path(shard.index.name)
        metadata = pq.read_metadata(index, filesystem=folder.filesystem).metadata or {}
        made = json.loads(metadata.get(_TAR, b"{}"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException):
        made = None
    if made == digest:
        return "is whole, but of another build, as its index is"
    if size != shard.bytes:
        return f"has {size} bytes and should have {shard.bytes}: cut short, or of another build"
    return _other_bytes(digest, shard.sha256)
