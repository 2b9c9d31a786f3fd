"""Whole stages on the runner: each is redone for the values that it reads, and for nothing else."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import COPIES, IDENTITIES, OVERRIDES, TABLES, loaded
from facerefs.stages.room import IN_MEMORY, Room

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Name:
    """Gives every face its label as identity, unless a line drops it; counts its calls."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "labels": ("face", "part", "label"),
        "overrides": ("line", "decision", "what"),
    }
    writes: ClassVar[str] = "identities"
    version: ClassVar[int] = 1
    calls: ClassVar[list[int]] = []

    prefix: str = ""

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """A row of IDENTITIES per face."""
        line_of = {row["what"]: row["line"] for row in tables["overrides"].to_pylist()}
        self.calls.append(len(line_of))
        rows = [
            {
                "face": row["face"],
                "identity": self.prefix + row["label"],
                "why": f"line {line_of.get(row['face'])}",
            }
            | {"reject": "dropped_by_person" if row["face"] in line_of else None}
            for row in tables["labels"].to_pylist()
        ]
        return pa.Table.from_pylist([dict.fromkeys(IDENTITIES.names) | row for row in rows], IDENTITIES)


@dataclass(frozen=True)
class Follow:
    """Reads identities, but not the column `why`."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "identities": ("face", "identity", "reject"),
        "pairs": ("target",),
    }
    writes: ClassVar[str] = "copies"
    version: ClassVar[int] = 1
    calls: ClassVar[list[int]] = []

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """No rows."""
        assert tables["pairs"].column_names == ["target"]
        self.calls.append(len(tables["identities"]))
        return COPIES.empty_table()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    Name.calls.clear()
    Follow.calls.clear()
    storage = Storage(str(tmp_path))
    put(storage, "labels", "part-a", [{"face": "1", "label": "ann", "reject_detail": "1"}], "first")
    put(storage, "labels", "part-b", [{"face": "2", "label": "bob", "reject_detail": "2"}], "first")
    return storage


def put(storage: Storage, table: str, part: str, rows: Rows, fingerprint: str) -> None:
    schema = loaded(TABLES[table])
    with storage.writing(table, part, fingerprint) as writer:
        writer.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema))


def run(storage: Storage, *lines: tuple[int, str, str], name: Name | None = None) -> str:
    """Run both stages with these overrides; returns the console's output."""
    rows: Rows = [dict(zip(OVERRIDES.names, line, strict=False)) for line in lines]
    put(storage, "overrides", "part-00000", rows, str(lines))
    console = Console(record=True, width=200, file=io.StringIO())
    runner = Runner(storage, console, RayWorkers(1))
    runner.run_whole(name or Name(), {"overrides": pc.field("decision") == "drop"})
    runner.run_whole(Follow())
    return console.export_text()


def test_a_rerun_does_nothing(storage: Storage) -> None:
    run(storage)
    assert run(storage).count("nothing to do") == 2
    assert (len(Name.calls), len(Follow.calls)) == (1, 1)


def test_a_line_of_another_decision_redoes_nothing(storage: Storage) -> None:
    run(storage)
    run(storage, (2, "same", "1"))
    assert len(Name.calls) == 1


def test_a_line_redoes_its_stage_and_what_reads_the_rows_that_changed(storage: Storage) -> None:
    run(storage)
    output = run(storage, (2, "drop", "1"))
    assert (Name.calls, len(Follow.calls)) == ([0, 1], 2)
    assert "changed: why, reject" in output
    run(storage)
    assert (Name.calls, len(Follow.calls)) == ([0, 1, 0], 3)


def test_a_change_of_what_the_next_stage_does_not_read_ends_there(storage: Storage) -> None:
    run(storage, (2, "drop", "1"))
    output = run(storage, (3, "drop", "1"))
    assert (len(Name.calls), len(Follow.calls)) == (2, 1)
    assert "changed: why" in output
    output = run(storage, (3, "drop", "1"), (4, "drop", "unknown"))
    assert (len(Name.calls), len(Follow.calls)) == (3, 1)
    assert "its rows are the same as before" in output


def test_a_part_redone_to_the_same_values_redoes_nothing_but_a_new_value_or_part_does(
    storage: Storage,
) -> None:
    run(storage)
    put(storage, "labels", "part-a", [{"face": "1", "label": "ann", "reject_detail": "7"}], "second")
    run(storage)
    assert len(Name.calls) == 1
    put(storage, "labels", "part-a", [{"face": "1", "label": "eve", "reject_detail": "7"}], "second")
    run(storage)
    assert len(Name.calls) == 2
    put(storage, "labels", "part-c", [], "first")
    run(storage)
    assert len(Name.calls) == 3


def test_other_settings_redo_a_stage(storage: Storage) -> None:
    run(storage)
    run(storage, name=Name(prefix="dr "))
    assert (len(Name.calls), len(Follow.calls)) == (2, 2)


def test_the_same_lines_make_the_same_bytes_whatever_was_there_before(storage: Storage) -> None:
    run(storage)
    paths = [storage.local_path(f"{table}/part-00000.parquet") for table in ("identities", "copies")]
    before = [path.read_bytes() for path in paths]
    run(storage, (2, "drop", "1"))
    assert [path.read_bytes() for path in paths] != before
    run(storage)
    assert [path.read_bytes() for path in paths] == before
