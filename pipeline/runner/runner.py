"""Runs stages over tables: part stages on Ray Data, whole stages here; only what is missing or has changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.runner.progress import BuildWatch, StageProgress
from facerefs.pipeline.runner.workers import PartTask, RayWorkers
from facerefs.pipeline.storage.blobs import blob_folder
from facerefs.pipeline.storage.fingerprint import rows_digest, stage_digest, text_digest
from facerefs.pipeline.storage.folder import Part, Storage
from facerefs.pipeline.storage.scratch import Scratch
from facerefs.stages.stage import PartStage, WholeStage

MAX_ROWS_AT_ONCE = 16
MAX_BYTES_AT_ONCE = 256 << 20
WHOLE_PART = "part-00000"


class PartInputs(Protocol):
    """The rows that a part stage reads, by the name of the part. It is sent to the workers."""

    def names(self) -> Sequence[str]:
        """Names of all parts that there should be."""

    def read(self, name: str) -> pa.Table:
        """Rows of one part; photos and crops as references (`BLOB`), not as bytes.

        Consecutive rows with one value in a column `group`, if there is one, reach the stage together.
        """


@dataclass
class Runner:
    """Updates the tables of a build, one stage after the other."""

    storage: Storage
    console: Console
    workers: RayWorkers
    watch: BuildWatch | None = None
    memory_mb: int = 4096  # of a whole stage

    def run_parts(
        self, stage: PartStage, inputs: PartInputs, before_work: Callable[[], None] = lambda: None
    ) -> None:
        """Update a part stage's table: make missing and changed parts, and remove parts that the input no longer has.

        `before_work` is called before any part changes, and not at all if none does.
        """
        names = list(inputs.names())
        existing = self.storage.started_parts(stage.writes)
        stale = sorted(existing - set(names))
        tasks = list(self._missing(stage, inputs, names))
        if stale or tasks:
            before_work()
        for name in stale:
            self.storage.remove_part(stage.writes, name)
        changed = sum(task.name in existing for task in tasks)
        if changed:
            self.console.print(
                f"{_name(stage):<11} {changed} parts are redone: their input or settings changed",
                highlight=False,
            )
        if tasks:
            # Missing weights are reported here, before workers start. (A protocol cannot say "dataclass".)
            replace(stage).setup()  # type: ignore[type-var]
        with self._progress(stage, len(tasks), len(names) - len(tasks)) as progress:
            if tasks:
                for rows, rejected in self.workers.map_parts(PartWorker(stage, inputs, self.storage), tasks):
                    progress.part_done(rows, rejected)

    def run_whole(self, stage: WholeStage, only: Mapping[str, pc.Expression] | None = None) -> None:
        """Update a whole stage's table.

        It is made again only if a value changed in a column that it reads. `only` has filters for tables: the stage
        does not see the other rows, and a change of those does not run it again.
        """
        only = only or {}
        before = self.storage.part(stage.writes, WHOLE_PART)
        fingerprint = self._whole_fingerprint(stage, only)
        if before is not None and before.fingerprint == fingerprint:
            with self._progress(stage, 0, 1):
                return
        with self._progress(stage, 1, 0) as progress:
            folder = self.storage.local_path(blob_folder(stage.writes))
            rows = stage.process(
                {
                    name: self.storage.mapped(name, columns, only.get(name), folder)
                    for name, columns in stage.reads.items()
                },
                Scratch(folder, self.memory_mb << 20),
            )
            with self.storage.writing(stage.writes, WHOLE_PART, fingerprint) as part:
                part.add(rows)
            progress.part_done(len(rows), count_rejected(rows))
        after = self.storage.part(stage.writes, WHOLE_PART)
        if before is not None and after is not None:
            self.console.print(f"{'':<11} {_changes(before, after)}", highlight=False)

    def _progress(self, stage: PartStage | WholeStage, parts: int, parts_kept: int) -> StageProgress:
        return StageProgress(self.console, _name(stage), parts, parts_kept, watch=self.watch)

    def _missing(self, stage: PartStage, inputs: PartInputs, names: Sequence[str]) -> Iterator[PartTask]:
        for name in names:
            fingerprint = part_fingerprint(stage, inputs.read(name))
            done = self.storage.part(stage.writes, name)
            if done is None or done.fingerprint != fingerprint:
                yield PartTask(name, fingerprint)

    def _rows(self, stage: WholeStage, table: str, only: Mapping[str, pc.Expression]) -> pa.Table:
        rows = self.storage.scan(table, stage.reads[table])
        return rows.filter(only[table]) if table in only else rows

    def _whole_fingerprint(self, stage: WholeStage, only: Mapping[str, pc.Expression]) -> str:
        read = []
        for table, columns in stage.reads.items():
            if table in only:
                read.append(f"{table} {rows_digest(self._rows(stage, table, only))}")
                continue
            for name in self.storage.parts(table):
                part = self.storage.part(table, name)
                values = (
                    [part.columns.get(c, part.fingerprint) for c in columns if c != "part"] if part else []
                )
                read.append(f"{table}/{name} {' '.join(values)}")
        return text_digest(stage_digest(stage), *read)


@dataclass
class PartWorker:
    """Makes the parts of a stage's table, one after the other; it runs in a Ray actor."""

    stage: PartStage
    inputs: PartInputs
    storage: Storage

    @property
    def cpus(self) -> float:
        """CPUs that one worker takes."""
        return self.stage.cpus

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""
        return self.stage.gpus

    def setup(self) -> None:
        """Load the stage's models."""
        self.stage.setup()

    def work(self, task: PartTask) -> tuple[int, int]:
        """Make one part and commit it; returns its number of rows and how many of them are rejected."""
        rows = self.inputs.read(task.name)
        written = rejected = 0
        with self.storage.writing(self.stage.writes, task.name, task.fingerprint) as part:
            for piece in bounded_slices(rows, self.stage.loads):
                out = self.stage.process(self.storage.load_blobs(piece, self.stage.loads))
                part.add(out)
                written += len(out)
                rejected += count_rejected(out)
        return written, rejected


