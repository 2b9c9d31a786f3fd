"""A set of shards: its samples, and the position of each."""

import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.manifest import MANIFEST_FILE
from facerefs.schemas.shard_files import second_copies, tars_in
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.columns import SampleColumns, joined
from facerefs.trainers.stream.shards.folders import Folder, LocalFolder, folder_at
from facerefs.trainers.stream.shards.manifest import StreamShard, read_manifest, shards_digest
from facerefs.trainers.stream.shards.parquet_index import codes_in, read_index
from facerefs.trainers.stream.shards.tar_index import scan_tar

_log = logging.getLogger(__name__)
_READERS = 8


@dataclass(frozen=True)
class ShardSet:
    """The samples of a folder of shards; row i is the i-th sample, with the shards sorted by name."""

    folder: Folder
    shards: tuple[StreamShard, ...]
    digest: str  # SHA-256 that identifies the set, hexadecimal
    columns: SampleColumns
    shard: NDArray[np.int32]  # for each row, the index of its shard in `shards`
    synthesised: int  # number of references made from their target; 0 without an index
    references: int  # number of all references; 0 without an index

    def __len__(self) -> int:
        return len(self.columns)

    def key(self, row: int) -> str:
        """The key of a sample."""
        return bytes(self.columns.keys[row]).decode(errors="replace")


def open_shards(place: str | Path, split: str | None = None, cache: ShardCache | None = None) -> ShardSet:
    """The samples of a folder of shards: a path, or an address that fsspec understands, which needs a manifest.

    split: takes the shards that the manifest assigns to this split; without a manifest, the tars whose names begin
        with `SPLIT-`. None takes all.
    Raises StreamError if there is nothing to read, or if shards, indexes and manifest do not fit together.
    """
    folder = folder_at(place, cache or ShardCache())
    shards = read_manifest(folder)
    if shards is None:
        return _scanned(folder, split)
    wanted = tuple(shard for shard in shards if shard.samples and split in (None, shard.split))
    if not wanted:
        splits = ", ".join(sorted({str(shard.split) for shard in shards})) or "nothing"
        raise StreamError(f"{folder.shown} has no samples of split {split!r}, it has {splits}")
    for shard in wanted:
        folder.check(shard.name, shard.size)
    people: dict[str | None, int] = {}
    parts, codes, synthesised, references = [], [], 0, 0
    with ThreadPoolExecutor(_READERS) as pool:
        for index in pool.map(lambda shard: read_index(folder, shard), wanted):
            parts.append(index.columns)
            codes.append(codes_in(people, index))
            synthesised += index.synthesised
            references += index.references
    columns = joined(parts, np.concatenate(codes) if None not in people else None)
    digest = shards_digest(wanted)
    return ShardSet(folder, wanted, digest, columns, _shard_of_rows(parts), synthesised, references)


def _scanned(folder: Folder, split: str | None) -> ShardSet:
    if not isinstance(folder, LocalFolder):
        raise StreamError(
            f"{folder.shown} has no {MANIFEST_FILE}: copy the tars to a folder of this machine, "
            "where they can be scanned"
        )
    prefix = "" if split is None else f"{split}-"
    tars = _tars(folder)
    names = [name for name in tars if name.startswith(prefix)]
    if not names:
        raise StreamError(
            f"{folder.shown} has no {MANIFEST_FILE} and no {prefix}*.tar{_way_out(folder, tars)}"
        )
    shards = tuple(StreamShard(name, folder.size(name), split) for name in names)
    parts = [_scan(folder, shard) for shard in shards]
    digest = hashlib.sha256(shards_digest(shards).encode())
    for part in parts:
        for column in (part.keys, part.offsets, part.lengths):
            digest.update(column.tobytes())
    return ShardSet(folder, shards, digest.hexdigest(), joined(parts, None), _shard_of_rows(parts), 0, 0)


def _tars(folder: LocalFolder) -> list[str]:
    """The names of the tars in a folder; a second copy of one would give all of its samples twice."""
    tars = tars_in(folder.path)
    copies = second_copies(tars)
    if copies:
        names = ", ".join(path.name for path in copies[:3])
        _log.warning("%s: %d second copies of tars are left out: %s", folder.shown, len(copies), names)
    return [path.name for path in tars if path not in copies]


def _way_out(folder: LocalFolder, tars: list[str]) -> str:
    if tars:
        return f", but {len(tars)} other tars: give split None to take them all"
    if (folder.path / "samples" / MANIFEST_FILE).is_file():
        return f": give {folder.path / 'samples'}"
    return ": give the folder of the shards"


def _scan(folder: LocalFolder, shard: StreamShard) -> SampleColumns:
    descriptor = folder.open(shard.name, shard.size, None)
    try:
        columns, damage = scan_tar(descriptor, str(folder.path / shard.name))
    finally:
        os.close(descriptor)
    if damage is not None:
        _log.warning("%s", damage)
    return columns


def _shard_of_rows(parts: list[SampleColumns]) -> NDArray[np.int32]:
    return np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
