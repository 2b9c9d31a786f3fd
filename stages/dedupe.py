"""Dedupe: keep the best copy of every photo, and reject the others with the reason.

Copies have the same bytes, or perceptual hashes a few bits apart, upright or mirrored. A photo is compared
with the photos that are *kept*, best first: a chain of similar photos never drops a photo that is similar to none
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
from facerefs.stages.copies.pair_overrides import PhotoOverrides, photo_overrides
from facerefs.stages.images.hashing import MIRRORED_DETAIL
from facerefs.stages.join import left_join
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
    """Group copies of a photo: the perceptual hash finds what may be one, the detail hash tells copies from other
    photos of one scene.

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
            *("phash", "phash_mirror", "detail_hash", "reject"),
        ),
        "sources": ("key", "label"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Rows of `IMAGES`, labels of `SOURCES` -> rows of `DUPLICATES`: for each photo that has copies, by group, best
        first; then for each that an override drops.

        The order of the input does not matter. The best photo has more pixels, then more bytes, then a label,
        then the smaller key.
        """
        labels = tables["sources"].select(["key", "label"])
        photos = _best_first(left_join(tables["images"], "key", labels, "key"))
        overrides = photo_overrides(tables["overrides"], photos)
        best, signature, signatures = _signatures(photos, overrides)
        found = _nearest_kept(_allowed(self._copies(signatures), signature, overrides), len(best))
        keeper = best[found.better][signature]
        for row in sorted(overrides.copies):  # the better one has a smaller row: its keeper is known
            keeper[row] = keeper[overrides.copies[row][0]]
        copies = np.bincount(keeper, minlength=len(photos))[keeper] > 1
        rows = np.flatnonzero(copies)
        rows = rows[np.argsort(keeper[rows], kind="stable")]
        how = found.take(signature[rows])
        listed = duplicates(photos, rows, keeper[rows], how.distance, how.mirrored, overrides)
        return pa.concat_tables([listed, dropped(photos, overrides)])

    def _copies(self, signatures: Hashes) -> "_Pairs":
        phash, mirrored, detail = signatures[:, 0], signatures[:, 1], signatures[:, 2:]
        upright = _Pairs.found(hamming_pairs(phash, phash, self.max_distance), mirrored=False)
        flipped = _Pairs.found(hamming_pairs(mirrored, phash, self.max_distance), mirrored=True)
        pairs = upright.followed_by(flipped)
        pairs = pairs.take(pairs.better < pairs.worse)
        return pairs.take(pairs.differing_bits(detail) <= self.max_detail_distance)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of signatures, numbered best first, and how they match: arrays of one length."""

    better: Int64s
    worse: Int64s
    distance: Int64s  # bits between the perceptual hashes
    mirrored: NDArray[np.bool_]  # the mirror image of the worse one matches the better one

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
        """Bits between the detail hashes of each pair. detail: uint64 (signatures, 4)."""
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


def _signatures(photos: pa.Table, overrides: PhotoOverrides) -> tuple[Int64s, Int64s, Hashes]:
    """The distinct signatures of the photos: those with equal hashes have one, and only the best is compared.

    Photos that an override line names share a signature with the same bytes only.

    Returns the row of the best photo of each signature, best first; the signature of each row; and the hashes of
    each signature, uint64 (signatures, 6): perceptual, that of the mirror image, and the detail hash.
    """
    detail = np.frombuffer(b"".join(photos.column("detail_hash").to_pylist()), np.uint64).reshape(-1, 4)
    hashes = [np.asarray(photos.column(name).to_numpy(), np.uint64) for name in ("phash", "phash_mirror")]
    hashed = np.column_stack([*hashes, detail])
    alone = np.zeros((len(photos), 1), np.uint64)
    for row, first_of_bytes in overrides.named.items():
        alone[row] = 1 + (len(photos) + row if row in overrides.dropped else first_of_bytes)
    _, first, signature = np.unique(
        np.hstack([hashed, alone]), axis=0, return_index=True, return_inverse=True
    )
    best = np.sort(first)
    return best, np.searchsorted(best, first[signature.ravel()]), hashed[best]


def _allowed(pairs: _Pairs, signature: Int64s, overrides: PhotoOverrides) -> _Pairs:
    """The pairs without those that overrides decide: a photo to keep is no copy, and the others are decided already."""
    decided, kept = (
        signature[list(rows)] for rows in ((*overrides.dropped, *overrides.copies), overrides.kept)
    )
    overruled = np.isin(pairs.better, decided) | np.isin(pairs.worse, decided) | np.isin(pairs.worse, kept)
    return pairs.take(~overruled)


def _nearest_kept(pairs: _Pairs, count: int) -> _Pairs:
    """For each of `count` signatures, in order, its pair with the nearest kept one, or with itself if kept."""
    own = np.arange(count)
    itself = _Pairs(own, own, np.zeros(count, np.int64), np.zeros(count, bool))
    pairs = pairs.take(_kept(count, pairs.better, pairs.worse)[pairs.better]).followed_by(itself)
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
