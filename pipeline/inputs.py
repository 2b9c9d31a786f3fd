"""What each part stage reads: the joins between the tables, part by part."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.mapped_table import MappedTable
from facerefs.schemas.tables import FACE_IN_SAMPLE, FACES, PAIR_IN_SAMPLE, SAMPLE_PLAN, TABLES
from facerefs.stages.shard import Shard, split_of

_PROVENANCE = ("url", "page", "licence", "attribution")


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
class ListedUrls:
    """The rows of the source whose photos are on the web."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `sources` that have such rows."""
        return [name for name in self.storage.parts("sources") if len(self.read(name, ("key",)))]

    def read(self, name: str, columns: tuple[str, ...] = ("key", "url", "sha256")) -> pa.Table:
        """Their keys, URLs and expected hashes."""
        rows = self.storage.read("sources", name, tuple({*columns, "url", "photo", "reject"}))
        remote = pc.and_(pc.is_valid(rows.column("url")), pc.is_null(rows.column("photo")))
        return rows.filter(pc.and_(remote, pc.is_null(rows.column("reject")))).select(list(columns))


@dataclass(frozen=True)
class FoundPhotos:
    """The photos of the source that can be read: those that lie in a place, and those that were fetched."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `sources`."""
        return self.storage.parts("sources")

    def read(self, name: str) -> pa.Table:
        """Rows of one part of `sources`, a fetched photo with the place and the SHA-256 of its bytes."""
        listed = self.storage.read("sources", name)
        listed = listed.filter(pc.is_null(listed.column("reject")))
        if self.storage.part("downloads", name) is None:
            return listed
        fetched = self.storage.read("downloads", name, ("key", "photo", "sha256", "reject"))
        at = pc.index_in(
            listed.column("key").combine_chunks(), value_set=fetched.column("key").combine_chunks()
        )
        fetched = fetched.take(at)
        goes_on = pc.and_(pc.is_null(fetched.column("reject")), pc.is_valid(at))
        for column in ("photo", "sha256"):
            values = pc.if_else(pc.is_valid(at), fetched.column(column), listed.column(column))
            listed = listed.set_column(listed.column_names.index(column), column, values)
        return listed.filter(pc.or_(goes_on, pc.is_null(at)))


@dataclass(frozen=True)
class KeptPhotos:
    """The photos that go on: not rejected by crawl, and not dropped as duplicates."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `images`."""
        return self.storage.parts("images")

    def read(self, name: str) -> pa.Table:
        """Rows of one part of `images`, with `said`: all labels and boxes that the photo is listed with.

        `said` is a list of struct (label, box): the row's own first, then those of its exact copies in the order
        of their keys; a row without a label says nothing. Near copies do not count: their pixels may differ.
        """
        rows = self.storage.read("images", name)
        dropped = pc.is_in(rows.column("key"), value_set=self._dropped)
        rows = rows.filter(pc.and_(pc.is_null(rows.column("reject")), pc.invert(dropped)))
        return rows.append_column("said", self._said(rows))

    @cached_property
    def _dropped(self) -> pa.Array:
        duplicates = self.storage.scan("duplicates", ("key", "reject"))
        return duplicates.filter(pc.is_valid(duplicates.column("reject"))).column("key").combine_chunks()

    def _said(self, rows: pa.Table) -> pa.Array:
        about = pc.index_in(self._copies.column("id"), value_set=rows.column("id").combine_chunks())
        own = rows.select(["id", "label", "box"]).append_column("row", pa.array(range(len(rows)), pa.int32()))
        said = pa.concat_tables([own, self._copies.append_column("row", about)])
        said = said.filter(pc.and_(pc.is_valid(said.column("label")), pc.is_valid(said.column("row"))))
        said = said.take(np.argsort(said.column("row").to_numpy(), kind="stable"))
        starts = np.searchsorted(said.column("row").to_numpy(), np.arange(len(rows) + 1)).astype(np.int32)
        label, box = (said.column(name).combine_chunks() for name in ("label", "box"))
        return pa.ListArray.from_arrays(starts, pa.StructArray.from_arrays([label, box], ["label", "box"]))

    @cached_property
    def _copies(self) -> pa.Table:
        """What the list says of photos in rows that were dropped as exact copies, in the order of their keys."""
        duplicates = self.storage.scan("duplicates", ("key", "kind"))
        exact = duplicates.filter(pc.equal(duplicates.column("kind"), "exact")).column("key").combine_chunks()
        parts = (self.storage.read("images", name, ("key", "id", "label", "box")) for name in self.names())
        copies = pa.concat_tables(
            rows.filter(pc.is_in(rows.column("key"), value_set=exact)) for rows in parts
        )
        return copies.sort_by("key").select(["id", "label", "box"])


