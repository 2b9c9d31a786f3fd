"""Rows of a build's tables as a person reads them: side by side if they fit, else one value below the other."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from facerefs.pipeline.text import shown

_WIDEST_CELL = 48  # characters, where rows are side by side
_MOST_COLUMNS = 16
_LONG = 8  # values of a list that is counted, not printed

Row = Mapping[str, Any]


def print_table(console: Console, name: str, rows: Sequence[Row], of: int) -> None:
    """Print rows of a table; of: how many there are."""
    count = f"{len(rows)} of {of} rows" if len(rows) < of else f"{of} row{'s' if of > 1 else ''}"
    console.print(f"{name}: {count}", style="bold", highlight=False)
    cells = [{column: text for column, value in row.items() if (text := _text(value))} for row in rows]
    columns = [column for column in rows[0] if any(column in row for row in cells)]
    widths = {column: max(len(column), *(len(row.get(column, "")) for row in cells)) for column in columns}
    total = sum(widths.values()) + 2 * len(columns)
    is_wide = len(rows) == 1 or len(columns) > _MOST_COLUMNS or total > console.width
    if is_wide or max(widths.values()) > _WIDEST_CELL:
        _print_below(console, cells, columns)
    else:
        _print_beside(console, cells, columns)
    console.print()


def _print_beside(console: Console, cells: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in cells:
        table.add_row(*(row.get(column, "") for column in columns))
    console.print(table)


def _print_below(console: Console, cells: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    width = max(map(len, columns))
    for number, row in enumerate(cells):
        if number:
            console.print()
        for column in columns:
            if column in row:
                console.print(f"  {column:<{width}}  {row[column]}", highlight=False)


def _text(value: Any) -> str:
    """A value on one line; an empty string for null."""
    if value is None:
        return ""
    if isinstance(value, list) and len(value) > _LONG:
        return f"[{len(value)} values]"
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return str(shown(value))
    return str(shown(json.dumps(value, default=str, ensure_ascii=False)))
