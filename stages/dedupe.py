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

from schemas.reject import Reject
from schemas.tables import DUPLICATES
from stages.hashing import MIRRORED_DETAIL
from stages.neighbours import Hashes, Ints, hamming_pairs

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
    """

    max_distance: Annotated[int, Ge(0), Le(32)] = 8
    max_detail_distance: Annotated[int, Ge(0), Le(128)] = 32

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "images": (
            *("key", "id", "label", "width", "height", "bytes"),
            *("phash", "phash_mirror", "detail_hash", "reject"),
        )
    }
    writes: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Rows of `IMAGES` -> rows of `DUPLICATES`, one for each photo that has copies: by group, best first.

        The order of the input does not matter. Best is what has more pixels, then more bytes, then a label,
        then the smaller key.
        """
        photos = _best_first(tables["images"])
        best, look, looks = _looks(photos)
        found = _nearest_kept(self._copies(looks), len(best))
        keeper = best[found.better][look]
        copies = np.bincount(keeper, minlength=len(photos))[keeper] > 1
        rows = np.flatnonzero(copies)
        rows = rows[np.argsort(keeper[rows], kind="stable")]
        return _duplicates(photos.take(rows), photos.take(keeper[rows]), found.take(look[rows]))

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

    better: Ints
    worse: Ints
    distance: Ints  # bits between the perceptual hashes
    mirrored: NDArray[np.bool_]  # it is the mirror image of the worse one that resembles the better one

    @classmethod
    def found(cls, pairs: tuple[Ints, Ints, Ints], mirrored: bool) -> "_Pairs":
        worse, better, distance = pairs
        return cls(better, worse, distance, np.full(len(worse), mirrored))

    def followed_by(self, other: "_Pairs") -> "_Pairs":
        columns = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Pairs(*(np.concatenate(column) for column in columns))

    def take(self, rows: NDArray[Any]) -> "_Pairs":
        return _Pairs(*(column[rows] for column in vars(self).values()))

    def differing_bits(self, detail: Hashes) -> Ints:
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


def _looks(photos: pa.Table) -> tuple[Ints, Ints, Hashes]:
    """Photos of equal hashes share their neighbours, hence their fate: only the best of them is looked at.

    Returns the row of the best photo of each look, best first; the look of each row; and the hashes of each
    look, uint64 (looks, 6): perceptual, that of the mirror image, and the detail hash.
    """
    detail = np.frombuffer(b"".join(photos.column("detail_hash").to_pylist()), np.uint64).reshape(-1, 4)
    hashes = [np.asarray(photos.column(name).to_numpy(), np.uint64) for name in ("phash", "phash_mirror")]
    looks = np.column_stack([*hashes, detail])
    _, first, look = np.unique(looks, axis=0, return_index=True, return_inverse=True)
    best = np.sort(first)
    return best, np.searchsorted(best, first[look.ravel()]), looks[best]


def _nearest_kept(pairs: _Pairs, count: int) -> _Pairs:
    """For each of `count` looks, in order, its pair with the nearest kept look, or with itself if kept."""
    own = np.arange(count)
    itself = _Pairs(own, own, np.zeros(count, np.int64), np.zeros(count, bool))
    pairs = pairs.take(_kept(count, pairs.better, pairs.worse)[pairs.better]).followed_by(itself)
    pairs = pairs.take(
        np.lexsort((pairs.mirrored, pairs.better, pairs.distance, pairs.better == pairs.worse, pairs.worse))
    )
    return pairs.take(np.unique(pairs.worse, return_index=True)[1])


def _kept(count: int, better: Ints, worse: Ints) -> NDArray[np.bool_]:
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


def _duplicates(photos: pa.Table, kept: pa.Table, found: _Pairs) -> pa.Table:
    """Rows of `DUPLICATES` for photos and, row by row, what is kept for each and how they resemble."""
    rows = zip(
        photos.to_pylist(), kept.to_pylist(), found.distance.tolist(), found.mirrored.tolist(), strict=True
    )
    return pa.Table.from_pylist([_duplicate(*row) for row in rows], DUPLICATES)


def _duplicate(photo: dict[str, Any], kept: dict[str, Any], distance: int, mirrored: bool) -> dict[str, Any]:
    row = {name: photo[name] for name in ("key", "id", "label")}
    row |= {"group": kept["id"], "kept_key": kept["key"], "kept_label": kept["label"], "distance": distance}
    if photo["key"] == kept["key"]:
        return row | {"kept": True, "kind": "kept"}
    row |= {"kept": False, "why": _why(photo, kept)}
    if photo["id"] == kept["id"]:
        return row | {"kind": "exact", "reject": Reject.DUPLICATE_EXACT}
    return row | {"kind": "mirror" if mirrored else "near", "reject": Reject.DUPLICATE_NEAR}


def _why(photo: dict[str, Any], kept: dict[str, Any]) -> str:
    if photo["pixels"] != kept["pixels"]:
        sizes = f"{kept['width']}x{kept['height']} over {photo['width']}x{photo['height']}"
        return f"kept is larger: {sizes}"
    if photo["bytes"] != kept["bytes"]:
        return f"kept has more bytes: {kept['bytes']} over {photo['bytes']}"
    if photo["labelled"] != kept["labelled"]:
        return "kept has a label"
    return f"kept comes first by name: {kept['key']}"
