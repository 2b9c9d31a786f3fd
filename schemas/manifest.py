"""`manifest.json` of a training set: its files with sizes and hashes, and one hash over all of it. The one definition.

The build writes it last, `facerefs verify` reads all of it and believes nothing that was changed, and the stream reads
the shards in it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from facerefs.schemas.fields import Field, ListOf, Object, Text, Whole
from facerefs.schemas.operations import shown
from facerefs.schemas.sample import SPLITS, VERSION

MANIFEST_FILE = "manifest.json"
MAX_BYTES = 64 << 20
"""Of about 150,000 shards."""

_SIZE = Whole(0, 1 << 60)
_SHA256 = Text(64, pattern="[0-9a-f]{64}", form="64 digits, 0-9 and a-f")
# Nothing that leads out of the folder.
_NAME = Text(205, pattern=r"[A-Za-z0-9_][A-Za-z0-9._-]*", form="a plain name")
_TAR = Text(205, pattern=r"[A-Za-z0-9_][A-Za-z0-9._-]*\.tar", form="`SPLIT-NUMBER.tar`")

FILE = (
    Field("name", _NAME, "of a file beside the manifest"),
    Field("bytes", _SIZE, "its size", "bytes"),
    Field("sha256", _SHA256, "SHA-256 of its bytes"),
)
SHARD = (
    Field("name", _TAR, "of a tar beside the manifest"),
    Field("split", Text(form=", ".join(SPLITS)), "of all its samples"),
    Field("samples", _SIZE, "how many it holds"),
    Field("bytes", _SIZE, "its size", "bytes"),
    Field("sha256", _SHA256, "SHA-256 of its bytes"),
    Field("index", Object(FILE), "the Parquet file that says where in it each sample lies"),
)
MANIFEST = (
    Field("version", Whole(VERSION, VERSION), "of the format"),
    Field(
        "fingerprint", _SHA256, "SHA-256 of the manifest without this line: it names this very training set"
    ),
    Field(
        "recipe",
        Object((), others=True),
        "all numbers that thetas were drawn from, as `shard.recipe` takes them",
    ),
    Field("seed", Whole(0), "`shard.seed`"),
    Field("shards", ListOf(Object(SHARD)), "those with samples, in the order of their names"),
    Field(
        "indexes_only",
        ListOf(Object(FILE)),
        "indexes of shards whose samples were all rejected: they have no tar",
    ),
    Field(
        "documents", ListOf(Object(FILE)), "`photos.csv` and `croissant.json`; people may edit `README.md`"
    ),
)


@dataclass(frozen=True)
class File:
    """A file beside the manifest."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardFile:
    """A shard, and the index that says where in it each sample lies."""

    name: str
    split: str
    samples: int
    bytes: int
    sha256: str
    index: File


@dataclass(frozen=True)
class Manifest:
    """What lies in `samples/`, all of it a function of the tables alone."""

    version: int
    recipe: Mapping[str, Any]
    seed: int
    shards: tuple[ShardFile, ...]
    indexes_only: tuple[File, ...]
    documents: tuple[File, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of it, hashes of all files included: it names this very training set."""
        return hashlib.sha256(_text(asdict(self)).encode()).hexdigest()


def written(manifest: Manifest) -> str:
    """The manifest as text: JSON with sorted keys, its fingerprint in it."""
    return _text(asdict(manifest) | {"fingerprint": manifest.fingerprint})


def parse(data: bytes) -> Manifest:
    """A manifest from its bytes, which may be a stranger's.

    Raises ValueError with one sentence that goes on from its name: not JSON, of another version, fields that are
    missing, unknown or wrong, or text that is not what `written` gives, fingerprint included: somebody changed it.
    """
    tree = _tree(data)
    version = tree.get("version")
    if type(version) is int and version != VERSION:
        raise ValueError(
            f"has version {shown(version)}: it is of another version of facerefs, this one reads version {VERSION}"
        )
    if fault := Object(MANIFEST).fault("", tree):
        raise ValueError(f"is no manifest of version {VERSION}: {fault}")
    fingerprint = tree.pop("fingerprint")
    parts = {name: tuple(File(**one) for one in tree[name]) for name in ("indexes_only", "documents")}
    manifest = Manifest(**tree | parts | {"shards": tuple(map(_shard, tree["shards"]))})
    try:
        unchanged = data.decode() == written(manifest) and fingerprint == manifest.fingerprint
    except (ValueError, RecursionError) as error:  # numbers or depths in the recipe that no recipe has
        raise ValueError(f"is no manifest of version {VERSION} ({error!r:.100})") from None
    if not unchanged:
        raise ValueError("was changed after it was written: its fingerprint is of another manifest")
    _check_names(manifest)
    return manifest


def parse_shards(data: bytes) -> tuple[ShardFile, ...]:
    """The shards in a manifest, whatever else is in it: those of other versions may say more, or less.

    Raises ValueError with one sentence that goes on from its name.
    """
    entry = Object((*SHARD[:-1], Field("index", Object(FILE, others=True), "")), others=True)
    tree = _tree(data)
    if fault := Object((Field("shards", ListOf(entry), ""),), others=True).fault("", tree):
        raise ValueError(f"is no manifest of ours: {fault}")
    shards = tuple(map(_shard, tree["shards"]))
    if len({shard.name for shard in shards}) < len(shards):
        raise ValueError("names a shard twice")
    for shard in shards:
        _check_index(shard)
    return shards


def _tree(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise ValueError(f"is no manifest of ours: it is larger than {MAX_BYTES} bytes")
    try:
        tree = json.loads(data.decode())
    except UnicodeDecodeError:
        raise ValueError("is no manifest of ours: it is no text") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no manifest of ours: it is no JSON ({error!s:.200})") from None
    if not isinstance(tree, dict):
        raise ValueError(f"is no manifest of ours: it is {shown(tree)} and no object")
    return tree


def _shard(entry: Mapping[str, Any]) -> ShardFile:
    known = {field.name: entry[field.name] for field in SHARD}
    index = {field.name: entry["index"][field.name] for field in FILE}
    return ShardFile(**known | {"index": File(**index)})


def _check_names(manifest: Manifest) -> None:
    """Each file once, each shard of its split, and each index beside its shard."""
    names = [shard.name for shard in manifest.shards]
    names += [file.name for file in (*manifest.indexes_only, *manifest.documents)]
    if len(set(names)) < len(names):
        raise ValueError("names a file twice")
    for shard in manifest.shards:
        split, _, number = shard.name.removesuffix(".tar").partition("-")
        if split not in SPLITS or split != shard.split or not (number.isdecimal() and 5 <= len(number) <= 9):
            raise ValueError(
                f"has a shard {shard.name} of another split, {shard.split}, or with a name of no split"
            )
        _check_index(shard)
        if shard.index.name in names:
            raise ValueError(f"has a shard {shard.name} with the index of another")


def _check_index(shard: ShardFile) -> None:
    if shard.index.name != f"{shard.name.removesuffix('.tar')}.parquet":
        raise ValueError(f"has a shard {shard.name} with the index of another, {shard.index.name}")


def _text(tree: dict[str, Any]) -> str:
    return json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n"
