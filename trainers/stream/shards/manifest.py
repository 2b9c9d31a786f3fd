"""The shards of a set, listed by its `manifest.json` (`facerefs.schemas.manifest`) or found in a folder."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from facerefs.schemas.manifest import MANIFEST_FILE, MAX_BYTES, File, parse_shards
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.folders import Folder


@dataclass(frozen=True)
class StreamShard:
    """One tar of a set. Without a manifest only name and size are known, and `split` is the requested one."""

    name: str
    size: int
    split: str | None = None
    samples: int | None = None
    sha256: str | None = None
    index: File | None = None


def read_manifest(folder: Folder) -> tuple[StreamShard, ...] | None:
    """The shards, sorted by name; None if the folder has no manifest. Raises StreamError for an invalid manifest."""
    data = folder.read_text(MANIFEST_FILE, MAX_BYTES)
    if data is None:
        return None
    try:
        shards = parse_shards(data)
    except ValueError as error:
        raise StreamError(f"{folder.shown}/{MANIFEST_FILE} {error}: build the set again") from None
    named = (
        StreamShard(one.name, one.bytes, one.split, one.samples, one.sha256, one.index) for one in shards
    )
    return tuple(sorted(named, key=lambda shard: shard.name))


def shards_digest(shards: Sequence[StreamShard]) -> str:
    """SHA-256 of all fields of the shards, hexadecimal."""
    return hashlib.sha256(json.dumps([astuple(shard) for shard in shards]).encode()).hexdigest()
