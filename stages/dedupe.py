"""Dedupe: keep the best copy of every photo, and reject the others with the reason.

Copies have the same bytes, or perceptual hashes a few bits apart, upright or mirrored. A photo is compared
with the photos that are *kept*, best first: a chain of similar photos never drops a photo that is similar to none
of those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.stages.copies.duplicates import Match, dropped, duplicates
from facerefs.stages.copies.pair_overrides import PhotoOverrides, photo_overrides
from facerefs.stages.copies.photo_pairs import PhotoPairs
from facerefs.stages.images.local_difference import THUMBNAIL_PX, local_difference
from facerefs.stages.join import left_join
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.search.hamming import Hashes

_BEST_FIRST = (
    ("blurrier", "ascending"),
    ("pixels", "descending"),
    ("bytes", "descending"),
    ("labelled", "descending"),
    ("key", "ascending"),
)
_CLEARLY_LESS = 0.8  # share of a copy's real detail; estimates of two copies differ by up to 15 % (measured)
_ROWS_AT_ONCE = 8192
_MOST_DIFFERENCE = 0.08  # of a copy that differs nowhere, see `local_difference`


@dataclass(frozen=True)
class Dedupe:
    """Group copies of a photo: the perceptual hash finds what may be one, the detail hash tells copies from other
    photos of one scene. A copy that differs from the kept photo in some place (a logo, a cut edge, or another person
    before the same wall) is not `certain`: `analyse` compares the faces.

    Near copies under different labels are left to `compare`, which looks at the faces: a photo is dropped for one of
    other bytes only if that has its label, or if it has none.

    Lines of `overrides` come first: a photo to keep is dropped only for one of the same bytes, a photo to drop is
    always dropped, and of two photos called copies the worse one is dropped.
    """

    max_distance: Annotated[int, Ge(0), Le(32)] = 10
    """Most bits, of the 64 of the perceptual hash, by which two photos may differ and still be copies."""
    # Of crops by 2 %: 28 bits, 95 % up to 40; of other photos: from 35 on, rarely below 41.
    max_detail_distance: Annotated[int, Ge(0), Le(128)] = 40
    """Most bits, of the 256 of the detail hash, by which two photos may differ and still be copies."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "images": (
            *("key", "id", "width", "height", "bytes"),
            *("phash", "phash_mirror", "detail_hash", "thumbnail", "detail_scale", "reject"),
        ),
        "sources": ("key", "label"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 2

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """Rows of `IMAGES`, labels of `SOURCES` -> rows of `DUPLICATES`: for each photo that has copies, by group, best
        first; then for each that an override drops.

        The order of the input does not matter. The best photo has no copy with clearly more real detail (an enlarged
        thumbnail has), more pixels, then more bytes, then a label, then the smaller key.
        """
        labels = tables["sources"].select(["key", "label"])
        images = tables["images"].drop_columns(["thumbnail"])
        images = images.append_column("row", pa.array(np.arange(len(images))))
        photos = left_join(images.filter(pc.is_null(images["reject"])), "key", labels, "key")
        hashes, hash_number = _hashes(photos)
        near = PhotoPairs.near(hashes, self.max_distance, self.max_detail_distance, room)
        photos, hash_number = _best_first(photos, hash_number, near)
        overrides = photo_overrides(tables["overrides"], photos)
        labels_of, label_set = _label_sets(photos)
        best, signature = _signatures(hash_number, label_set, overrides)
        pairs = PhotoPairs.joined(
            block.take(_no_other_label(block, label_set[best], labels_of))
            for block in near.between_members(hash_number[best])
        )
        found = _nearest_kept(_allowed(pairs, signature, overrides), len(best))
        keeper = best[found.better][signature]
        for row in sorted(overrides.copies):  # the better one has a smaller row: its keeper is known
            keeper[row] = keeper[overrides.copies[row][0]]
        copies = np.bincount(keeper, minlength=len(photos))[keeper] > 1
        rows = np.flatnonzero(copies)
        rows = rows[np.argsort(keeper[rows], kind="stable")]
        how = found.take(signature[rows])
        shown, at = np.unique([keeper[rows], rows], return_inverse=True)
        at = at.reshape(2, -1)
        thumbnails = _thumbnails(tables["images"]["thumbnail"], photos["row"].to_numpy()[shown], room)
        certain = (keeper[rows] == rows) | _differ_nowhere(thumbnails, at[0], at[1], how.mirrored)
        match = Match(keeper[rows], how.distance, how.mirrored, certain)
        return pa.concat_tables([duplicates(photos, rows, match, overrides), dropped(photos, overrides)])


def _hashes(photos: pa.Table) -> tuple[Hashes, Int64s]:
    """The distinct hashes of the photos, as of `PhotoPairs.near`, uint64 (N, 6), and their number by row."""
    column = photos.column("detail_hash").combine_chunks()
    detail = np.frombuffer(column.buffers()[1], np.uint64).reshape(-1, 4)[column.offset :][: len(column)]
    hashes = [np.asarray(photos.column(name).to_numpy(), np.uint64) for name in ("phash", "phash_mirror")]
    distinct, number = np.unique(np.column_stack([*hashes, detail]), axis=0, return_inverse=True)
    return distinct, np.asarray(number.ravel(), np.int64)


def _best_first(photos: pa.Table, hash_number: Int64s, near: PhotoPairs) -> tuple[pa.Table, Int64s]:
    """The photos, with the columns of `_BEST_FIRST` and `detail_px`, and their hash numbers, in that order."""
    pixels = pc.multiply(photos.column("width").cast(pa.int64()), photos.column("height").cast(pa.int64()))
    scale = photos.column("detail_scale").fill_null(1.0).to_numpy()
    detail_px = np.sqrt(pixels.to_numpy()) * scale
    of_hash = np.zeros(hash_number.max(initial=-1) + 1)
    np.maximum.at(of_hash, hash_number, detail_px)
    of_copies = of_hash.copy()
    np.maximum.at(of_copies, near.worse, of_hash[near.better])
    columns = {
        "blurrier": pa.array(detail_px < _CLEARLY_LESS * of_copies[hash_number]),
        "pixels": pixels,
        "labelled": pc.is_valid(photos.column("label")),
        "detail_px": pa.array(detail_px),
        "hash_number": pa.array(hash_number),
    }
    for name, column in columns.items():
        photos = photos.append_column(name, column.cast(pa.int8()) if column.type == pa.bool_() else column)
    photos = photos.sort_by(list(_BEST_FIRST))
    return photos, np.asarray(photos.column("hash_number").to_numpy(), np.int64)


def _label_sets(photos: pa.Table) -> tuple[list[frozenset[str]], Int64s]:
    """The distinct sets of labels under which the same bytes are listed, and the number of its set for each row."""
    listed = photos["label"].combine_chunks().dictionary_encode()
    names = listed.dictionary.to_pylist()
    label = np.asarray(listed.indices.fill_null(len(names)).to_numpy(), np.int64)
    photo = np.asarray(photos["id"].combine_chunks().dictionary_encode().indices.to_numpy(), np.int64)
    sets = [frozenset([name]) for name in names] + [frozenset[str]()]
    number = np.full(photo.max(initial=-1) + 1, len(names))
    named = np.unique(np.stack([photo, label])[:, label < len(names)], axis=1)
    number[named[0]] = named[1]
    several = np.flatnonzero(np.bincount(named[0], minlength=len(number)) > 1)
    further: dict[frozenset[str], int] = {}
    for one in several.tolist():  # few: the same bytes under several names
        labels = named[1][slice(*np.searchsorted(named[0], [one, one + 1]))]
        union = frozenset(names[at] for at in labels.tolist())
        number[one] = further.setdefault(union, len(sets) + len(further))
    return [*sets, *further], number[photo]


def _no_other_label(
    pairs: PhotoPairs, label_set: Int64s, labels_of: list[frozenset[str]]
) -> NDArray[np.bool_]:
    """True for pairs whose worse photo has no label that the better one has not."""
    worse, better = label_set[pairs.worse], label_set[pairs.better]
    allowed: NDArray[np.bool_] = worse == better
    others = np.flatnonzero(~allowed)
    allowed[others] = [
        labels_of[one] <= labels_of[other]
        for one, other in zip(worse[others].tolist(), better[others].tolist(), strict=True)
    ]
    return allowed


def _signatures(hash_number: Int64s, label_set: Int64s, overrides: PhotoOverrides) -> tuple[Int64s, Int64s]:
    """The distinct signatures of the photos: those with equal hashes and labels have one; only the best is compared.

    Photos that an override line names share a signature with the same bytes only.

    Returns the row of the best photo of each signature, best first, and the signature of each row.
    """
    count = len(hash_number)
    alone = np.zeros(count, np.int64)
    for row, first_of_bytes in overrides.named.items():
        alone[row] = 1 + (count + row if row in overrides.dropped else first_of_bytes)
    columns = np.column_stack([hash_number, label_set, alone])
    _, first, signature = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    best = np.sort(first)
    return best, np.searchsorted(best, first[signature.ravel()])


def _thumbnails(column: pa.ChunkedArray, rows: Int64s, room: Room) -> NDArray[np.uint8]:
    """The thumbnails of some different rows of a column, uint8 (N, 24, 24)."""
    place = np.full(len(column), -1)
    place[rows] = np.arange(len(rows))
    found = room.empty((len(rows), THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)
    for start in range(0, len(column), _ROWS_AT_ONCE):
        to = place[start : start + _ROWS_AT_ONCE]
        piece = column.slice(start, _ROWS_AT_ONCE).filter(pa.array(to >= 0)).to_pylist()
        found[to[to >= 0]] = np.frombuffer(b"".join(piece), np.uint8).reshape(-1, *found.shape[1:])
    return found


def _differ_nowhere(
    thumbnails: NDArray[np.uint8], one: Int64s, other: Int64s, mirrored: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """True for pairs of thumbnails that are alike everywhere; the other one is mirrored where `mirrored` is True."""
    alike = np.zeros(len(one), bool)
    for start in range(0, len(one), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        second = thumbnails[other[block]]
        second = np.where(mirrored[block, None, None], second[:, :, ::-1], second)
        alike[block] = local_difference(thumbnails[one[block]], second) <= _MOST_DIFFERENCE
    return alike


def _allowed(pairs: PhotoPairs, signature: Int64s, overrides: PhotoOverrides) -> PhotoPairs:
    """The pairs without those that overrides decide: a photo to keep is no copy, and the others are decided already."""
    decided, kept = (
        signature[list(rows)] for rows in ((*overrides.dropped, *overrides.copies), overrides.kept)
    )
    overruled = np.isin(pairs.better, decided) | np.isin(pairs.worse, decided) | np.isin(pairs.worse, kept)
    return pairs.take(~overruled)


def _nearest_kept(pairs: PhotoPairs, count: int) -> PhotoPairs:
    """For each of `count` signatures, in order, its pair with the nearest kept one, or with itself if kept."""
    own = np.arange(count)
    itself = PhotoPairs(own, own, np.zeros(count, np.int64), np.zeros(count, bool))
    pairs = PhotoPairs.joined([pairs.take(_kept(count, pairs.better, pairs.worse)[pairs.better]), itself])
    pairs = pairs.take(
        np.lexsort((pairs.mirrored, pairs.better, pairs.distance, pairs.better == pairs.worse, pairs.worse))
    )
    return pairs.take(np.unique(pairs.worse, return_index=True)[1])


def _kept(count: int, better: Int64s, worse: Int64s) -> NDArray[np.bool_]:
    """True for the signatures that are kept: those that are no copy of a better one that is kept.

    In rounds: a signature without an undecided better copy is kept, and its worse copies are dropped.
    """
    kept, undecided = np.zeros(count, bool), np.ones(count, bool)
    while undecided.any():
        chosen = undecided.copy()
        chosen[worse] = False
        kept |= chosen
        undecided &= ~chosen
        undecided[worse[kept[better]]] = False
        open_ = undecided[better] & undecided[worse]
        better, worse = better[open_], worse[open_]
    return kept
