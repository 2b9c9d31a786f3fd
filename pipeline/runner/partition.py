"""Splits a source into parts, so that adding photos leaves the finished parts valid.

Boundaries follow the content: a part ends after a photo whose key hashes below a limit, so that a new photo
changes only the part it falls into. A part's name is the hash of its keys. Both are functions of the source
alone, not of the history of the build. Parts grow with the number of rows before them, so that a list of ten
million makes ten thousand parts, not hundreds of thousands.
"""

import hashlib
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.fingerprint import text_digest

PARTS_BEFORE_GROWTH = 500
MAX_ROWS_PER_PART = 1024  # a part that a kill interrupts is done again: minutes in the slowest stage
MAX_PART_BYTES = 64 << 20


def split_into_parts(batches: Iterable[pa.Table], rows_per_part: int) -> Iterator[tuple[str, pa.Table]]:
    """Names and rows of the parts of a stream of rows, in its order; each of half to twice `rows_per_part` rows.

    After PARTS_BEFORE_GROWTH such parts the size doubles, and again whenever the rows before have doubled, up to
    MAX_ROWS_PER_PART. Rows that hold their photos make a part of MAX_PART_BYTES at most, unless one row has more.
    """
    waiting: list[pa.Table] = []
    count = before = volume = 0
    size = rows_per_part
    for batch in batches:
        start = 0
        for i, (key, length) in enumerate(zip(batch.column("key").to_pylist(), _lengths(batch), strict=True)):
            count += 1
            volume += length
            may_end = count >= size / 2
            if (may_end and _ends(key, size / 2)) or count >= 2 * size or volume >= MAX_PART_BYTES:
                waiting.append(batch.slice(start, i + 1 - start))
                yield _named(waiting)
                before += count
                size = _size(before, rows_per_part)
                waiting, start, count, volume = [], i + 1, 0, 0
        if start < len(batch):
            waiting.append(batch.slice(start))
    if waiting:
        yield _named(waiting)


def _lengths(batch: pa.Table) -> list[int]:
    """The number of photo bytes in each row; 0 for a reference to a photo."""
    photos = batch.column("photo")
    if not pa.types.is_large_binary(photos.type):
        return [0] * len(batch)
    lengths: list[int] = pc.fill_null(pc.binary_length(photos), 0).to_pylist()
    return lengths


def _size(rows_before: int, rows_per_part: int) -> int:
    doublings = (rows_before // (PARTS_BEFORE_GROWTH * rows_per_part)).bit_length()
    return min(rows_per_part << doublings, max(rows_per_part, MAX_ROWS_PER_PART))


def _named(batches: list[pa.Table]) -> tuple[str, pa.Table]:
    rows = pa.concat_tables(batches).combine_chunks()
    return part_name(rows.column("key").to_pylist()), rows


def part_name(keys: Iterable[str]) -> str:
    """The name of the part with these keys."""
    return f"part-{text_digest(*keys)[:12]}"


def _ends(key: str, one_in: float) -> bool:
    digest = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") * one_in < 2**64
