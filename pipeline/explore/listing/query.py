"""What a list is asked for, from the query of its address: text, filters, order and page."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.views.view import Column, View

NOTHING = "-none-"
"""Stands for rows without a value in a filter of a choice or a name."""
PAGE_ROWS = 48
_MOST_TEXT = 400
_MOST_PAGES = 10_000_000


@dataclass(frozen=True)
class Range:
    """Limits of a number, both included; None: no limit."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ListQuery:
    """What a list is asked for. sort: a column, with `-` before it for the largest first; None: as in the build."""

    text: str = ""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    sort: str | None = None
    page: int = 0

    @property
    def is_filtered(self) -> bool:
        """Whether any row may be left out."""
        return bool(self.text or self.choices or self.names or self.ranges)

    def items(self) -> list[tuple[str, str]]:
        """The query as it is in an address, without the page."""
        found = [("q", self.text)] if self.text else []
        found += [(name, value) for name, values in self.choices.items() for value in values]
        found += list(self.names.items())
        for name, limits in self.ranges.items():
            found += [(f"{name}_min", f"{limits.low:g}")] if limits.low is not None else []
            found += [(f"{name}_max", f"{limits.high:g}")] if limits.high is not None else []
        return found + ([("sort", self.sort)] if self.sort else [])

    def address(self, page: int) -> str:
        """The query of an address for another page of the same list, with the question mark."""
        return "?" + urlencode([*self.items(), *([("page", str(page + 1))] if page else [])])


def read_query(view: View, given: Iterable[tuple[str, str]]) -> ListQuery:
    """The query of an address. Empty values count as not given. Raises UserError for anything that it cannot mean."""
    text, sort, page = "", None, 0
    choices: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    ranges: dict[str, Range] = {}
    for name, value in given:
        if not value:
            continue
        if len(value) > _MOST_TEXT:
            raise UserError(f"the value of {name[:40]!r} is longer than {_MOST_TEXT} characters: shorten it")
        column = view.column(name)
        if name == "q":
            text = value.strip()
        elif name == "sort":
            sort = _sort(view, value)
        elif name == "page":
            page = _page(value)
        elif column is not None and column.kind == "choice":
            choices.setdefault(name, []).append(value)
        elif column is not None and column.kind in ("name", "text"):
            names[name] = value
        else:
            limited, limit = _limit(view, name, value)
            ranges[limited.name] = _narrowed(ranges.get(limited.name, Range()), name, limit)
    return ListQuery(
        text, {name: tuple(values) for name, values in choices.items()}, names, ranges, sort, page
    )


def _sort(view: View, value: str) -> str:
    if view.column(value.removeprefix("-")) is None:
        raise UserError(f"{view.units} cannot be sorted by {value[:40]!r}: choose a column of the list")
    return value


def _page(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= _MOST_PAGES:
        raise UserError(f"the page {value[:40]!r} is no number from 1 on")
    return int(value[:9]) - 1


def _limit(view: View, name: str, value: str) -> tuple[Column, float]:
    column = view.column(name.removesuffix("_min").removesuffix("_max"))
    if column is None or column.kind != "number" or column.name == name:
        raise UserError(f"{view.units} have no column {name[:40]!r} to filter by")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} is {value[:40]!r}, which is no number")
    return column, number


def _narrowed(before: Range, name: str, limit: float) -> Range:
    return Range(limit, before.high) if name.endswith("_min") else Range(before.low, limit)
