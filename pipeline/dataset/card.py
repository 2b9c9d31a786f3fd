"""Write the files beside the shards: dataset card, credits, Croissant metadata, and the manifest of all files."""

import hashlib
from collections import Counter
from typing import Any

import pyarrow as pa

from facerefs.pipeline.dataset.credits import CREDITS_FILE, credited_photos, write_credits
from facerefs.pipeline.dataset.croissant import croissant
from facerefs.pipeline.dataset.dataset_card import dataset_card, degraded_extension, summary
from facerefs.pipeline.dataset.file_kinds import file_kinds
from facerefs.pipeline.dataset.given import given_digests, has_given_degraded
from facerefs.pipeline.dataset.hub_metadata import hub_metadata
from facerefs.pipeline.dataset.manifest import recipe_tree
from facerefs.pipeline.dataset.masks import mask_counts
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.manifest import MANIFEST_FILE, File, Manifest, ShardFile, written
from facerefs.schemas.sample import IMAGE_TYPES, VERSION
from facerefs.stages.shard import Shard

_MANIFEST = f"samples/{MANIFEST_FILE}"
_LICENCES = 5


def write(storage: Storage, shard: Shard) -> None:
    """Write `photos.csv`, `README.md`, `croissant.json` and, last, `manifest.json`, which marks the set as complete.

    All of them depend only on the tables.
    """
    shards, indexes_only = _shards(storage)
    samples = _samples(storage)
    photos = credited_photos(storage, samples)
    write_credits(storage, photos)
    photo_file = _file(storage, CREDITS_FILE)
    kinds = file_kinds(
        max((len(row["references"]) for row in samples), default=0),
        IMAGE_TYPES[shard.image_format].extension,
        degraded_extension(shard, has_given_degraded(storage)),
        masks=bool(parsers := mask_counts(storage, samples)),
    )
    metadata = croissant(summary(shard, samples) + _licences(photos), shards, photo_file, kinds)
    storage.write_text("samples/croissant.json", metadata)
    manifest = Manifest(
        version=VERSION,
        recipe=recipe_tree(shard.recipes),
        seed=shard.seed,
        shards=tuple(shards),
        indexes_only=tuple(indexes_only),
        documents=(photo_file, _file(storage, "croissant.json")),
        parsers=tuple(sorted(parsers)),
        given=given_digests(storage),
    )
    metadata = hub_metadata(manifest, photos.column("licence").to_pylist(), kinds)
    text = dataset_card(storage, shard, shards, samples, photos, parsers)
    storage.write_text("samples/README.md", f"{metadata}\n{text}")
    storage.write_text(_MANIFEST, written(manifest))


def invalidate_manifest(storage: Storage) -> None:
    """Delete the manifest: without it the set counts as unfinished."""
    storage.remove_file(_MANIFEST)


def _shards(storage: Storage) -> tuple[list[ShardFile], list[File]]:
    """The shards with their indexes, and the indexes without a tar, since all their samples were rejected."""
    shards, indexes_only = [], []
    for name in storage.parts("samples"):
        part = storage.part("samples", name)
        if part is None:
            continue
        index = _file(storage, f"{name}.parquet")
        if part.tar is None or part.tar.sha256 is None:
            indexes_only.append(index)
            continue
        shards.append(
            ShardFile(
                name=f"{name}.tar",
                split=name.partition("-")[0],
                samples=_accepted(storage, name),
                bytes=part.tar.size,
                sha256=part.tar.sha256,
                index=index,
            )
        )
    return shards, indexes_only


def _file(storage: Storage, name: str) -> File:
    with storage.open_to_read(f"samples/{name}") as file:
        data = file.read()
    return File(name, len(data), hashlib.sha256(data).hexdigest())


def _accepted(storage: Storage, name: str) -> int:
    return int(storage.read("samples", name, ("reject",)).column("reject").null_count)


def _samples(storage: Storage) -> list[dict[str, Any]]:
    columns = ("split", "identity", "target", "references", "recipe", "reject")
    samples = storage.scan("samples", columns).to_pylist()
    return [row for row in samples if row["reject"] is None]


def _licences(photos: pa.Table) -> str:
    """A sentence for the description: each photo has its own licence, with counts of the most frequent ones."""
    counts = Counter(
        " ".join((text or "not stated").split()) for text in photos.column("licence").to_pylist()
    )
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_LICENCES]
    named = "; ".join(f"{name[:100]}: {count}" for name, count in most)
    return f" Each photo has its own licence, see photos.csv{f' ({named})' if named else ''}."