def part_fingerprint(stage: PartStage, rows: pa.Table) -> str:
    """What a part of a stage's table is made from: the stage with its settings, and the rows that it reads."""
    return text_digest(stage_digest(stage), rows_digest(rows))


def bounded_slices(rows: pa.Table, loads: Sequence[str]) -> Iterator[pa.Table]:
    """Slices of a part: at most MAX_ROWS_AT_ONCE rows and MAX_BYTES_AT_ONCE bytes, or one group that has more."""
    there = [column for column in loads if column in rows.column_names]
    sizes = [sum(map(_length, row.values())) for row in rows.select(there).to_pylist()]
    start = total = 0
    for first, end in _groups(rows):
        size = sum(sizes[first:end])
        if first > start and (end - start > MAX_ROWS_AT_ONCE or total + size > MAX_BYTES_AT_ONCE):
            yield rows.slice(start, first - start)
            start, total = first, 0
        total += size
    if start < len(rows):
        yield rows.slice(start)


def _groups(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """First row and end of each group of rows that stay together; without a column `group`, each row is one."""
    first = 0
    names = rows["group"].to_pylist() if "group" in rows.column_names else range(len(rows))
    for _, group in groupby(names):
        end = first + len(list(group))
        yield first, end
        first = end


def count_rejected(rows: pa.Table) -> int:
    """The number of rejected rows."""
    return int(pc.sum(pc.is_valid(rows.column("reject"))).as_py() or 0)


def _length(blob: Any) -> int:
    if isinstance(blob, list):
        return sum(_length(item) for item in blob)
    return int(blob["length"] or 0) if blob else 0


def _changes(before: Part, after: Part) -> str:
    if before.rows != after.rows:
        return f"{after.rows} rows, {before.rows} before"
    changed = [name for name, digest in after.columns.items() if before.columns.get(name) != digest]
    if not changed:
        return "its rows are the same as before: what follows is not redone for them"
    return f"changed: {', '.join(changed)}"


def _name(stage: PartStage | WholeStage) -> str:
    return type(stage).__name__.lower()
