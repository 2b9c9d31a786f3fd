"""Copies of photos, beside the one that was kept."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage

_GROUPS = 10
_COPIES = 4


@dataclass(frozen=True)
class Copy:
    """A photo of a group; `distance` in bits of the perceptual hash to the kept one."""

    picture: Picture | None
    key: str
    label: str | None
    kind: str
    distance: int | None
    why: str | None


@dataclass(frozen=True)
class Group:
    """A kept photo and some of its copies."""

    kept: Copy
    copies: list[Copy]
    copies_total: int


@dataclass(frozen=True)
class Duplicates:
    """Some groups, and of how many."""

    groups_total: int
    kinds: list[tuple[str, int]]
    groups: list[Group]


def duplicates(storage: Storage, album: Album) -> Duplicates:
    """Collect groups of copies."""
    rows = storage.scan("duplicates")
    rows = rows.filter(pc.is_valid(rows.column("kept_key")))  # without those that a person dropped
    copies = rows.filter(pc.invert(pc.fill_null(rows.column("kept"), False)))
    kinds = copies.group_by("kind").aggregate([("key", "count")])
    kinds = kinds.sort_by([("key_count", "descending"), ("kind", "ascending")]).to_pylist()
    names = sorted(pc.unique(rows.column("kept_key")).to_pylist())
    return Duplicates(
        groups_total=len(names),
        kinds=[(kind["kind"], kind["key_count"]) for kind in kinds],
        groups=[_group(name, rows, album) for name in spread(names, _GROUPS)],
    )


def _group(kept_key: str, rows: pa.Table, album: Album) -> Group:
    group = rows.filter(pc.equal(rows.column("kept_key"), kept_key)).to_pylist()
    kept = [row for row in group if row["kept"]]
    others = sorted((row for row in group if not row["kept"]), key=lambda row: (row["distance"], row["key"]))
    return Group(
        kept=_copy(kept[0], album),
        copies=[_copy(row, album) for row in spread(others, _COPIES)],
        copies_total=len(others),
    )


def _copy(row: dict[str, Any], album: Album) -> Copy:
    return Copy(album.photo(row["key"]), row["key"], row["label"], row["kind"], row["distance"], row["why"])
