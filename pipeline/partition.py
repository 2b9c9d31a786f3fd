"""Cutting a source into parts, so that adding photos leaves the finished parts valid.

Boundaries follow the content: a part ends after a photo whose key hashes below a limit, so that a new photo
changes only the part it falls into. A part's name is the hash of its keys. Both are functions of the source
alone, not of the history of the build.
"""

import hashlib
from collections.abc import Iterable, Iterator

import pyarrow as pa

from pipeline.fingerprint import text_digest


def parts(batches: Iterable[pa.Table], rows_per_part: int) -> Iterator[tuple[str, pa.Table]]:
    """Named parts of a stream of rows, in its order: about `rows_per_part` rows, half to twice as many."""
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        start = 0
        for i, key in enumerate(batch.column("key").to_pylist()):
            count += 1
            may_end = count >= rows_per_part / 2
            if (may_end and _ends(key, rows_per_part / 2)) or count >= 2 * rows_per_part:
                waiting.append(batch.slice(start, i + 1 - start))
                yield _named(waiting)
                waiting, start, count = [], i + 1, 0
        if start < len(batch):
            waiting.append(batch.slice(start))
    if waiting:
        yield _named(waiting)


def _named(batches: list[pa.Table]) -> tuple[str, pa.Table]:
    rows = pa.concat_tables(batches).combine_chunks()
    return f"part-{text_digest(*rows.column('key').to_pylist())[:12]}", rows


def _ends(key: str, one_in: float) -> bool:
    digest = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") * one_in < 2**64
