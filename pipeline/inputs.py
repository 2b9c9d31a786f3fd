"""What each part stage reads: the joins between the tables, part by part."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import Storage
from schemas.tables import FACE_IN_SAMPLE, PAIR_IN_SAMPLE, SAMPLE_PLAN
from stages.shard import Shard, split_of

_PROVENANCE = ("id", "url", "page", "licence", "attribution")


@dataclass(frozen=True)
class WholeParts:
    """Every row of every part of a table."""

    storage: Storage
    table: str

    def names(self) -> Sequence[str]:
        """Names of the table's parts."""
        return self.storage.parts(self.table)

    def read(self, name: str) -> pa.Table:
        """Rows of one part."""
        return self.storage.read(self.table, name)


@dataclass(frozen=True)
class KeptPhotos:
    """The photos that go on: not rejected by crawl, and not dropped as duplicates."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `images`."""
        return self.storage.parts("images")

    def read(self, name: str) -> pa.Table:
        """Rows of one part of `images`."""
        rows = self.storage.read("images", name)
        dropped = pc.is_in(rows.column("key"), value_set=self._dropped)
        return rows.filter(pc.and_(pc.is_null(rows.column("reject")), pc.invert(dropped)))

    @cached_property
    def _dropped(self) -> pa.Array:
        duplicates = self.storage.scan("duplicates", ("key", "reject"))
        return duplicates.filter(pc.is_valid(duplicates.column("reject"))).column("key").combine_chunks()


@dataclass(frozen=True)
class PlannedSamples:
    """The samples of each shard: targets with their references, and all that a sample says of both."""

    storage: Storage
    shard: Shard

    def names(self) -> Sequence[str]:
        """Names of the shards: `train-00000` ..., each split in the order of the targets' keys.

        A face's id begins with a hash, so that this order is a shuffled one.
        """
        return sorted(self._plan)

    def read(self, name: str) -> pa.Table:
        """Rows of one shard, as `SAMPLE_PLAN`."""
        pairs = [pair for target in self._plan[name] for pair in self._pairs[target]]
        faces = self._faces(pairs)
        return pa.Table.from_pylist([self._row(target, faces) for target in self._plan[name]], SAMPLE_PLAN)

    @cached_property
    def _pairs(self) -> Mapping[str, list[dict[str, Any]]]:
        """Accepted pairs by target, best first."""
        pairs = self.storage.scan("pairs")
        pairs = pairs.filter(pc.is_null(pairs.column("reject"))).sort_by(
            [("target", "ascending"), ("rank", "ascending")]
        )
        by_target = defaultdict(list)
        for pair in pairs.to_pylist():
            by_target[pair["target"]].append(pair)
        return by_target

    @cached_property
    def _plan(self) -> Mapping[str, list[str]]:
        """Targets by shard."""
        splits = defaultdict(list)
        for target, pairs in sorted(self._pairs.items()):
            splits[self._split(pairs[0]["identity"])].append(target)
        size = self.shard.samples_per_shard
        return {
            f"{split}-{start // size:05d}": targets[start : start + size]
            for split, targets in splits.items()
            for start in range(0, len(targets), size)
        }

    def _split(self, identity: str) -> str:
        return split_of(identity, self.shard.seed, self.shard.val_share, self.shard.test_share)

    def _faces(self, pairs: list[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
        """Rows of the faces in these pairs, with their crops and where their photos come from."""
        wanted = defaultdict(set)
        for pair in pairs:
            wanted[pair["target_part"]].add(pair["target"])
            wanted[pair["reference_part"]].add(pair["reference"])
        found = {}
        for part, ids in sorted(wanted.items()):
            photos = {row["id"]: row for row in self.storage.read("images", part, _PROVENANCE).to_pylist()}
            faces = self.storage.read("faces", part)
            faces = faces.filter(pc.is_in(faces.column("id"), value_set=pa.array(sorted(ids))))
            for face in faces.to_pylist():
                found[face["id"]] = photos[face["image"]] | face | {"face": face["id"]}
        return found

    def _row(self, target: str, faces: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        pairs = self._pairs[target]
        identity = pairs[0]["identity"]
        references = [faces[pair["reference"]] for pair in pairs]
        return {
            "key": target,
            "split": self._split(identity),
            "identity": identity,
            "target": _pick(faces[target], FACE_IN_SAMPLE),
            "target_crop": faces[target]["crop"],
            "references": [
                _pick(face, FACE_IN_SAMPLE) | _pick(pair, PAIR_IN_SAMPLE)
                for face, pair in zip(references, pairs, strict=True)
            ],
            "reference_crops": [face["crop"] for face in references],
        }


def _pick(row: Mapping[str, Any], fields: list[tuple[str, pa.DataType]]) -> dict[str, Any]:
    return {name: row[name] for name, _ in fields}
