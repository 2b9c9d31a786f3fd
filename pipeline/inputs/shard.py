"""The input of the stage `shard`: each target with its references, and all metadata of both that a sample stores."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.pipeline.storage.catalogue import digest_of_tables
from facerefs.pipeline.storage.fingerprint import stage_digest, text_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.mapped_table import MappedTable
from facerefs.schemas.file_names import BLOBS_FOLDER
from facerefs.schemas.tables import (
    FACE_IN_SAMPLE,
    GIVEN_IN_PLAN,
    MASKS_IN_PLAN,
    PAIR_IN_SAMPLE,
    RECIPE_IN_PLAN,
    SAMPLE_PLAN,
    TABLES,
)
from facerefs.stages.shard import Shard
from facerefs.stages.splits import splits_of

_PLACES = (
    "target_crop",
    "reference_crops",
    "masks",
    "degraded",
)  # columns of a plan that say where bytes lie
_FACE, _PAIR = ([name for name, _ in columns] for columns in (FACE_IN_SAMPLE, PAIR_IN_SAMPLE))


@dataclass(frozen=True)
class ShardInput:
    """The samples of each shard, joined from the tables pairs, faces, labels and sources."""

    storage: Storage
    shard: Shard

    def names(self) -> Sequence[str]:
        """Names of the shards, such as `train-00000`; within a split, samples are in the order of the targets' keys.

        A face's id begins with a hash, so the order is shuffled, and the shards have about equally many samples.
        """
        return sorted(self._places)

    def digest_of_all(self) -> str:
        """Of all that is read of any shard."""
        return digest_of_tables(self.storage, Shard.reads)

    def digest(self, name: str) -> None:
        """Only the rows tell: a shard has faces of all parts."""

    def rows(self, name: str) -> int:
        """The number of pairs of a shard, for each recipe: it has as many samples or fewer."""
        return self._places[name][1] * len(self.shard.recipes)

    def read(self, name: str) -> pa.Table:
        """Rows of one shard, sorted by key: the columns of `SAMPLE_PLAN`, with masks those of `MASKS_IN_PLAN`, and with
        several recipes that of `RECIPE_IN_PLAN`.

        If any pair of the build has a published degraded image, also those of `GIVEN_IN_PLAN`.
        """
        pairs = self._pairs.slice(*self._places[name]).to_pylist()
        faces = self._faces(pairs)
        of_targets = [list(of_target) for _, of_target in groupby(pairs, itemgetter("target"))]
        rows = [self._row(of_target, faces) for of_target in of_targets]
        schemas = [SAMPLE_PLAN]
        if self._degraded:
            schemas.append(GIVEN_IN_PLAN)
            nothing = dict.fromkeys(GIVEN_IN_PLAN.names)
            given = (self._degraded.get(of_target[0]["given_row"], nothing) for of_target in of_targets)
            rows = [
                row | {name: of_row[name] for name in GIVEN_IN_PLAN.names}
                for row, of_row in zip(rows, given, strict=True)
            ]
        if any(face["parser"] for face in faces.values()):
            schemas.append(MASKS_IN_PLAN)
            shown = ([of[0]["target"], *map(_reference_id, of)] for of in of_targets)
            rows = [
                row | _masks(row, [faces[face] for face in ids]) for row, ids in zip(rows, shown, strict=True)
            ]
        if len(recipes := sorted(recipe.name for recipe in self.shard.recipes)) > 1:
            schemas.append(RECIPE_IN_PLAN)
            rows = [one for row in rows for one in _of_recipes(row, recipes)]
        return pa.Table.from_pylist(rows, pa.unify_schemas(schemas))

    def made_from(self, rows: pa.Table) -> list[str | None]:
        """A digest of all that each sample is made from: its row, with the bytes of crops and masks, and the settings.

        None if a crop or a mask cannot be read. Where a sample is stored does not count: neither the places of crops,
        nor the settings that decide about sizes of shards and splits. (The split itself is in the row.)
        """
        plan = rows.to_pylist()
        shown = {row["key"]: _shown(row) for row in plan}
        ids = {face for faces in shown.values() for face in faces}
        elsewhere = {
            _shown_id(row["target"]["face"], one)
            for row in plan
            for one in row["references"]
            if one["elsewhere"] is not None
        }
        rows_of = [*self._face_rows.rows(ids - elsewhere)]
        rows_of += self._elsewhere_rows.rows(elsewhere) if elsewhere else []
        faces = {face["id"]: face for face in rows_of}
        placed = {
            name: getattr(Shard, name) for name in ("shard_mb", "val_share", "test_share", "test_people")
        }
        settings = stage_digest(replace(self.shard, **placed))
        return [self._made_from(settings, row, [faces[face] for face in shown[row["key"]]]) for row in plan]

    def _made_from(
        self, settings: str, row: Mapping[str, Any], shown: Sequence[dict[str, Any]]
    ) -> str | None:
        crops = [row["target_crop"], *row["reference_crops"]]
        places = {"crop": crops, "mask": row.get("masks") or [None] * len(crops)}
        digests = [
            self._digest_of(face, column)
            for column, stored in places.items()
            for face, place in zip(shown, stored, strict=True)
            if place is not None
        ]
        if None in digests:
            return None
        there = {column: [place is not None for place in stored] for column, stored in places.items()}
        others = {name: value for name, value in row.items() if name not in _PLACES}
        return text_digest(settings, json.dumps([others, there, digests], sort_keys=True))

    def _digest_of(self, face: Mapping[str, Any], column: str) -> str | None:
        """The SHA-256 of a face's crop or mask; parts of earlier versions do not hold it."""
        if face[f"{column}_sha256"] is not None:
            return str(face[f"{column}_sha256"])
        data = self.storage.read_blob(**face[column])
        return None if data is None else hashlib.sha256(data).hexdigest()

    @cached_property
    def _pairs(self) -> pa.Table:
        """Accepted pairs with `split` and `shard`, in the order of shard, target and rank."""
        pairs = self.storage.scan("pairs", Shard.reads["pairs"])
        pairs = pairs.filter(pc.is_null(pairs.column("reject"))).sort_by(
            [("target", "ascending"), ("rank", "ascending")]
        )
        pairs = self._with_splits(pairs)
        shard = pa.array(self._shard_names(pairs), pa.string())
        return pairs.append_column("shard", shard).sort_by(
            [("shard", "ascending"), ("target", "ascending"), ("rank", "ascending")]
        )

    def _with_splits(self, pairs: pa.Table) -> pa.Table:
        """The pairs with `split`: the published one, without the pairs that have none, or the drawn one."""
        if self.storage.parts("splits"):
            given = self.storage.scan("splits", Shard.reads["splits"])
            given = given.filter(pc.is_null(given["reject"]))
            at = pc.index_in(pairs["target"], value_set=given["target"].combine_chunks())
            pairs = pairs.append_column("split", given["split"].take(at))
            return pairs.filter(pc.is_valid(pairs["split"]))
        people = pairs.column("identity").unique().to_pylist()
        splits = splits_of(
            people, self.shard.seed, self.shard.val_share, self.shard.test_share, self.shard.test_people
        )
        split = [splits[name] for name in pairs.column("identity").to_pylist()]
        return pairs.append_column("split", pa.array(split, pa.string()))

    @cached_property
    def _degraded(self) -> Mapping[int, dict[str, Any]]:
        """The published degraded images, by the row of the list of pairs."""
        given = self.storage.scan("given_pairs", Shard.reads["given_pairs"])
        return {row["row"]: row for row in given.filter(pc.is_valid(given["degraded"])).to_pylist()}

    @cached_property
    def _places(self) -> Mapping[str, tuple[int, int]]:
        """For each shard, its first row in `_pairs` and its number of rows."""
        counts = Counter(self._pairs.column("shard").to_pylist())
        starts = accumulate(counts.values(), initial=0)
        return {name: (start, count) for (name, count), start in zip(counts.items(), starts, strict=False)}

    def _shard_names(self, pairs: pa.Table) -> list[str]:
        """The shard of each pair, by the range of the hash at the start of its target's id.

        The number of shards of a split is a power of two, so that a new photo changes few shards; all of them change
        only when the split has doubled in size.
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
        """The expected bytes that each pair adds to its shard: its reference, and for the first pair also the target
        and the rest of the sample."""
        faces = self.storage.scan("faces", ("id", "crop"))  # the driver needs no more of them
        ids = faces["id"].combine_chunks()
        lengths = pc.struct_field(faces["crop"], "length").to_numpy()
        target, reference = (
            lengths[pc.index_in(pairs.column(end), value_set=ids).to_numpy()]
            for end in ("target", "reference")
        )
        targets = pairs.column("target").to_numpy()
        first = np.append(True, targets[1:] != targets[:-1])[: len(targets)]
        whole = self.shard.expected_bytes(0)
        per_byte = self.shard.expected_bytes(1) - whole
        expected: NDArray[np.float64] = per_byte * (reference + first * target) + first * whole
        return len(self.shard.recipes) * expected

    def _faces(self, pairs: list[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
        """The faces of these pairs by id, with crop, label and the origin of their photos."""
        ids = {pair[end] for pair in pairs for end in ("target", "reference")}
        faces = list(self._face_rows.rows(ids))
        labels = {row["face"]: row for row in self._label_rows.rows(ids)}
        photos = {row["key"]: row for row in self._source_rows.rows({face["key"] for face in faces})}
        known = {face["id"]: photos[face["key"]] | face | labels[face["id"]] for face in faces}
        elsewhere = {_reference_id(pair): pair["target"] for pair in pairs if pair["elsewhere"] is not None}
        if elsewhere:  # what is not measured on the file is the target's, such as its licence
            made = self._elsewhere_rows.rows(set(elsewhere))
            known |= {row["id"]: known[elsewhere[row["id"]]] | row for row in made}
        return known

    @cached_property
    def _face_rows(self) -> MappedTable:
        return self._spilled("faces", "id")

    @cached_property
    def _elsewhere_rows(self) -> MappedTable:
        return self._spilled("made_elsewhere", "id")

    @cached_property
    def _label_rows(self) -> MappedTable:
        return self._spilled("labels", "face")

    @cached_property
    def _source_rows(self) -> MappedTable:
        return self._spilled("sources", "key")

    def _spilled(self, table: str, key: str) -> MappedTable:
        columns = Shard.reads[table]
        schema = pa.schema([TABLES[table].field(name) for name in columns])
        parts = (
            self.storage.read(table, name, columns).select(list(columns)).cast(schema)
            for name in self.storage.parts(table)
        )
        return MappedTable.of(parts, schema, key, self.storage.local_path(BLOBS_FOLDER))

    def __getstate__(self) -> dict[str, Any]:
        """The state without the cached rows: each worker reads its own."""
        return {"storage": self.storage, "shard": self.shard}

    def _row(self, pairs: list[dict[str, Any]], faces: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        target = pairs[0]["target"]
        references = [faces[_reference_id(pair)] for pair in pairs]
        return {
            "key": target,
            "split": pairs[0]["split"],
            "identity": pairs[0]["identity"],
            "target": _pick(faces[target], _FACE),
            "target_crop": faces[target]["crop"],
            "references": [
                _pick(face, _FACE) | _pick(pair, _PAIR) for face, pair in zip(references, pairs, strict=True)
            ],
            "reference_crops": [  # a synthesised reference is made from the target's crop
                None if pair["synthesis"] is not None else face["crop"]
                for face, pair in zip(references, pairs, strict=True)
            ],
        }


def _of_recipes(row: Mapping[str, Any], recipes: Sequence[str]) -> list[dict[str, Any]]:
    """The row of each recipe; one alone, of no recipe, for a target whose degraded face is a published image."""
    if row.get("degraded") is not None:
        return [{**row, "recipe": None}]
    return [{**row, "key": f"{row['key']}-{recipe}", "recipe": recipe} for recipe in recipes]


def _masks(row: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of a sample in `MASKS_IN_PLAN`; the mask of a synthesised reference is made from the target's.

    shown: the faces of the target and of its references.
    """
    made = [False, *(face["synthesis"] is not None for face in row["references"])]
    masks = [None if made_here else face["mask"] for face, made_here in zip(shown, made, strict=True)]
    return {"masks": masks, "parsers": [face["parser"] for face in shown]}


def _reference_id(pair: Mapping[str, Any]) -> str:
    """The id of a pair's reference: a face, or in `made_elsewhere` its target and its file."""
    return _shown_id(pair["target"], {"face": pair["reference"], "elsewhere": pair["elsewhere"]})


def _shown(row: Mapping[str, Any]) -> list[str]:
    """The ids of the faces of a sample: of its target, then of its references."""
    target = row["target"]["face"]
    return [target, *(_shown_id(target, reference) for reference in row["references"])]


def _shown_id(target: str, reference: Mapping[str, Any]) -> str:
    if reference["elsewhere"] is None:
        return str(reference["face"])
    return f"{target}/{json.loads(reference['elsewhere'])['file']}"


def _power_of_two(wanted: float) -> int:
    """The power of two nearest to `wanted` on a log scale, at least 1."""
    return 1 if wanted <= 1 else int(2 ** round(math.log2(wanted)))


def _pick(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}
