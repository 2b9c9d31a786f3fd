"""The lines of `overrides.csv` about pairs of faces and about photos, with row numbers of their tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s


@dataclass(frozen=True)
class PairOverrides:
    """The decisions about pairs of N faces: arrays of one length, each pair a < b once, with key a * N + b."""

    key: Int64s
    line: Int64s
    copy: NDArray[np.bool_]  # True: one shot; False: two shots

    def take(self, rows: NDArray[Any]) -> "PairOverrides":
        """Some of the pairs."""
        return PairOverrides(*(column[rows] for column in vars(self).values()))


def pair_overrides(overrides: pa.Table, ids: pa.ChunkedArray) -> PairOverrides:
    """The last `copy` or `keep` line about each pair of the faces `ids`; lines about other faces are left out."""
    of_pairs = pc.and_(
        pc.is_in(overrides["decision"], pa.array(["copy", "keep"])), pc.is_valid(overrides["other"])
    )
    lines = overrides.filter(of_pairs).sort_by("line")
    faces = ids.combine_chunks()
    a, b = (pc.index_in(lines[name], value_set=faces).fill_null(-1).to_numpy() for name in ("what", "other"))
    known = (a >= 0) & (b >= 0) & (a != b)
    lines, a, b = lines.filter(pa.array(known)), a[known].astype(np.int64), b[known].astype(np.int64)
    backwards = (np.minimum(a, b) * len(ids) + np.maximum(a, b))[::-1]
    key, from_end = np.unique(backwards, return_index=True)
    last = len(lines) - 1 - from_end
    copy = pc.equal(lines["decision"], "copy").to_numpy()
    return PairOverrides(key, lines["line"].to_numpy().astype(np.int64)[last], copy[last])


@dataclass(frozen=True)
class PhotoOverrides:
    """The decisions about photos, by row. Each row is in at most one of `dropped`, `kept` and `copies`."""

    dropped: dict[int, int]  # row -> line of the file
    kept: dict[int, int]
    copies: dict[int, tuple[int, int]]  # row -> the row of the better one, line
    named: dict[int, int]  # row -> the first row of the same bytes, for all bytes that any line is about


def photo_overrides(overrides: pa.Table, photos: pa.Table) -> PhotoOverrides:
    """The last decision about each row of `photos`, with columns key and id, sorted best first.

    Of two copies the later row is the worse one. A line names a photo by its id or its key. Either means all rows of
    the same bytes; but a key, unlike an id, drops its own row alone. A copy of a dropped photo is no copy.
    """
    decided = PhotoOverrides({}, {}, {}, {})
    of_photos = pc.is_in(overrides["decision"], pa.array(["drop", "keep", "copy"]))
    lines = overrides.filter(of_photos).sort_by("line").to_pylist()
    if not lines:
        return decided
    keys, ids = photos["key"].to_pylist(), photos["id"].to_pylist()
    row_of_key = {key: row for row, key in enumerate(keys)}
    rows_of_id: dict[str, list[int]] = {}
    for row, photo in enumerate(ids):
        rows_of_id.setdefault(photo, []).append(row)

    def same_bytes(name: str) -> list[int]:
        row = row_of_key.get(name)
        return rows_of_id.get(name if row is None else ids[row], [])

    def decide(rows: list[int], where: dict[int, Any], what: Any) -> None:
        for row in rows:
            for decision in (decided.dropped, decided.kept, decided.copies):
                decision.pop(row, None)
            where[row] = what

    for line in lines:
        rows, number = same_bytes(line["what"]), line["line"]
        others = same_bytes(line["other"]) if line["other"] is not None else []
        if line["decision"] == "copy":
            if not rows or not others or rows == others:
                continue
            rows, others = sorted((rows, others))
            decide(others, decided.copies, (rows[0], number))
        elif line["decision"] == "keep":
            decide(rows, decided.kept, number)
        else:
            decide(
                [row_of_key[line["what"]]] if line["what"] in row_of_key else rows, decided.dropped, number
            )
        decided.named.update({row: same[0] for same in (rows, others) for row in same})
    for row, (original, _) in list(decided.copies.items()):
        if original in decided.dropped:
            del decided.copies[row]
    return decided