@dataclass(frozen=True)
class PlannedSamples:
    """The samples of each shard: targets with their references, and all that a sample says of both."""

    storage: Storage
    shard: Shard

    def names(self) -> Sequence[str]:
        """Names of the shards: `train-00000` ..., each split in the order of the targets' keys.

        A face's id begins with a hash: the order is a shuffled one, and the ranges hold about equally many.
        """
        return sorted(self._places)

    def read(self, name: str) -> pa.Table:
        """Rows of one shard, as `SAMPLE_PLAN`, in the order of their keys."""
        pairs = self._pairs.slice(*self._places[name]).to_pylist()
        faces = self._faces(pairs)
        rows = [self._row(list(of_target), faces) for _, of_target in groupby(pairs, itemgetter("target"))]
        return pa.Table.from_pylist(rows, SAMPLE_PLAN)

    @cached_property
    def _pairs(self) -> pa.Table:
        """Accepted pairs with `split` and `shard`, in the order of shard, target and rank."""
        pairs = self.storage.scan("pairs")
        pairs = pairs.filter(pc.is_null(pairs.column("reject"))).sort_by(
            [("target", "ascending"), ("rank", "ascending")]
        )
        splits = {name: self._split(name) for name in pairs.column("identity").unique().to_pylist()}
        split = [splits[name] for name in pairs.column("identity").to_pylist()]
        pairs = pairs.append_column("split", pa.array(split, pa.string()))
        shard = pa.array(self._shard_names(pairs), pa.string())
        return pairs.append_column("shard", shard).sort_by(
            [("shard", "ascending"), ("target", "ascending"), ("rank", "ascending")]
        )

    @cached_property
    def _places(self) -> Mapping[str, tuple[int, int]]:
        """First row and number of rows of each shard in the pairs."""
        counts = Counter(self._pairs.column("shard").to_pylist())
        starts = accumulate(counts.values(), initial=0)
        return {name: (start, count) for (name, count), start in zip(counts.items(), starts, strict=False)}

    def _shard_names(self, pairs: pa.Table) -> list[str]:
        """The shard of each pair: by ranges of the hash that its target begins with.

        The number of shards is a power of two, so that a new photo changes few of them: all are cut anew only
        when a split has grown to its double.
        """
        splits = pairs.column("split").to_numpy()
        sizes = self._expected_bytes(pairs)
        limit = self.shard.shard_mb * 1e6
        counts = {split: _power_of_two(sizes[splits == split].sum() / limit) for split in np.unique(splits)}
        hashes = pc.utf8_slice_codeunits(pairs.column("target"), 0, 8).to_pylist()
        return [
            f"{split}-{int(digits, 16) * counts[split] >> 32:05d}"
            for split, digits in zip(splits, hashes, strict=True)
        ]

    def _expected_bytes(self, pairs: pa.Table) -> NDArray[np.float64]:
        """What each pair adds to its shard: its reference, and its target with all else if it is the first."""
        lengths = pc.struct_field(self._face_rows.column("crop"), "length").to_numpy()
        target, reference = (
            lengths[pc.index_in(pairs.column(end), value_set=self._face_rows.keys).to_numpy()]
            for end in ("target", "reference")
        )
        targets = pairs.column("target").to_numpy()
        first = np.append(True, targets[1:] != targets[:-1])[: len(targets)]
        whole = self.shard.expected_bytes(0)
        per_byte = self.shard.expected_bytes(1) - whole
        expected: NDArray[np.float64] = per_byte * (reference + first * target) + first * whole
        return expected

    def _split(self, identity: str) -> str:
        return split_of(identity, self.shard.seed, self.shard.val_share, self.shard.test_share)

    def _faces(self, pairs: list[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
        """Rows of the faces in these pairs, with their crops and where their photos come from."""
        ids = {pair[end] for pair in pairs for end in ("target", "reference")}
        faces = list(self._face_rows.rows(ids))
        photos = {photo["key"]: photo for photo in self._photo_rows.rows({face["key"] for face in faces})}
        return {face["id"]: photos[face["key"]] | face | {"face": face["id"]} for face in faces}

    @cached_property
    def _face_rows(self) -> MappedTable:
        named = {name for name, _ in FACE_IN_SAMPLE} & set(FACES.names)
        return self._spilled("faces", "id", tuple(sorted(named | {"id", "crop"})))

    @cached_property
    def _photo_rows(self) -> MappedTable:
        return self._spilled("images", "key", ("key", *_PROVENANCE))

    def _spilled(self, table: str, key: str, columns: tuple[str, ...]) -> MappedTable:
        schema = pa.schema([TABLES[table].field(name) for name in columns])
        parts = (
            self.storage.read(table, name, columns).select(list(columns)).cast(schema)
            for name in self.storage.parts(table)
        )
        return MappedTable.of(parts, schema, key, self.storage.local_path("samples"))

    def __getstate__(self) -> dict[str, Any]:
        """Without the cached rows: each worker reads its own."""
        return {"storage": self.storage, "shard": self.shard}

    def _row(self, pairs: list[dict[str, Any]], faces: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        target = pairs[0]["target"]
        references = [faces[pair["reference"]] for pair in pairs]
        return {
            "key": target,
            "split": pairs[0]["split"],
            "identity": pairs[0]["identity"],
            "target": _pick(faces[target], FACE_IN_SAMPLE),
            "target_crop": faces[target]["crop"],
            "references": [
                _pick(face, FACE_IN_SAMPLE) | _pick(pair, PAIR_IN_SAMPLE)
                for face, pair in zip(references, pairs, strict=True)
            ],
            "reference_crops": [  # a synthesised reference is made from the target's crop
                None if pair["synthesis"] is not None else face["crop"]
                for face, pair in zip(references, pairs, strict=True)
            ],
        }


def _power_of_two(wanted: float) -> int:
    """The nearest power of two, at least 1."""
    return 1 if wanted <= 1 else int(2 ** round(math.log2(wanted)))


def _pick(row: Mapping[str, Any], fields: list[tuple[str, pa.DataType]]) -> dict[str, Any]:
    return {name: row[name] for name, _ in fields}
