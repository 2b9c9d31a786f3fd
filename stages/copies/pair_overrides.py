"""What a person said in `overrides.csv` of pairs of faces and of photos, by the rows of the tables they are in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s


@dataclass(frozen=True)
class PairsSaid:
    """What a person decided of pairs of N faces: arrays of one length, each pair a < b once, its key a * N + b."""

    key: Int64s
    line: Int64s
    copy: NDArray[np.bool_]  # one shot; else two shots

    def take(self, rows: NDArray[Any]) -> "PairsSaid":
        """Some of them."""
        return PairsSaid(*(column[rows] for column in vars(self).values()))


def said_of_pairs(overrides: pa.Table, ids: pa.ChunkedArray) -> PairsSaid:
    """The last `copy` or `keep` of each pair of the faces `ids`; lines about other faces say nothing here."""
    of_pairs = pc.and_(
        pc.is_in(overrides["decision"], pa.array(["copy", "keep"])), pc.is_valid(overrides["other"])
    )
    said = overrides.filter(of_pairs).sort_by("line")
    faces = ids.combine_chunks()
    a, b = (pc.index_in(said[name], value_set=faces).fill_null(-1).to_numpy() for name in ("what", "other"))
    known = (a >= 0) & (b >= 0) & (a != b)
    said, a, b = said.filter(pa.array(known)), a[known].astype(np.int64), b[known].astype(np.int64)
    backwards = (np.minimum(a, b) * len(ids) + np.maximum(a, b))[::-1]
    key, from_end = np.unique(backwards, return_index=True)
    last = len(said) - 1 - from_end
    copy = pc.equal(said["decision"], "copy").to_numpy()
    return PairsSaid(key, said["line"].to_numpy().astype(np.int64)[last], copy[last])


@dataclass(frozen=True)
class PhotosSaid:
    """What a person decided of photos, by row; each row is in one of the three at most."""

    dropped: dict[int, int]  # row -> line of the file
    kept: dict[int, int]
    copies: dict[int, tuple[int, int]]  # row -> the row of the better one, line
    named: dict[int, int]  # row -> the first row of the same bytes, for all bytes that any line is about

    @property
    def anything(self) -> bool:
        """Whether any line is about these photos."""
        return bool(self.named)


def said_of_photos(overrides: pa.Table, photos: pa.Table) -> PhotosSaid:
    """The last word on each row of `photos` (key, id), which lie best first: of two copies the later is the worse.

    A photo is meant by its id or by its key. Either stands for all rows of the same bytes; but a key, unlike an id,
    drops its own row alone. A copy of what is dropped is no copy.
    """
    said = PhotosSaid({}, {}, {}, {})
    of_photos = pc.is_in(overrides["decision"], pa.array(["drop", "keep", "copy"]))
    words = overrides.filter(of_photos).sort_by("line").to_pylist()
    if not words:
        return said
    keys, ids = photos["key"].to_pylist(), photos["id"].to_pylist()
    row_of_key = {key: row for row, key in enumerate(keys)}
    rows_of_id: dict[str, list[int]] = {}
    for row, photo in enumerate(ids):
        rows_of_id.setdefault(photo, []).append(row)

    def same_bytes(name: str) -> list[int]:
        row = row_of_key.get(name)
        return rows_of_id.get(name if row is None else ids[row], [])

    def say(rows: list[int], where: dict[int, Any], what: Any) -> None:
        for row in rows:
            for decision in (said.dropped, said.kept, said.copies):
                decision.pop(row, None)
            where[row] = what

    for word in words:
        rows, line = same_bytes(word["what"]), word["line"]
        others = same_bytes(word["other"]) if word["other"] is not None else []
        if word["decision"] == "copy":
            if not rows or not others or rows == others:
                continue
            rows, others = sorted((rows, others))
            say(others, said.copies, (rows[0], line))
        elif word["decision"] == "keep":
            say(rows, said.kept, line)
        else:
            say([row_of_key[word["what"]]] if word["what"] in row_of_key else rows, said.dropped, line)
        said.named.update({row: same[0] for same in (rows, others) for row in same})
    for row, (original, _) in list(said.copies.items()):
        if original in said.dropped:
            del said.copies[row]
    return said
