"""The rows of `DUPLICATES`: what became of photos that have copies, or that a person dropped, and why."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DUPLICATES
from facerefs.stages.copies.pair_overrides import PhotosSaid


def duplicates(
    photos: pa.Table,
    rows: Int64s,
    keeper: Int64s,
    distance: Int64s,
    mirrored: NDArray[np.bool_],
    said: PhotosSaid,
) -> pa.Table:
    """Some `rows` of `photos`, in their order; and row by row what is kept for each and how they resemble.

    distance: bits between the perceptual hashes; mirrored: those of one photo and of the other's mirror image.
    """
    columns = (
        photos.take(rows).to_pylist(),
        photos.take(keeper).to_pylist(),
        distance.tolist(),
        mirrored.tolist(),
    )
    listed = zip(*columns, _lines(said, rows), strict=True)
    return pa.Table.from_pylist([_duplicate(*row) for row in listed], DUPLICATES)


def dropped(photos: pa.Table, said: PhotosSaid) -> pa.Table:
    """The photos that a person dropped, by key."""
    rows = photos.select(["key", "id", "label"]).take(pa.array(list(said.dropped), pa.int64())).to_pylist()
    dropped = [
        row
        | {
            "kept": False,
            "kind": "dropped",
            "why": f"overrides.csv, line {line}",
            "reject": Reject.DROPPED_BY_PERSON,
        }
        for row, line in zip(rows, said.dropped.values(), strict=True)
    ]
    return pa.Table.from_pylist(dropped, DUPLICATES).sort_by("key")


def _lines(said: PhotosSaid, rows: Int64s) -> list[int | None]:
    """For each row the line by which a person decided that it is a copy, or is kept."""
    lines = said.kept | {row: line for row, (_, line) in said.copies.items()}
    return [lines.get(row) for row in rows.tolist()]


def _duplicate(
    photo: dict[str, Any], kept: dict[str, Any], distance: int, mirrored: bool, line: int | None
) -> dict[str, Any]:
    row = {name: photo[name] for name in ("key", "id", "label")}
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
    if photo["pixels"] != kept["pixels"]:
        sizes = f"{kept['width']}x{kept['height']} over {photo['width']}x{photo['height']}"
        return f"kept is larger: {sizes}"
    if photo["bytes"] != kept["bytes"]:
        return f"kept has more bytes: {kept['bytes']} over {photo['bytes']}"
    if photo["labelled"] != kept["labelled"]:
        return "kept has a label"
    return f"kept comes first by name: {kept['key']}"
