"""Exports of small sets, and what is in them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.export.export import ExportOptions, export_command


def export(place: Path | str, layout: str, out: Path, split: str | None = None) -> list[str]:
    """Export a set; returns the lines that the user sees."""
    console = Console(record=True, width=500, file=io.StringIO())
    export_command(ExportOptions(str(place), layout, out, split), console)
    return console.export_text().splitlines()


def rows_of(out: Path, name: str = "files.csv") -> list[dict[str, str]]:
    with (out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def summary_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "export.json").read_text()))


def contents(out: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder."""
    return {
        str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
    }
