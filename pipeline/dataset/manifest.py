"""`samples/manifest.json`: the files of a training set with their sizes and hashes, and one hash over all of it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError, with_config

from facerefs.stages.degrade.recipe import Recipe

VERSION: Literal[2] = 2
MAX_BYTES = 64 << 20  # of about 150,000 shards

Size = Annotated[int, Ge(0)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_STRICT = ConfigDict(extra="forbid", strict=True)


@with_config(_STRICT)
@dataclass(frozen=True)
class File:
    """A file beside the manifest."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[0-9]{5,9})?\.[a-z]+$")]
    bytes: Size
    sha256: Sha256


@with_config(_STRICT)
@dataclass(frozen=True)
class ShardFile:
    """A shard, and the index that says where in it each sample lies."""

    name: Annotated[str, StringConstraints(pattern=r"^(train|val|test)-[0-9]{5,9}\.tar$")]
    split: Literal["train", "val", "test"]
    samples: Size
    bytes: Size
    sha256: Sha256
    index: File


@with_config(_STRICT)
@dataclass(frozen=True)
class Manifest:
    """What lies in `samples/`, all of it a function of the tables alone."""

    version: Literal[2]
    recipe: Recipe  # all numbers that thetas were drawn from
    seed: Size
    shards: tuple[ShardFile, ...]
    indexes_only: tuple[File, ...]  # of shards all of whose samples were rejected: they have no tar
    documents: tuple[File, ...]  # photos.csv and croissant.json; README.md is for people, who may edit it

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of it, hashes of all files included: it names this very training set."""
        return hashlib.sha256(_json(asdict(self)).encode()).hexdigest()


def as_read(recipe: Recipe) -> Recipe:
    """The same recipe with floats where JSON gives floats, so that it is written as it was read."""
    return TypeAdapter(Recipe).validate_python(asdict(recipe))


def written(manifest: Manifest) -> str:
    """The manifest as text: JSON with sorted keys, its fingerprint in it."""
    return _json(asdict(manifest) | {"fingerprint": manifest.fingerprint})


def parsed(text: str) -> Manifest:
    """A manifest from its text.

    Raises ValueError with one sentence: not JSON, fields that are missing, unknown or wrong, or text that is not
    what `written` gives, fingerprint included: somebody changed it.
    """
    try:
        tree: Any = json.loads(text)
        if isinstance(tree, dict) and type(tree.get("version")) is int and tree["version"] != VERSION:
            raise ValueError(f"version {tree['version']:.20g}: of another version of facerefs")
        fingerprint = tree.pop("fingerprint", None)
        manifest = TypeAdapter(Manifest).validate_json(json.dumps(tree))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"is no manifest of version {VERSION}: {place}: {first['msg']:.200}") from None
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(f"is no manifest of version {VERSION} ({error!r:.100})") from None
    if fingerprint != manifest.fingerprint or text != written(manifest):
        raise ValueError("was changed after it was written: its fingerprint is of another manifest")
    _check_names(manifest)
    return manifest


def _check_names(manifest: Manifest) -> None:
    """Each file once, and each index beside its shard."""
    names = [shard.name for shard in manifest.shards]
    names += [file.name for file in (*manifest.indexes_only, *manifest.documents)]
    if len(set(names)) < len(names):
        raise ValueError("names a file twice")
    for shard in manifest.shards:
        stem = shard.name.removesuffix(".tar")
        if shard.index.name != f"{stem}.parquet" or f"{stem}.parquet" in names or shard.split not in stem:
            raise ValueError(f"has a shard {shard.name} of another split, or with the index of another")


def _json(tree: dict[str, Any]) -> str:
    return json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n"
