"""The index that a build writes beside each shard: a Parquet file of table `samples` (schemas/tables.py)."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.tar_members import BLOCK
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.columns import MAX_KEY_BYTES, MAX_SAMPLE_BYTES, SampleColumns
from facerefs.trainers.stream.shards.folders import Folder
from facerefs.trainers.stream.shards.manifest import StreamShard

_COLUMNS = ("key", "identity", "files.path", "files.offset", "files.length", "target", "references")
_BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class ShardIndex:
    """The samples of a shard, the names of its people with a code for each sample, and numbers of references."""

    columns: SampleColumns
    names: list[str | None]
    codes: NDArray[np.int32]
    synthesised: int  # number of references made from their target
    references: int  # number of all references


def read_index(folder: Folder, shard: StreamShard) -> ShardIndex:
    """The index of a shard of a build. Raises StreamError if it is missing or does not fit the shard."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise StreamError(
            "the index of a build is read with pyarrow, which is not here: pip install pyarrow"
        ) from None

    said = shard.index
    assert said is not None  # noqa: S101  # set for all shards in a manifest
    descriptor = folder.open(said.name, said.bytes, said.sha256)
    try:
        with os.fdopen(descriptor, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != said.sha256:
                raise ValueError("its SHA-256 is not the one in the manifest")
            index = pq.ParquetFile(file)
            if index.metadata.num_rows > shard.size // BLOCK:
                raise ValueError("it has more rows than the shard has blocks")
            batches = index.iter_batches(_BATCH_ROWS, columns=list(_COLUMNS))
            parts = [_part(pa.Table.from_batches([batch]), shard) for batch in batches]
        return _joined(parts, shard)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise StreamError(
            f"{folder.shown}/{said.name} is no index of {shard.name} ({reason}): copy it again, or build the set again"
        ) from None


def _part(rows: Any, shard: StreamShard) -> ShardIndex:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.filter(pc.is_valid(rows.column("files")))  # the others are rejected
    keys = rows.column("key").cast(pa.binary()).combine_chunks()
    if (pc.max(pc.binary_length(keys)).as_py() or 0) > MAX_KEY_BYTES:
        raise ValueError(f"a key has more than {MAX_KEY_BYTES} bytes")
    files = rows.column("files").combine_chunks()
    for path in pc.unique(files.field("path")).to_pylist():
        if str(path).rpartition("/")[2] != shard.name:
            raise ValueError(f"it refers to {str(path)[:100]}")
    offsets = _numbers(files.field("offset"))
    lengths = _numbers(files.field("length"))
    fits = (
        (offsets >= 0)
        & (lengths >= BLOCK)
        & (lengths <= MAX_SAMPLE_BYTES)
        & (offsets <= shard.size - lengths)
    )
    if not fits.all():
        raise ValueError("a sample lies outside the shard")
    people = rows.column("identity").combine_chunks().dictionary_encode(null_encoding="encode")
    codes = people.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    columns = SampleColumns(np.array(keys.to_pylist(), "S"), offsets, lengths, None)
    return ShardIndex(columns, people.dictionary.to_pylist(), codes, *_references(rows))


def _references(rows: Any) -> tuple[int, int]:
    """The number of synthesised references, those whose face is the target itself, and of all."""
    import pyarrow.compute as pc

    target, references = (rows.column(name).combine_chunks() for name in ("target", "references"))
    own = target.take(pc.list_parent_indices(references))
    made = pc.equal(pc.list_flatten(references), own)
    return int(pc.sum(made).as_py() or 0), len(made)


def _numbers(column: Any) -> NDArray[np.int64]:
    if column.null_count:
        raise ValueError("a sample has no place")
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)


def _joined(parts: list[ShardIndex], shard: StreamShard) -> ShardIndex:
    from facerefs.trainers.stream.shards.columns import joined

    columns = joined([part.columns for part in parts], None)
    if shard.samples is not None and len(columns) != shard.samples:
        raise ValueError(f"it has {len(columns)} samples, the manifest says {shard.samples}")
    known: dict[str | None, int] = {}
    codes = [np.empty(0, np.int32), *(codes_in(known, part) for part in parts)]
    made, every = (sum(getattr(part, name) for part in parts) for name in ("synthesised", "references"))
    return ShardIndex(columns, list(known), np.concatenate(codes), made, every)


def codes_in(known: dict[str | None, int], index: ShardIndex) -> NDArray[np.int32]:
    """The identity of each sample of the index, as codes of `known`; new people are added to `known`."""
    there = [known.setdefault(name, len(known)) for name in index.names]
    return np.array(there, np.int32)[index.codes] if there else np.empty(0, np.int32)
