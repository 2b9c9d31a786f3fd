"""The samples of a finished training set, one after the other, each checked before anything is made of it."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facerefs.pipeline.errors import UserError
from facerefs.schemas.manifest import MANIFEST_FILE, MAX_BYTES, Manifest, parse
from facerefs.schemas.sample import DEGRADED, GROUND_TRUTH, JSON, REFERENCE, SampleFile, json_fault, read_json
from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.folders import Folder, folder_at
from facerefs.trainers.stream.shards.manifest import StreamShard
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import ShardSet, open_shards
from facerefs.trainers.training_set import shards_of

ALL_SPLITS = "all"


@dataclass(frozen=True)
class StoredImage:
    """An image file of a sample."""

    extension: str  # png, webp or jpg
    data: bytes


@dataclass(frozen=True, eq=False)
class SetSample:
    """A sample: its JSON, which fits `schemas.sample.SAMPLE`, and its images."""

    name: str  # the key without the recipe: the samples of one target share it
    record: Mapping[str, Any]
    ground_truth: StoredImage
    degraded: StoredImage
    references: tuple[StoredImage, ...]

    @property
    def key(self) -> str:
        """The key of the sample."""
        return str(self.record["key"])

    @property
    def split(self) -> str:
        """train, val or test."""
        return str(self.record["split"])

    @property
    def identity(self) -> str:
        """The person."""
        return str(self.record["identity"])

    @property
    def recipe(self) -> str:
        """The name of the recipe of the degraded face."""
        return str(self.record["recipe"])

    @property
    def side_px(self) -> int:
        """The side of the ground truth."""
        return int(self.record["target"]["crop_size"])


@dataclass(frozen=True, eq=False)
class ExportedSet:
    """The samples of a set, of one split or of all."""

    manifest: Manifest
    shards: ShardSet

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def folder(self) -> Folder:
        """The folder of the shards."""
        return self.shards.folder

    @property
    def recipes(self) -> tuple[str, ...]:
        """The names of the set's recipes; of several, each target has a sample for each."""
        recipe = self.manifest.recipe
        trees = [recipe] if isinstance(recipe, Mapping) else recipe
        return tuple(str(tree.get("name")) for tree in trees)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the samples, sorted."""
        return tuple(sorted({str(shard.split) for shard in self.shards.shards}))

    def samples(self) -> Iterator[SetSample]:
        """The samples in the order of the shards, whose SHA-256 are compared with the manifest.

        Raises UserError, which names the shard or sample, for what is damaged or does not fit the format.
        """
        reader = ShardReader([self.shards])
        checked = -1
        for row in range(len(self.shards)):
            number = int(self.shards.shard[row])
            shard = self.shards.shards[number]
            if number != checked:
                _check_bytes(self.folder, shard)
                checked = number
            try:
                yield self._sample(reader.files(0, row), self.shards.key(row), shard)
            except (BadSample, ValueError) as error:
                raise UserError(
                    f"sample {self.shards.key(row)} of {shard.name} cannot be exported: {error}; "
                    "`facerefs verify` says more"
                ) from None

    def _sample(self, files: Mapping[str, bytes], key: str, shard: StreamShard) -> SetSample:
        record = read_json(files[JSON.name("json")])
        if fault := json_fault(record):
            raise BadSample(fault)
        if (record["key"], record["split"]) != (key, shard.split):
            raise BadSample(f"its JSON says {record['key']} of split {record['split']}")
        if record["recipe"] not in self.recipes:
            raise BadSample(f"its recipe {record['recipe']} is not in the manifest")
        references = (_image(files, REFERENCE, number) for number in range(len(record["references"])))
        return SetSample(
            self._name(record),
            record,
            _image(files, GROUND_TRUTH),
            _image(files, DEGRADED),
            tuple(references),
        )

    def _name(self, record: Mapping[str, Any]) -> str:
        key = str(record["key"])
        name = key.removesuffix(f"-{record['recipe']}") if len(self.recipes) > 1 else key
        # A cell that begins with a minus is a formula to a spreadsheet, and such a file an option to a program.
        return f"_{name}" if name.startswith("-") else name


def open_set(place: str, split: str) -> ExportedSet:
    """The set in a build's folder, in a copy of its folder `samples`, or at an address. split: one, or `all`.

    Raises UserError if there is no finished set, or if it has no samples of the split.
    """
    try:
        shards_at = shards_of(place)
        folder = folder_at(shards_at, ShardCache())
        data = folder.read_text(MANIFEST_FILE, MAX_BYTES)
        if data is None:
            raise UserError(f"{place} holds no finished training set: {shards_at} has no {MANIFEST_FILE}")
        manifest = parse(data)
        shards = open_shards(shards_at, None if split == ALL_SPLITS else split)
    except StreamError as error:
        raise UserError(
            f"{error}; choose another with --split" if "has no samples of split" in str(error) else str(error)
        ) from None
    except ValueError as error:
        raise UserError(f"{place}/{MANIFEST_FILE} {error}; `facerefs verify` says more") from None
    return ExportedSet(manifest, shards)


def read_document(opened: ExportedSet, name: str) -> bytes | None:
    """A document that the manifest lists, such as `photos.csv`; None if it lists none. Raises UserError if damaged."""
    listed = next((file for file in opened.manifest.documents if file.name == name), None)
    if listed is None:
        return None
    try:
        descriptor = opened.folder.open(listed.name, listed.bytes, listed.sha256)
    except StreamError as error:
        raise UserError(str(error)) from None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != listed.sha256:
        raise UserError(f"{name} of the set was changed after it was written: `facerefs verify` says more")
    return data


def _check_bytes(folder: Folder, shard: StreamShard) -> None:
    try:
        descriptor = folder.open(shard.name, shard.size, shard.sha256)
    except StreamError as error:
        raise UserError(str(error)) from None
    with os.fdopen(descriptor, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != shard.sha256:
        raise UserError(
            f"{Path(shard.name).name} is damaged, or of another build: its SHA-256 is not the one in {MANIFEST_FILE}; "
            "`facerefs verify` says more"
        )


def _image(files: Mapping[str, bytes], kind: SampleFile, number: int | None = None) -> StoredImage:
    found = kind.find(files, number)
    if found is None:
        raise BadSample(f"it has no image {kind.numbered_kind(number)}")
    return StoredImage(found.rpartition(".")[2], files[found])
