"""`manifest.json` of a training set: its files with sizes and hashes, and one hash over all. The only definition.

The build writes it last; `facerefs verify` checks all of it and refuses a changed one; the stream reads its list of
shards.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from facerefs.schemas.fields import Field, ListOf, Object, OneOrMany, Text, Whole
from facerefs.schemas.operations import shown
from facerefs.schemas.sample import MAX_RECIPES, OF_MASKED, SPLITS, VERSION

MANIFEST_FILE = "manifest.json"
MAX_BYTES = 64 << 20
"""Maximum size of the file, enough for about 150,000 shards."""

_SIZE = Whole(0, 1 << 60)
_SHA256 = Text(64, pattern="[0-9a-f]{64}", form="64 digits, 0-9 and a-f")
# No path separators: a name cannot lead out of the folder.
_NAME = Text(205, pattern=r"[A-Za-z0-9_][A-Za-z0-9._-]*", form="a plain name")
_TAR = Text(205, pattern=r"[A-Za-z0-9_][A-Za-z0-9._-]*\.tar", form="`SPLIT-NUMBER.tar`")

FILE = (
    Field("name", _NAME, "name of a file in the folder of the manifest"),
    Field("bytes", _SIZE, "size of the file", "bytes"),
    Field("sha256", _SHA256, "SHA-256 of the file"),
)
SHARD = (
    Field("name", _TAR, "name of a tar in the folder of the manifest"),
    Field("split", Text(form=", ".join(SPLITS)), "split of all samples of the shard"),
    Field("samples", _SIZE, "number of samples"),
    Field("bytes", _SIZE, "size of the tar", "bytes"),
    Field("sha256", _SHA256, "SHA-256 of the tar"),
    Field("index", Object(FILE), "the Parquet file with the location of each sample in the tar"),
)
OF_GIVEN = "sets of published pairs or splits only"
GIVEN = (
    Field("pairs", _SHA256, "digest of the published pairs", when="if `given.pairs` is set"),
    Field(
        "splits",
        _SHA256,
        "digest of the published splits: a person may be in two",
        when="if splits are given",
    ),
)
MANIFEST = (
    Field("version", Whole(VERSION, VERSION), "version of the format"),
    Field(
        "fingerprint", _SHA256, "SHA-256 of the manifest without this line: it identifies exactly this set"
    ),
    Field(
        "recipe",
        OneOrMany(Object((), others=True), MAX_RECIPES),
        "all numbers of the recipe that thetas were drawn from, or of each of several, in the form of `shard.recipe`",
    ),
    Field("seed", Whole(0), "`shard.seed`"),
    Field(
        "parsers",
        ListOf(Text()),
        "engines that made the masks, sorted: then every face of every sample has a mask, by one of them",
        when=OF_MASKED,
    ),
    Field("given", Object(GIVEN), "which published lists the set follows", when=OF_GIVEN),
    Field("shards", ListOf(Object(SHARD)), "shards with samples, sorted by name"),
    Field(
        "indexes_only",
        ListOf(Object(FILE)),
        "indexes of shards without a tar, since all their samples were rejected",
    ),
    Field(
        "documents", ListOf(Object(FILE)), "`photos.csv` and `croissant.json`; the `README.md` may be edited"
    ),
)


@dataclass(frozen=True)
class File:
    """A file in the folder of the manifest."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardFile:
    """A shard, and the index with the location of each sample in it."""

    name: str
    split: str
    samples: int
    bytes: int
    sha256: str
    index: File


@dataclass(frozen=True)
class Manifest:
    """The contents of `samples/`; they depend only on the tables."""

    version: int
    recipe: Mapping[str, Any] | Sequence[Mapping[str, Any]]  # a list if there are several
    seed: int
    shards: tuple[ShardFile, ...]
    indexes_only: tuple[File, ...]
    documents: tuple[File, ...]
    parsers: tuple[str, ...] = ()  # none: the set has no masks, and its manifest no such line
    given: Mapping[str, str] = field(
        default_factory=dict
    )  # empty: nothing is published, and there is no such line

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole manifest, hashes of all files included: it identifies exactly this training set."""
        return hashlib.sha256(_text(_stated(self)).encode()).hexdigest()


def written(manifest: Manifest) -> str:
    """The manifest as text: JSON with sorted keys, including the fingerprint."""
    return _text(_stated(manifest) | {"fingerprint": manifest.fingerprint})


def parse(data: bytes) -> Manifest:
    """A manifest from its bytes, which are not trusted.

    Raises ValueError with the rest of a sentence that begins with the file name: not JSON, another version, fields
    that are missing, unknown or wrong, or a text or fingerprint that `written` would not give: it was changed.
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
    parts: dict[str, Any] = {
        name: tuple(File(**one) for one in tree[name]) for name in ("indexes_only", "documents")
    }
    parts |= {"shards": tuple(map(_shard, tree["shards"])), "parsers": tuple(tree.get("parsers", ()))}
    manifest = Manifest(**tree | parts)
    try:
        unchanged = data.decode() == written(manifest) and fingerprint == manifest.fingerprint
    except (ValueError, RecursionError) as error:  # numbers or nesting that no recipe has
        raise ValueError(f"is no manifest of version {VERSION} ({error!r:.100})") from None
    if not unchanged:
        raise ValueError("was changed after it was written: its fingerprint is of another manifest")
    _check_names(manifest)
    return manifest


def parse_shards(data: bytes) -> tuple[ShardFile, ...]:
    """The shards in a manifest; all other fields are ignored, since other versions may have more or fewer.

    Raises ValueError with the rest of a sentence that begins with the file name.
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
    """Raise ValueError unless file names are unique, and each shard is named by its split, each index by its shard."""
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


def _stated(manifest: Manifest) -> dict[str, Any]:
    return {
        name: value for name, value in asdict(manifest).items() if name not in ("parsers", "given") or value
    }


def _text(tree: dict[str, Any]) -> str:
    return json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n"
