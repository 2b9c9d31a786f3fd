"""The rows of `DUPLICATES`: photos that have copies or that an override drops, whether they are kept, and why."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DUPLICATES
from facerefs.stages.copies.pair_overrides import PhotoOverrides

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Match:
    """How photos match the photo that is kept for them: arrays of one length."""

    keeper: Int64s  # its row
    distance: Int64s  # bits between the perceptual hashes
    mirrored: NDArray[np.bool_]  # one of the two hashes is that of the mirror image
    certain: NDArray[np.bool_]  # the two differ nowhere

    def block(self, start: int) -> "Match":
        """A block of the matches."""
        return Match(*(column[start : start + _ROWS_AT_ONCE] for column in vars(self).values()))


def duplicates(photos: pa.Table, rows: Int64s, match: Match, overrides: PhotoOverrides) -> pa.Table:
    """The rows of `DUPLICATES` for some `rows` of `photos`, in their order, which match as `match` says."""
    photos = photos.drop_columns(["detail_hash"])
    blocks = [
        _block(photos, rows[start : start + _ROWS_AT_ONCE], match.block(start), overrides)
        for start in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return pa.concat_tables([DUPLICATES.empty_table(), *blocks])


def _block(photos: pa.Table, rows: Int64s, match: Match, overrides: PhotoOverrides) -> pa.Table:
    columns = (
        photos.take(rows).to_pylist(),
        photos.take(match.keeper).to_pylist(),
        match.distance.tolist(),
        match.mirrored.tolist(),
        match.certain.tolist(),
    )
    listed = zip(*columns, _lines(overrides, rows), strict=True)
    return pa.Table.from_pylist([_duplicate(*row) for row in listed], DUPLICATES)


def dropped(photos: pa.Table, overrides: PhotoOverrides) -> pa.Table:
    """The rows of `DUPLICATES` for photos that an override drops, sorted by key."""
    rows = (
        photos.select(["key", "id", "label"]).take(pa.array(list(overrides.dropped), pa.int64())).to_pylist()
    )
    dropped = [
        row
        | {
            "kept": False,
            "kind": "dropped",
            "why": f"overrides.csv, line {line}",
            "reject": Reject.DROPPED_BY_PERSON,
        }
        for row, line in zip(rows, overrides.dropped.values(), strict=True)
    ]
    return pa.Table.from_pylist(dropped, DUPLICATES).sort_by("key")


def _lines(overrides: PhotoOverrides, rows: Int64s) -> list[int | None]:
    """For each row the override line by which it is a copy or is kept; None if there is none."""
    lines = overrides.kept | {row: line for row, (_, line) in overrides.copies.items()}
    return [lines.get(row) for row in rows.tolist()]


def _duplicate(
    photo: dict[str, Any],
    kept: dict[str, Any],
    distance: int,
    mirrored: bool,
    certain: bool,
    line: int | None,
) -> dict[str, Any]:
    row = {name: photo[name] for name in ("key", "id", "label")} | {"certain": certain or line is not None}
    row |= {"group": kept["id"], "kept_key": kept["key"], "kept_label": kept["label"], "distance": distance}
    forced = None if line is None else f"overrides.csv, line {line}"
    if photo["key"] == kept["key"]:
        return row | {"kept": True, "kind": "kept", "why": forced}
    row |= {"kept": False, "why": forced or _why(photo, kept)}
    if photo["id"] == kept["id"]:
        return row | {"kind": "exact", "why": _why(photo, kept), "reject": Reject.DUPLICATE_EXACT}
    if forced is not None:
        upright, flipped = ((photo[name] ^ kept["phash"]).bit_count() for name in ("phash", "phash_mirror"))
        row["distance"], mirrored = min(upright, flipped), flipped < upright
    return row | {"kind": "mirror" if mirrored else "near", "reject": Reject.DUPLICATE_NEAR}


def _why(photo: dict[str, Any], kept: dict[str, Any]) -> str:
    if kept["pixels"] <= photo["pixels"] and photo["blurrier"] > kept["blurrier"]:
        sides = " over ".join(f"{one['detail_px']:.0f} of {_side(one):.0f}" for one in (kept, photo))
        return f"kept has more real detail, in pixels of the side: {sides}"
    if photo["pixels"] != kept["pixels"]:
        sizes = f"{kept['width']}x{kept['height']} over {photo['width']}x{photo['height']}"
        return f"kept is larger: {sizes}"
    if photo["bytes"] != kept["bytes"]:
        return f"kept has more bytes: {kept['bytes']} over {photo['bytes']}"
    if photo["labelled"] != kept["labelled"]:
        return "kept has a label"
    return f"kept comes first by name: {kept['key']}"


def _side(photo: dict[str, Any]) -> float:
    """The side of a square of as many pixels."""
    return math.sqrt(photo["pixels"])
