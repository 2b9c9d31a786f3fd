"""What a build's `manifest.json` says of its shards."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.folders import Folder

MANIFEST = "manifest.json"
_MAX_BYTES = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 1 << 60


@dataclass(frozen=True)
class Index:
    """The file that says where in a shard each sample lies."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """One tar of a set; all but name and size is known of those that a manifest names."""

    name: str
    size: int
    split: str | None = None
    samples: int | None = None
    sha256: str | None = None
    index: Index | None = None


def read_manifest(folder: Folder) -> tuple[Shard, ...] | None:
    """The shards by name; None if the folder has no manifest. Raises StreamError if it makes no sense."""
    data = folder.read_text(MANIFEST, _MAX_BYTES)
    if data is None:
        return None
    try:
        shards = [_shard(entry) for entry in json.loads(data)["shards"]]
        if len({shard.name for shard in shards}) < len(shards):
            raise ValueError("a shard is named twice")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StreamError(
            f"{folder.shown}/{MANIFEST} is no manifest of ours ({error!r}): build the set again"
        ) from None
    return tuple(sorted(shards, key=lambda shard: shard.name))


def shards_digest(shards: Sequence[Shard]) -> str:
    """SHA-256 over what is known of the shards, hexadecimal."""
    return hashlib.sha256(json.dumps([astuple(shard) for shard in shards]).encode()).hexdigest()


def _shard(entry: Any) -> Shard:
    name, split, index = _text(entry, "name"), _text(entry, "split"), entry["index"]
    if not _NAME.fullmatch(name):
        raise ValueError(f"a shard is named {name[:100]!r}")
    index_name = f"{name.removesuffix('.tar')}.parquet"
    if _text(index, "name") != index_name:
        raise ValueError(f"the index of {name} is {_text(index, 'name')[:100]!r}")
    return Shard(
        name,
        _count(entry, "bytes"),
        split,
        _count(entry, "samples"),
        _sha256(entry),
        Index(index_name, _count(index, "bytes"), _sha256(index)),
    )


def _sha256(entry: Any) -> str:
    sha256 = _text(entry, "sha256")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"a SHA-256 is {sha256[:100]!r}")
    return sha256


def _text(entry: Any, field: str) -> str:
    value = entry[field]
    if not isinstance(value, str):
        raise TypeError(f"{field} is no text")
    return value


def _count(entry: Any, field: str) -> int:
    value = entry[field]
    if type(value) is not int or not 0 <= value < _MOST:
        raise TypeError(f"{field} is no whole number")
    return value
