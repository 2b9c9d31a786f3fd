"""Compare: find the faces of the whole set that show one shot, whatever their labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Le

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.schemas.tables import COPIES
from facerefs.stages.copies.copy_rule import COPY, UNKNOWN_BITS, UNSURE, CopyRule
from facerefs.stages.copies.face_features import FACE_FEATURES, FaceFeatures, PairSimilarity
from facerefs.stages.copies.pair_overrides import pair_overrides
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.search.hamming import hamming_blocks
from facerefs.stages.search.similarity import inner, neighbour_pairs, one_embedder
from facerefs.stages.stage import SHARED

_MOST_PAIRS_PER_FACE = 64


@dataclass(frozen=True)
class Compare:
    """Find the copies of faces in the whole set. A whole stage.

    Candidates are pairs whose crop hashes, upright or mirrored, are at most `rule.hash_bits` apart, and each face with
    its `neighbours` nearest by cosine, for crops and other backgrounds, which the hashes miss; `rule` decides which
    are copies. Faces of one photo are no copies, unless an override line says so. Of a face with over 64 possible
    copies, as in frames of a video, the 64 most similar and the first one are compared, to bound the memory.

    Raises ValueError if the faces come from several embedders, or if one lacks landmarks or embedding.
    """

    rule: CopyRule = field(default_factory=CopyRule, metadata=SHARED)
    neighbours: Annotated[int, Ge(0), Le(256)] = 8
    """How many nearest faces by cosine are compared with each face, besides those with a near hash."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": ("id", "image", *FACE_FEATURES, "embedder", "reject"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "copies"
    version: ClassVar[int] = 3

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """Rows of `COPIES`, sorted by `face`, then `other`; the order of the input does not matter."""
        faces = tables["faces"]
        table = faces.select(["id", "image", "embedder", "reject"])
        table = table.append_column("row", pa.array(np.arange(len(table))))
        table = table.filter(pc.is_null(table["reject"])).sort_by("id")
        if not len(table):
            return COPIES.empty_table()
        rule = self.rule.calibrated(one_embedder(table["embedder"]))
        features = FaceFeatures.of(faces, table["row"].to_numpy(), room)
        overrides = pair_overrides(tables["overrides"], table["id"])
        found = self._candidates(features, _numbered(table["image"]), rule, room)
        found = found[~np.isin(found, overrides.key)]
        decided = [self._by_rule(table, features, found, rule)]
        if overrides.copy.any():
            forced = overrides.take(overrides.copy)
            why = [f"overrides.csv, line {line}" for line in forced.line]
            kinds, certainty = np.full(len(why), COPY), np.ones(len(why), np.float32)
            decided.append(_rows(table, forced.key, _pairs(features, forced.key), kinds, certainty, why))
        return pa.concat_tables(decided).sort_by([("face", "ascending"), ("other", "ascending")])

    def _candidates(self, features: FaceFeatures, image: Int64s, rule: CopyRule, room: Room) -> Int64s:
        """Pairs a < b of different photos whose cosine may be that of a copy, as keys a * N + b."""
        found = [_keys(*pairs, features, image, rule) for pairs in _near_hashes(features, rule, room)]
        if self.neighbours:
            pairs = neighbour_pairs(features.vectors, self.neighbours, rule.least_similarity, room)
            found.append(_keys(*pairs, features, image, rule))
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def _by_rule(self, table: pa.Table, features: FaceFeatures, keys: Int64s, rule: CopyRule) -> pa.Table:
        pairs = _pairs(features, keys)
        kinds = rule.kinds(*pairs.evidence)
        stay = kinds >= UNSURE
        keys, pairs, kinds = keys[stay], pairs.take(stay), kinds[stay]
        certainty, why = rule.certainty(kinds, *pairs.evidence), rule.why(kinds, *pairs.evidence)
        return _rows(table, keys, pairs, kinds, certainty, why)


def _keys(a: Int64s, b: Int64s, features: FaceFeatures, image: Int64s, rule: CopyRule) -> Int64s:
    apart = image[a] != image[b]
    a, b = a[apart], b[apart]
    similarity = inner(features.vectors, features.vectors, a, b)
    may_be = similarity >= rule.least_similarity
    a, b, similarity = a[may_be], b[may_be], similarity[may_be]
    stay = _few_of_each(a, b, similarity)
    a, b = a[stay], b[stay]
    return np.asarray(np.minimum(a, b) * len(image) + np.maximum(a, b))


def _few_of_each(a: Int64s, b: Int64s, similarity: Float32s) -> Int64s:
    """Indices of each `a`'s most similar pairs, and of its pair with the smallest `b`, which joins all of a shot."""
    kept = []
    for first in (-similarity, b):
        order = np.lexsort((b, first, a))
        number = np.arange(len(order)) - np.searchsorted(a[order], a[order])
        kept.append(order[number < (1 if first is b else _MOST_PAIRS_PER_FACE)])
    return np.unique(np.concatenate(kept))


def _near_hashes(features: FaceFeatures, rule: CopyRule, room: Room) -> Iterator[tuple[Int64s, Int64s]]:
    """Pairs of rows with near hashes, in blocks: there are many, and most of them fail by their cosine."""
    rows = np.flatnonzero(features.hashed)
    phash = features.phash[rows]
    for queries in (phash, features.phash_mirror[rows]):
        for i, j, _ in hamming_blocks(queries, phash, rule.hash_bits, crowded=True, room=room):
            yield rows[i], rows[j]


def _pairs(features: FaceFeatures, keys: Int64s) -> PairSimilarity:
    return features.pairs(*np.divmod(keys, len(features.phash)))


def _numbered(column: pa.ChunkedArray) -> Int64s:
    indices = column.combine_chunks().dictionary_encode("encode").indices
    return np.asarray(indices.to_numpy(), np.int64)


def _rows(
    table: pa.Table, keys: Int64s, pairs: PairSimilarity, kinds: Int64s, certainty: Float32s, why: list[str]
) -> pa.Table:
    face, other = (table["id"].take(pa.array(rows)) for rows in np.divmod(keys, len(table)))
    columns = {
        "face": face,
        "other": other,
        "kind": pa.array(np.where(kinds == COPY, "copy", "unsure").tolist(), pa.string()),
        "mirrored": pa.array(pairs.mirrored),
        "hash_distance": pa.array(pairs.hash_distance, pa.int32(), mask=pairs.hash_distance >= UNKNOWN_BITS),
        "landmark_distance": pa.array(pairs.landmark_distance, pa.float32()),
        "similarity": pa.array(pairs.similarity, pa.float32()),
        "certainty": pa.array(certainty, pa.float32()),
        "why": pa.array(why, pa.string()),
        "reject": pa.nulls(len(keys), pa.string()),
        "reject_detail": pa.nulls(len(keys), pa.string()),
    }
    return pa.table(columns, schema=COPIES)
