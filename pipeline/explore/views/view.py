"""A view: rows joined from the tables of a build, the columns to search and sort them by, and how a row is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject

Kind = Literal["text", "name", "choice", "number"]
"""How a column is filtered: a part of the text, the whole name, one of a few values, or a range."""
PictureOf = Literal["face", "photo", "gt", "lq", "ref0"]
Row = Mapping[str, Any]
ACCEPTED = "accepted"
"""The value of a column `reason` in rows that no stage rejected."""


@dataclass(frozen=True)
class Column:
    """A column that can be searched, filtered or sorted by. note: its unit and meaning."""

    name: str
    title: str
    kind: Kind
    note: str = ""
    digits: int = 2


@dataclass(frozen=True)
class Picture:
    """A picture of a card: of a face by id, of a photo by key, or of a file of a sample by the sample's key."""

    of: PictureOf
    id: str
    caption: str = ""
    other_build: bool = False  # of the second of two builds that are compared


@dataclass(frozen=True)
class Choice:
    """A decision that a button writes into `overrides.csv`. key: the letter that does the same."""

    title: str
    key: str
    decision: str
    what: str
    other: str = ""


@dataclass(frozen=True)
class Card:
    """One row as it is shown. subject: the face, photo or name that a decision on two things may be about."""

    title: str
    opens: str | None  # what the page of details is asked for
    pictures: tuple[Picture, ...] = ()
    badges: tuple[tuple[str, str], ...] = ()  # a kind for the colour, and the text
    figures: tuple[tuple[str, str], ...] = ()
    detail: str | None = None
    subject: str | None = None
    choices: tuple[Choice, ...] = ()
    more: tuple[
        tuple[str, Mapping[str, str]], ...
    ] = ()  # further views: title, and the query of the view `faces`


@dataclass(frozen=True)
class View:
    """A list of the page. rows: reads it from a build; the first column of the rows identifies a row."""

    name: str
    title: str
    unit: str
    units: str
    lead: str
    columns: tuple[Column, ...]
    rows: Callable[[Storage], pa.Table]
    card: Callable[[Row], Card]

    def column(self, name: str) -> Column | None:
        """The column of this name, if the view has one."""
        return next((column for column in self.columns if column.name == name), None)


def with_choices(rows: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """The rows with each column of few values as a dictionary, which makes counting and comparing fast."""
    for column in columns:
        if column.kind == "choice":
            at = rows.column_names.index(column.name)
            values = pc.dictionary_encode(rows[column.name].combine_chunks(), null_encoding="mask")
            rows = rows.set_column(at, column.name, values)
    return rows


def first_reason(*stages: tuple[str, pa.ChunkedArray, pa.ChunkedArray | None]) -> dict[str, pa.Array]:
    """Columns stage, reason and why: of each row, the first stage that rejected it.

    stages: name, reasons and sentences of each stage. Rows that none rejected have the reason `ACCEPTED`.
    """
    rows = len(stages[0][1])
    stage, reason, why = (pa.chunked_array([pa.nulls(rows, pa.string())]) for _ in range(3))
    for name, reasons, sentences in stages:
        new = pc.and_(pc.is_null(reason), pc.is_valid(reasons))
        stage = pc.if_else(new, name, stage)
        reason = pc.if_else(new, reasons, reason)
        why = why if sentences is None else pc.if_else(new, sentences, why)
    return {"stage": stage, "reason": pc.fill_null(reason, ACCEPTED), "why": why}


def reason_badges(row: Row) -> tuple[tuple[str, str], ...]:
    """The badge of a rejected row, in words; none for an accepted row."""
    reason = row["reason"]
    if reason == ACCEPTED:
        return ()
    return (("dropped", words_of(reason)),)


def words_of(reason: str) -> str:
    """A reject reason as a short sentence; a value that is none, unchanged."""
    return Reject(reason).sentence if reason in set(Reject) else reason


def counted(values: pa.ChunkedArray, name: str) -> pa.Table:
    """How often each value occurs: a table with the columns `name` and `count`."""
    counts = pc.value_counts(values.drop_null())
    return pa.table({name: counts.field("values"), "count": counts.field("counts").cast(pa.int32())})
