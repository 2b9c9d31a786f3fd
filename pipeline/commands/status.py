"""`facerefs status`: show the contents of a build."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from facerefs.pipeline.build.closing import result_sentence
from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.build.leakage import leakage
from facerefs.pipeline.dataset.funnel import FunnelStep, funnel
from facerefs.pipeline.dataset.result import build_result
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.manifest import MANIFEST_FILE
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import TABLES


@dataclass(frozen=True)
class _TableSize:
    parts: int
    rows: int
    bytes: int  # of its photos, crops or samples


def print_status(folder: str | Path, as_json: bool) -> None:
    """Print the tables with their parts, rows and bytes, then the funnel with the reasons for rejection."""
    storage = open_build(folder)
    sizes, steps, leaks = {name: _size(storage, name) for name in TABLES}, funnel(storage), leakage(storage)
    if as_json:
        facts = {
            "tables": {name: asdict(size) for name, size in sizes.items()},
            "funnel": [asdict(step) | {"passed": step.passed} for step in steps],
            "result": build_result(storage).facts(),
            "is_complete": storage.read_text(f"samples/{MANIFEST_FILE}") is not None,
            "shots_in_two_splits": len(leaks.faults),
        }
        print(json.dumps(facts, indent=2))  # noqa: T201 (rich would fold it)
        return
    console = Console(soft_wrap=True, markup=False)
    console.print(_tables(sizes))
    console.print()
    console.print(_funnel(steps))
    console.print(f"\n{result_sentence(build_result(storage))}\n{leaks.sentence}", highlight=False)


def _size(storage: Storage, table: str) -> _TableSize:
    parts = [part for name in storage.parts(table) if (part := storage.part(table, name))]
    size = sum(part.tar.size for part in parts if part.tar)
    return _TableSize(len(parts), sum(part.rows for part in parts), size)


def _tables(sizes: Mapping[str, _TableSize]) -> Table:
    table = Table("table", "parts", "rows", "MB", box=None, pad_edge=False)
    for name, size in sizes.items():
        table.add_row(name, str(size.parts), str(size.rows), f"{size.bytes / 1e6:.1f}" if size.bytes else "")
    return table


def _funnel(steps: Sequence[FunnelStep]) -> Table:
    table = Table("step", "in", "unit", "passed", "rejected because", box=None, pad_edge=False)
    for step in steps:
        reasons = "; ".join(f"{count}: {Reject(reason).sentence}" for reason, count in step.reasons.items())
        table.add_row(step.stage, str(step.rows), step.unit, str(step.passed), reasons)
    return table
