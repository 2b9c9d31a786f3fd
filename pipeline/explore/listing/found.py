"""The rows of a view that a query asks for: one page of them, how many there are, and how many of each choice."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.explore.listing.query import NOTHING, PAGE_ROWS, ListQuery, Range
from facerefs.pipeline.explore.views.view import Column, Row, View

_MOST_VALUES = 30
_MOST_SORTED = 4


@dataclass(frozen=True)
class Facet:
    """The values of a column of choices with their numbers of rows under the other filters, most frequent first.

    left_out: how many more values there are.
    """

    column: Column
    values: tuple[tuple[str, int], ...]
    left_out: int


@dataclass(frozen=True)
class Found:
    """What a query found. rows: those of its page. total: rows of the view."""

    total: int
    found: int
    pages: int
    rows: tuple[Row, ...]
    facets: tuple[Facet, ...]


class FoundRows:
    """Answers queries on the rows of a view; the order of the last queries is kept, so that paging is fast."""

    def __init__(self, view: View, rows: pa.Table) -> None:
        self._view, self._rows = view, rows
        self._orders: dict[tuple[object, ...], pa.Array] = {}

    @property
    def rows(self) -> pa.Table:
        """All rows of the view."""
        return self._rows

    def find(self, query: ListQuery) -> Found:
        """The rows that a query asks for."""
        masks = self._masks(query)
        order = self._order(query, list(masks.values()))
        page = order.slice(query.page * PAGE_ROWS, PAGE_ROWS)
        return Found(
            total=len(self._rows),
            found=len(order),
            pages=-(-len(order) // PAGE_ROWS),
            rows=tuple(self._rows.take(page).to_pylist()),
            facets=tuple(self._facets(masks)),
        )

    def _masks(self, query: ListQuery) -> dict[str, pa.ChunkedArray]:
        """For each condition the rows that meet it, by the column; the search for text under the name `q`."""
        masks = {}
        if query.text:
            texts = [column.name for column in self._view.columns if column.kind in ("text", "name")]
            masks["q"] = reduce(pc.or_, (_contains(self._rows[name], query.text) for name in texts))
        for name, values in query.choices.items():
            masks[name] = _is_one_of(self._rows[name], values)
        for name, value in query.names.items():
            masks[name] = _is_one_of(self._rows[name], (value,))
        for name, limits in query.ranges.items():
            masks[name] = _within(self._rows[name], limits)
        return masks

    def _order(self, query: ListQuery, masks: list[pa.ChunkedArray]) -> pa.Array:
        """The numbers of the rows found, in the order that is asked for."""
        key = tuple(query.items())
        if key not in self._orders:
            if len(self._orders) >= _MOST_SORTED:
                del self._orders[next(iter(self._orders))]
            self._orders[key] = self._ordered(query.sort, _all(masks))
        return self._orders[key]

    def _ordered(self, sort: str | None, mask: pa.ChunkedArray | None) -> pa.Array:
        if mask is None:
            at = pa.array(range(len(self._rows)), pa.int64()) if sort is None else None
        else:
            at = pc.indices_nonzero(mask).cast(pa.int64())
        if sort is None:
            return at
        name, down = sort.removeprefix("-"), sort.startswith("-")
        values = self._rows[name] if at is None else self._rows[name].take(at)
        if pa.types.is_dictionary(values.type):
            values = values.cast(pa.string())
        # With the number of the row as the second key, equal values keep the order of the build.
        rows = pa.table({"value": values, "row": pa.array(range(len(values)), pa.int64())})
        order = pc.sort_indices(
            rows, [("value", "descending" if down else "ascending"), ("row", "ascending")]
        )
        return order.cast(pa.int64()) if at is None else at.take(order)

    def _facets(self, masks: dict[str, pa.ChunkedArray]) -> Iterator[Facet]:
        for column in self._view.columns:
            if column.kind != "choice":
                continue
            mask = _all([one for name, one in masks.items() if name != column.name])
            values = self._rows[column.name]
            values = values if mask is None else values.filter(mask)
            counts = pc.value_counts(values).to_pylist()
            named = [
                (NOTHING if one["values"] is None else str(one["values"]), one["counts"]) for one in counts
            ]
            named.sort(key=lambda one: (-one[1], one[0]))
            yield Facet(column, tuple(named[:_MOST_VALUES]), max(0, len(named) - _MOST_VALUES))


def _contains(values: pa.ChunkedArray, text: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.match_substring(values, text, ignore_case=True), False)


def _is_one_of(values: pa.ChunkedArray, wanted: tuple[str, ...]) -> pa.ChunkedArray:
    named = pa.array([value for value in wanted if value != NOTHING], pa.string())
    texts = values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values
    mask = pc.is_in(texts, value_set=named)
    return pc.or_(mask, pc.is_null(texts)) if NOTHING in wanted else mask


def _within(values: pa.ChunkedArray, limits: Range) -> pa.ChunkedArray:
    numbers = values.cast(pa.float64())
    mask = pc.is_valid(numbers)
    if limits.low is not None:
        mask = pc.and_(mask, pc.fill_null(pc.greater_equal(numbers, limits.low), False))
    if limits.high is not None:
        mask = pc.and_(mask, pc.fill_null(pc.less_equal(numbers, limits.high), False))
    return mask


def _all(masks: list[pa.ChunkedArray]) -> pa.ChunkedArray | None:
    return reduce(pc.and_, masks) if masks else None
