"""Compare: which faces of the whole set show one shot, under whatever names."""

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
from facerefs.stages.copies.face_features import LOOKS, Alike, Looks
from facerefs.stages.copies.pair_overrides import said_of_pairs
from facerefs.stages.search.hamming import hamming_blocks
from facerefs.stages.search.similarity import inner, neighbour_pairs, one_embedder

_MOST_PAIRS_PER_FACE = 64


@dataclass(frozen=True)
class Compare:
    """Find the copies of faces in the whole set. A whole stage.

    Candidates are pairs whose crop hashes, upright or mirrored, are at most `rule.hash_bits` apart, and, for crops
    and other backgrounds, which escape the hashes, each face with its `neighbours` nearest by cosine; `rule` decides
    what they are. Faces of one photo are no copies, unless a person says so. Of a face that may have over 64 copies, as
    in frames of a video, the 64 most alike are looked at, and the first one: pairs of pairs would fill the memory.

    Raises ValueError if the faces come from several embedders, or if one lacks landmarks or embedding.
    """

    rule: CopyRule = field(default_factory=CopyRule)
    neighbours: Annotated[int, Ge(0), Le(256)] = 8

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": ("id", "image", "label", *LOOKS, "embedder", "reject"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "copies"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Rows of `COPIES`, sorted by `face`, then `other`; the order of the input does not matter."""
        table = tables["faces"]
        table = table.filter(pc.is_null(table["reject"])).sort_by("id")
        if not len(table):
            return COPIES.empty_table()
        rule = self.rule.calibrated(one_embedder(table["embedder"]))
        looks = Looks.of(table)
        said = said_of_pairs(tables["overrides"], table["id"])
        found = self._candidates(looks, _numbered(table["image"]), rule)
        found = found[~np.isin(found, said.key)]
        decided = [self._by_rule(table, looks, found, rule)]
        if said.copy.any():
            forced = said.take(said.copy)
            why = [f"overrides.csv, line {line}" for line in forced.line]
            kinds, certainty = np.full(len(why), COPY), np.ones(len(why), np.float32)
            decided.append(_rows(table, forced.key, _alike(looks, forced.key), kinds, certainty, why))
        return pa.concat_tables(decided).sort_by([("face", "ascending"), ("other", "ascending")])

    def _candidates(self, looks: Looks, image: Int64s, rule: CopyRule) -> Int64s:
        """Pairs a < b of different photos whose cosine may be that of a copy, as keys a * N + b."""
        found = [_keys(*pairs, looks, image, rule) for pairs in _near_hashes(looks, rule)]
        if self.neighbours:
            pairs = neighbour_pairs(looks.vectors, self.neighbours, rule.least_similarity)
            found.append(_keys(*pairs, looks, image, rule))
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def _by_rule(self, table: pa.Table, looks: Looks, keys: Int64s, rule: CopyRule) -> pa.Table:
        alike = _alike(looks, keys)
        kinds = rule.kinds(*alike.evidence)
        stay = kinds >= UNSURE
        keys, alike, kinds = keys[stay], alike.take(stay), kinds[stay]
        certainty, why = rule.certainty(kinds, *alike.evidence), rule.why(kinds, *alike.evidence)
        return _rows(table, keys, alike, kinds, certainty, why)


def _keys(a: Int64s, b: Int64s, looks: Looks, image: Int64s, rule: CopyRule) -> Int64s:
    apart = image[a] != image[b]
    a, b = a[apart], b[apart]
    similarity = inner(looks.vectors, looks.vectors, a, b)
    may_be = similarity >= rule.least_similarity
    a, b, similarity = a[may_be], b[may_be], similarity[may_be]
    stay = _few_of_each(a, b, similarity)
    a, b = a[stay], b[stay]
    return np.asarray(np.minimum(a, b) * len(image) + np.maximum(a, b))


def _few_of_each(a: Int64s, b: Int64s, similarity: Float32s) -> Int64s:
    """Of the pairs of each `a` the most alike, and that with the smallest `b`, which joins what is one shot."""
    kept = []
    for first in (-similarity, b):
        order = np.lexsort((b, first, a))
        number = np.arange(len(order)) - np.searchsorted(a[order], a[order])
        kept.append(order[number < (1 if first is b else _MOST_PAIRS_PER_FACE)])
    return np.unique(np.concatenate(kept))


def _near_hashes(looks: Looks, rule: CopyRule) -> Iterator[tuple[Int64s, Int64s]]:
    """In blocks: aligned faces crowd in hash space, and what the cosines refute need not be kept."""
    rows = np.flatnonzero(looks.hashed)
    phash = looks.phash[rows]
    for asked in (phash, looks.phash_mirror[rows]):
        for i, j, _ in hamming_blocks(asked, phash, rule.hash_bits, crowded=True):
            yield rows[i], rows[j]


def _alike(looks: Looks, keys: Int64s) -> Alike:
    return looks.alike(*np.divmod(keys, len(looks.phash)))


def _numbered(column: pa.ChunkedArray) -> Int64s:
    indices = column.combine_chunks().dictionary_encode("encode").indices
    return np.asarray(indices.to_numpy(), np.int64)


def _rows(
    table: pa.Table, keys: Int64s, alike: Alike, kinds: Int64s, certainty: Float32s, why: list[str]
) -> pa.Table:
    names = table.select(["id", "label"])
    face, other = (names.take(pa.array(rows)) for rows in np.divmod(keys, len(table)))
    columns = {
        "face": face["id"],
        "other": other["id"],
        "label": face["label"],
        "other_label": other["label"],
        "kind": pa.array(np.where(kinds == COPY, "copy", "unsure").tolist(), pa.string()),
        "mirrored": pa.array(alike.mirrored),
        "hash_distance": pa.array(alike.hash_distance, pa.int32(), mask=alike.hash_distance >= UNKNOWN_BITS),
        "landmark_distance": pa.array(alike.landmark_distance, pa.float32()),
        "similarity": pa.array(alike.similarity, pa.float32()),
        "certainty": pa.array(certainty, pa.float32()),
        "why": pa.array(why, pa.string()),
        "reject": pa.nulls(len(keys), pa.string()),
        "reject_detail": pa.nulls(len(keys), pa.string()),
    }
    return pa.table(columns, schema=COPIES)
