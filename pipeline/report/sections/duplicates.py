"""Groups of duplicate photos: the one that was kept, and its copies."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage

_COLUMNS = ("key", "label", "kept", "kept_key", "kind", "distance", "why", "reject")
_GROUPS = 10
_COPIES = 4


@dataclass(frozen=True)
class DuplicatePhoto:
    """A photo of a group. distance: of its perceptual hash to that of the kept photo, in bits."""

    picture: Picture | None
    key: str
    label: str | None
    kind: str
    distance: int | None
    why: str | None


@dataclass(frozen=True)
class DuplicateGroup:
    """A kept photo and some of its copies."""

    kept: DuplicatePhoto
    copies: list[DuplicatePhoto]
    copies_total: int


@dataclass(frozen=True)
class Duplicates:
    """Some groups of duplicates, and the total number of groups."""

    groups_total: int
    kinds: list[tuple[str, int]]
    groups: list[DuplicateGroup]


def duplicates(storage: Storage, album: Album) -> Duplicates:
    """The groups of duplicate photos to show."""
    rows = duplicates_after_analysis(storage, _COLUMNS)
    rows = rows.filter(pc.is_valid(rows.column("kept_key")))  # without photos that a person dropped
    back = pc.and_(pc.is_null(rows["reject"]), pc.invert(rows["kept"]))
    rows = rows.set_column(_COLUMNS.index("kind"), "kind", pc.if_else(back, "came back", rows["kind"]))
    copies = rows.filter(pc.invert(pc.fill_null(rows.column("kept"), False)))
    kinds = copies.group_by("kind").aggregate([("key", "count")])
    kinds = kinds.sort_by([("key_count", "descending"), ("kind", "ascending")]).to_pylist()
    names = sorted(pc.unique(rows.column("kept_key")).to_pylist())
    return Duplicates(
        groups_total=len(names),
        kinds=[(kind["kind"], kind["key_count"]) for kind in kinds],
        groups=[_group(name, rows, album) for name in spread(names, _GROUPS)],
    )


def _group(kept_key: str, rows: pa.Table, album: Album) -> DuplicateGroup:
    group = rows.filter(pc.equal(rows.column("kept_key"), kept_key)).to_pylist()
    kept = [row for row in group if row["kept"]]
    others = sorted((row for row in group if not row["kept"]), key=lambda row: (row["distance"], row["key"]))
    return DuplicateGroup(
        kept=_copy(kept[0], album),
        copies=[_copy(row, album) for row in spread(others, _COPIES)],
        copies_total=len(others),
    )


def _copy(row: dict[str, Any], album: Album) -> DuplicatePhoto:
    return DuplicatePhoto(
        album.photo(row["key"]), row["key"], row["label"], row["kind"], row["distance"], row["why"]
    )
