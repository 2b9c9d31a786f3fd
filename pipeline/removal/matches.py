"""Photos of a build that must not be in it: by what a source says of them, by their bytes, and by their looks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.pipeline.removal.tombstones import Tombstones
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.arrays import UInt64s
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.images.hashing import MIRRORED_DETAIL

_HASHES = ("phash", "phash_mirror", "detail_hash")
_MIRRORED = np.frombuffer(MIRRORED_DETAIL, np.uint64)


def removed_keys(storage: Storage, removed: Tombstones, rule: Dedupe) -> dict[str, str]:
    """The keys of all photos that must not be in the build, and why: listed, bytes or copy.

    rule: what counts as a copy. A photo that only may be one, since it differs in some place, counts as well.
    """
    return dict(
        [
            *_by_looks(storage, removed, rule),
            *_by_bytes(storage, removed),
            *_by_list(storage, removed),
        ]
    )


def _by_list(storage: Storage, removed: Tombstones) -> Iterator[tuple[str, str]]:
    for name in storage.parts("sources"):
        rows = storage.read("sources", name, ("key", "url", "page", "label"))
        yield from ((key, "listed") for key in rows["key"].filter(pa.array(removed.listed(rows))).to_pylist())
    for name in storage.parts("downloads"):
        rows = storage.read("downloads", name, ("key", "final_url"))
        for key, url in zip(rows["key"].to_pylist(), rows["final_url"].to_pylist(), strict=True):
            if removed.has_url(url):
                yield key, "listed"


def _by_bytes(storage: Storage, removed: Tombstones) -> Iterator[tuple[str, str]]:
    for name in storage.parts("images"):
        rows = storage.read("images", name, ("key", "id"))
        for key, sha256 in zip(rows["key"].to_pylist(), rows["id"].to_pylist(), strict=True):
            if removed.has_bytes(sha256):
                yield key, "bytes"


def _by_looks(storage: Storage, removed: Tombstones, rule: Dedupe) -> Iterator[tuple[str, str]]:
    graves = removed.photo_hashes()
    for name in storage.parts("images") if len(graves) else ():
        rows = storage.read("images", name, ("key", *_HASHES))
        rows = rows.filter(pc.is_valid(rows["detail_hash"]))
        if len(rows):
            found = _is_copy(hashes_of(rows), graves, rule)
            yield from ((key, "copy") for key in rows["key"].filter(pa.array(found)).to_pylist())


def hashes_of(rows: pa.Table) -> UInt64s:
    """The perceptual hashes of rows of `IMAGES` that have them, uint64 (N, 6)."""
    detail = np.frombuffer(b"".join(rows["detail_hash"].to_pylist()), np.uint64).reshape(-1, 4)
    columns = [np.asarray(rows[name].to_numpy(), np.uint64) for name in _HASHES[:2]]
    return np.column_stack([*columns, detail])


def _is_copy(hashes: UInt64s, graves: UInt64s, rule: Dedupe) -> NDArray[np.bool_]:
    """For each photo whether it is a copy of a removed one, or of its mirror image."""
    found = np.zeros(len(hashes), bool)
    for grave in graves:
        for at, flip in ((0, np.uint64(0)), (1, _MIRRORED)):
            near = np.bitwise_count(hashes[:, 0] ^ grave[at]) <= rule.max_distance
            bits: Any = np.bitwise_count(hashes[:, 2:] ^ grave[2:] ^ flip).sum(axis=1)
            found |= near & (bits <= rule.max_detail_distance)
    return found
