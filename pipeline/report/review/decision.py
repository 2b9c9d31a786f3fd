"""A decision as the review shows it: faces or photos, measurements, certainty, and the line that overturns it."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.build.overrides import FILE
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.text import figure

_SHOWN = 8  # at most, of a group
_MIN_SHOWN = 3  # even if all are certain


@dataclass(frozen=True)
class Side:
    """One face or photo that a decision is about. role: its part in the decision; name: the person's name or label."""

    picture: Picture | None
    role: str
    name: str | None
    key: str
    kind: str = "face"  # or photo


@dataclass(frozen=True)
class Decision:
    """A decision. kind: what was decided; certainty: 0 to 1, or None; line: of overrides.csv, overturns it."""

    kind: str
    sides: list[Side]
    figures: list[tuple[str, str]]
    certainty: float | None
    why: str | None
    line: str | None


@dataclass(frozen=True)
class DecisionGroup:
    """The least certain decisions of one kind; total: how many decisions of this kind there are."""

    title: str
    note: str
    total: int
    decisions: list[Decision]


def face_side(album: Album, face: str, role: str, name: str | None) -> Side:
    """A face of the build as a side of a decision."""
    return Side(album.face(face), role, name, album.origin(face).key)


def not_overridden(rows: pa.Table, why: str) -> pa.Table:
    """The rows that no line of overrides.csv decided, by the text of their column `why`."""
    forced = pc.fill_null(pc.match_substring(rows[why], FILE), False)
    return rows.filter(pc.invert(forced))


def least_certain(rows: pa.Table) -> pa.Table:
    """The first rows of a table sorted by certainty: the uncertain ones, and only a few that are certain."""
    uncertain = pc.sum(pc.less(pc.fill_null(rows["certainty"], 0), 1)).as_py() or 0
    return first_of(rows, max(uncertain, _MIN_SHOWN))


def first_of(rows: pa.Table, most: int = _SHOWN) -> pa.Table:
    """The first rows, at most as many as the review shows of a group."""
    return rows.slice(0, min(most, _SHOWN))


def first_of_each(rows: pa.Table, names: list[str]) -> pa.Table:
    """The first row of each combination of values in these columns."""
    rest = [(column, "first") for column in rows.column_names if column not in names]
    found = rows.group_by(names, use_threads=False).aggregate(rest)
    return found.rename_columns([name.removesuffix("_first") for name in found.column_names])


def percent(share: float | None) -> str:
    """A share as text: 0.0123 becomes "1.23 %"."""
    return "–" if share is None else f"{figure(100 * share, 2)} %"
