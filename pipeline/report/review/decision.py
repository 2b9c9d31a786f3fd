"""A decision as the review shows it: of whom, by which figures, how certain, and the line that overturns it."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.build.overrides import FILE
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.text import figure

_SHOWN = 8
_CERTAIN = 3  # are shown even so


@dataclass(frozen=True)
class Side:
    """One of the faces or photos that a decision is about; `role` says which, `name` whose it is."""

    picture: Picture | None
    role: str
    name: str | None
    key: str
    kind: str = "face"  # or photo


@dataclass(frozen=True)
class Decision:
    """What was decided, and `line`, which overturns it. certainty: 0 to 1, None if not known."""

    word: str
    sides: list[Side]
    figures: list[tuple[str, str]]
    certainty: float | None
    why: str | None
    line: str | None


@dataclass(frozen=True)
class Group:
    """The least certain decisions of a kind, and of how many."""

    title: str
    note: str
    total: int
    decisions: list[Decision]


def face_side(album: Album, face: str, role: str, name: str | None) -> Side:
    """A face of the build."""
    return Side(album.face(face), role, name, album.origin(face).key)


def without_forced(rows: pa.Table, why: str) -> pa.Table:
    """The rows that no person decided, by what their column `why` says."""
    forced = pc.fill_null(pc.match_substring(rows[why], FILE), False)
    return rows.filter(pc.invert(forced))


def least_certain(rows: pa.Table) -> pa.Table:
    """The first of these rows, which lie in the order of their certainty: few of those that are certain."""
    doubtful = pc.sum(pc.less(pc.fill_null(rows["certainty"], 0), 1)).as_py() or 0
    return first_of(rows, max(doubtful, _CERTAIN))


def first_of(rows: pa.Table, most: int = _SHOWN) -> pa.Table:
    """As many rows as the review has room for."""
    return rows.slice(0, min(most, _SHOWN))


def once_each(rows: pa.Table, names: list[str]) -> pa.Table:
    """The first of the rows of each combination of these columns."""
    rest = [(column, "first") for column in rows.column_names if column not in names]
    found = rows.group_by(names, use_threads=False).aggregate(rest)
    return found.rename_columns([name.removesuffix("_first") for name in found.column_names])


def percent(share: float | None) -> str:
    """0.0123 -> 1.23 %."""
    return "–" if share is None else f"{figure(100 * share, 2)} %"
