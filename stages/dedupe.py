"""Dedupe: of every photo keep the best copy, and say of the others why they go.

Copies have the same bytes, or perceptual hashes a few bits apart, upright or mirrored. A photo is compared
with the photos that are *kept*, best first: a chain of resemblances never drops a photo that resembles none
of those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.stages.copies.duplicates import dropped, duplicates
from facerefs.stages.copies.pair_overrides import PhotosSaid, said_of_photos
from facerefs.stages.images.hashing import MIRRORED_DETAIL
from facerefs.stages.search.hamming import Hashes, hamming_pairs

_BEST_FIRST = (
    ("pixels", "descending"),
    ("bytes", "descending"),
    ("labelled", "descending"),
    ("key", "ascending"),
)
_MIRRORED = np.frombuffer(MIRRORED_DETAIL, np.uint64)


@dataclass(frozen=True)
class Dedupe:
    """Group copies of a photo. `max_distance` (bits of the perceptual hash, of 64) finds what may be a copy;
    `max_detail_distance` (bits of the detail hash, of 256) tells copies from other photos of one scene.

    A person has the last word: who is to be kept goes only as the same bytes, who is to be dropped goes whatever
    it resembles, and of two copies the worse goes with the better one.
    """

    max_distance: Annotated[int, Ge(0), Le(32)] = 10
    # Of crops by 2 %: 28 bits, 95 % up to 40; of other photos: from 35 on, rarely below 41.
    max_detail_distance: Annotated[int, Ge(0), Le(128)] = 40

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "images": (
            *("key", "id", "label", "width", "height", "bytes"),
            *("phash", "phash_mirror", "detail_hash", "reject"),
        ),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Rows of `IMAGES` -> rows of `DUPLICATES`: for each photo that has copies, by group, best first; then for each
        that a person dropped.

        The order of the input does not matter. Best is what has more pixels, then more bytes, then a label,
        then the smaller key.
        """
        photos = _best_first(tables["images"])
        said = said_of_photos(tables["overrides"], photos)
        best, look, looks = _looks(photos, said)
        found = _nearest_kept(_allowed(self._copies(looks), look, said), len(best))
        keeper = best[found.better][look]
        for row in sorted(said.copies):  # the better one lies further up: its keeper is known
            keeper[row] = keeper[said.copies[row][0]]
        copies = np.bincount(keeper, minlength=len(photos))[keeper] > 1
        rows = np.flatnonzero(copies)
        rows = rows[np.argsort(keeper[rows], kind="stable")]
        how = found.take(look[rows])
        listed = duplicates(photos, rows, keeper[rows], how.distance, how.mirrored, said)
        return pa.concat_tables([listed, dropped(photos, said)])

    def _copies(self, looks: Hashes) -> "_Pairs":
        phash, mirrored, detail = looks[:, 0], looks[:, 1], looks[:, 2:]
        upright = _Pairs.found(hamming_pairs(phash, phash, self.max_distance), mirrored=False)
        flipped = _Pairs.found(hamming_pairs(mirrored, phash, self.max_distance), mirrored=True)
        pairs = upright.followed_by(flipped)
        pairs = pairs.take(pairs.better < pairs.worse)
        return pairs.take(pairs.differing_bits(detail) <= self.max_detail_distance)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of looks, numbered best first, and how they resemble each other: arrays of one length."""

    better: Int64s
    worse: Int64s
    distance: Int64s  # bits between the perceptual hashes
    mirrored: NDArray[np.bool_]  # it is the mirror image of the worse one that resembles the better one

    @classmethod
    def found(cls, pairs: tuple[Int64s, Int64s, Int64s], mirrored: bool) -> "_Pairs":
        worse, better, distance = pairs
        return cls(better, worse, distance, np.full(len(worse), mirrored))

    def followed_by(self, other: "_Pairs") -> "_Pairs":
        columns = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Pairs(*(np.concatenate(column) for column in columns))

    def take(self, rows: NDArray[Any]) -> "_Pairs":
        return _Pairs(*(column[rows] for column in vars(self).values()))

    def differing_bits(self, detail: Hashes) -> Int64s:
        """Bits between the detail hashes, uint64 (looks, 4)."""
        flip = np.where(self.mirrored[:, None], _MIRRORED, np.uint64(0))
        bits = np.bitwise_count(detail[self.better] ^ detail[self.worse] ^ flip)
        return np.asarray(bits.sum(axis=1), np.int64)


def _best_first(images: pa.Table) -> pa.Table:
    photos = images.filter(pc.is_null(images.column("reject")))
    pixels = pc.multiply(photos.column("width").cast(pa.int64()), photos.column("height").cast(pa.int64()))
    labelled = pc.is_valid(photos.column("label")).cast(pa.int8())
    return (
        photos.append_column("pixels", pixels).append_column("labelled", labelled).sort_by(list(_BEST_FIRST))
    )


def _looks(photos: pa.Table, said: PhotosSaid) -> tuple[Int64s, Int64s, Hashes]:
    """Photos of equal hashes share their neighbours, hence their fate: only the best of them is looked at.
    Photos that a person spoke of have a look of their own, which they share with the same bytes only.

    Returns the row of the best photo of each look, best first; the look of each row; and the hashes of each
    look, uint64 (looks, 6): perceptual, that of the mirror image, and the detail hash.
    """
    detail = np.frombuffer(b"".join(photos.column("detail_hash").to_pylist()), np.uint64).reshape(-1, 4)
    hashes = [np.asarray(photos.column(name).to_numpy(), np.uint64) for name in ("phash", "phash_mirror")]
    looks = np.column_stack([*hashes, detail])
    alone = np.zeros((len(photos), 1), np.uint64)
    for row, first_of_bytes in said.named.items():
        alone[row] = 1 + (len(photos) + row if row in said.dropped else first_of_bytes)
    _, first, look = np.unique(np.hstack([looks, alone]), axis=0, return_index=True, return_inverse=True)
    best = np.sort(first)
    return best, np.searchsorted(best, first[look.ravel()]), looks[best]


def _allowed(pairs: _Pairs, look: Int64s, said: PhotosSaid) -> _Pairs:
    """Without the pairs that a person overruled: what is kept is no copy, and the others are decided already."""
    decided, kept = (look[list(rows)] for rows in ((*said.dropped, *said.copies), said.kept))
    overruled = np.isin(pairs.better, decided) | np.isin(pairs.worse, decided) | np.isin(pairs.worse, kept)
    return pairs.take(~overruled)


def _nearest_kept(pairs: _Pairs, count: int) -> _Pairs:
    """For each of `count` looks, in order, its pair with the nearest kept look, or with itself if kept."""
    own = np.arange(count)
    itself = _Pairs(own, own, np.zeros(count, np.int64), np.zeros(count, bool))
    pairs = pairs.take(_kept(count, pairs.better, pairs.worse)[pairs.better]).followed_by(itself)
    pairs = pairs.take(
        np.lexsort((pairs.mirrored, pairs.better, pairs.distance, pairs.better == pairs.worse, pairs.worse))
    )
    return pairs.take(np.unique(pairs.worse, return_index=True)[1])


def _kept(count: int, better: Int64s, worse: Int64s) -> NDArray[np.bool_]:
    """Which looks are kept, if each is unless a better one that is kept is its copy.

    In rounds: who has no undecided better copy is kept, and drops its worse copies.
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
