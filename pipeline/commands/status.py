"""`facerefs status`: show the contents of a build."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.build.leakage import leakage
from facerefs.pipeline.dataset.funnel import funnel
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import TABLES


def print_status(folder: Path) -> None:
    """Print the tables with their parts, rows and bytes, then the funnel with the reasons for rejection."""
    storage = open_build(folder)
    console = Console(soft_wrap=True, markup=False)
    tables = Table("table", "parts", "rows", "MB", box=None, pad_edge=False)
    for name in TABLES:
        parts = [part for item in storage.parts(name) if (part := storage.part(name, item))]
        size = sum(part.tar.size for part in parts if part.tar)
        rows = sum(part.rows for part in parts)
        tables.add_row(name, str(len(parts)), str(rows), f"{size / 1e6:.1f}" if size else "")
    console.print(tables)
    console.print()
    steps = Table("step", "in", "unit", "passed", "rejected because", box=None, pad_edge=False)
    for step in funnel(storage):
        reasons = "; ".join(f"{count}: {Reject(reason).sentence}" for reason, count in step.reasons.items())
        steps.add_row(step.stage, str(step.rows), step.unit, str(step.passed), reasons)
    console.print(steps)
    console.print(f"\n{leakage(storage).sentence}", highlight=False)
