"""Runs stages over tables: part stages on Ray actors, whole stages here; only what is missing or has changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.runner.part_pool import PartDone, PartTask
from facerefs.pipeline.runner.progress import BuildWatch, StageProgress
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.blobs import blob_folder
from facerefs.pipeline.storage.catalogue import Catalogue
from facerefs.pipeline.storage.earlier_rows import MADE_FROM, EarlierRows
from facerefs.pipeline.storage.fingerprint import rows_digest, stage_digest, text_digest
from facerefs.pipeline.storage.folder import Part, Storage
from facerefs.pipeline.storage.part_writer import PartWriter
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


@runtime_checkable
class DigestedInputs(PartInputs, Protocol):
    """Inputs that say, without reading rows, that what is read of a part is the same as before.

    Another digest says nothing: then the rows decide.
    """

    def digest_of_all(self) -> str:
        """Of all that is read of any part."""

    def digest(self, name: str) -> str | None:
        """Of all that is read of one part; None if only its rows tell."""


@runtime_checkable
class TracedInputs(PartInputs, Protocol):
    """Inputs that say what each row is made from: rows that an earlier run made from the same are copied."""

    def rows(self, name: str) -> int:
        """At most how many rows `read` will give of a part, without reading them."""

    def made_from(self, rows: pa.Table) -> Sequence[str | None]:
        """A digest of all that decides about each row's result, bytes included; None for a row not to be copied."""


@dataclass
class Runner:
    """Updates the tables of a build, one stage after the other."""

    storage: Storage
    console: Console
    workers: RayWorkers
    watch: BuildWatch | None = None
    memory_mb: int = 4096  # of a whole stage
    spread_from_rows: int | None = (
        None  # from so many on, pieces of a whole stage go to the workers; None: never
    )
    others: Sequence[Storage] = ()  # builds whose rows are copied, too, where they are made from the same

    def run_parts(
        self, stage: PartStage, inputs: PartInputs, before_work: Callable[[], None] = lambda: None
    ) -> None:
        """Update a part stage's table: make missing and changed parts, and remove parts that the input no longer has.

        `before_work` is called before any part changes, and not at all if none does.
        """
        before = Catalogue.of(self.storage, stage.writes)
        existing = self.storage.started_parts(stage.writes)
        state = (
            text_digest(stage_digest(stage), inputs.digest_of_all())
            if isinstance(inputs, DigestedInputs)
            else None
        )
        if state is not None and before.inputs == state and existing == set(before.entries):
            with self._progress(stage, 0, len(existing)):
                return
        names = list(inputs.names())
        stale = sorted(existing - set(names))
        tasks = list(self._missing(stage, inputs, names, before))
        if stale or tasks:
            before_work()
        earlier = EarlierRows(self.storage, stage.writes) if isinstance(inputs, TracedInputs) else None
        if earlier and existing and existing != set(names):  # rows may now belong to other parts
            earlier.set_aside([*stale, *(task.name for task in tasks if task.name in existing)])
        for name in stale:
            self.storage.remove_part(stage.writes, name)
        changed = sum(task.name in existing for task in tasks if task.fingerprint)
        if changed:
            self.console.print(
                f"{_name(stage):<11} {changed} parts are redone: their input or settings changed",
                highlight=False,
            )
        if tasks:
            # Missing weights are reported here, before workers start. (A protocol cannot say "dataclass".)
            replace(stage).setup()  # type: ignore[type-var]
        with self._progress(stage, len(tasks), len(names) - len(tasks)) as progress:
            rows = copied = kept = 0
            if tasks:
                worker = PartWorker(stage, inputs, self.storage, self.others)
                for done in self.workers.map_parts(worker, tasks, progress.say):
                    progress.part_done(done.rows, done.rejected)
                    rows, copied, kept = rows + done.rows, copied + done.copied, kept + done.kept
            if copied:
                progress.say(
                    f"{copied} rows are the same as before and were copied, {rows - copied} were made"
                )
            if kept:
                progress.say(f"{kept} of these parts are the same as before and were kept")
        if earlier:
            earlier.remove_aside()
        if isinstance(inputs, DigestedInputs):
            digests = {name: _of_stage(stage, inputs.digest(name)) for name in names}
            Catalogue.of(self.storage, stage.writes).with_inputs(state, digests)

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
                self._room(folder, progress.say),
            )
            with self.storage.writing(stage.writes, WHOLE_PART, fingerprint) as part:
                part.add(rows)
            progress.part_done(len(rows), count_rejected(rows))
        after = self.storage.part(stage.writes, WHOLE_PART)
        if before is not None and after is not None:
            self.console.print(f"{'':<11} {_changes(before, after)}", highlight=False)

    def _room(self, folder: Path, say: Callable[[str], None]) -> Scratch:
        memory_bytes = self.memory_mb << 20
        if self.spread_from_rows is None:
            return Scratch(folder, memory_bytes)
        return Scratch(folder, memory_bytes, self.workers.pieces(memory_bytes, say), self.spread_from_rows)

    def _progress(self, stage: PartStage | WholeStage, parts: int, parts_kept: int) -> StageProgress:
        return StageProgress(self.console, _name(stage), parts, parts_kept, watch=self.watch)

    def _missing(
        self, stage: PartStage, inputs: PartInputs, names: Sequence[str], before: Catalogue
    ) -> Iterator[PartTask]:
        for name in names:
            done = before.entries.get(name)
            digest = inputs.digest(name) if isinstance(inputs, DigestedInputs) else None
            if done is not None and digest is not None and done.inputs == _of_stage(stage, digest):
                continue
            if isinstance(
                inputs, TracedInputs
            ):  # its rows are joined from all parts: that is for the workers
                yield PartTask(name, "", inputs.rows(name))
                continue
            rows = inputs.read(name)
            fingerprint = part_fingerprint(stage, rows)
            if done is None or done.part.fingerprint != fingerprint:
                yield PartTask(name, fingerprint, len(rows))

    def _rows(self, stage: WholeStage, table: str, only: Mapping[str, pc.Expression]) -> pa.Table:
        rows = self.storage.scan(table, stage.reads[table])
        return rows.filter(only[table]) if table in only else rows

    def _whole_fingerprint(self, stage: WholeStage, only: Mapping[str, pc.Expression]) -> str:
        read = []
        for table, columns in stage.reads.items():
            if table in only:
                read.append(f"{table} {rows_digest(self._rows(stage, table, only))}")
                continue
            entries = Catalogue.of(self.storage, table).entries
            for name in self.storage.parts(table):
                values = entries[name].part.values(columns) if name in entries else []
                read.append(f"{table}/{name} {' '.join(values)}")
        return text_digest(stage_digest(stage), *read)


@dataclass
class PartWorker:
    """Makes the parts of a stage's table, one after the other; it runs in a Ray actor."""

    stage: PartStage
    inputs: PartInputs
    storage: Storage
    others: Sequence[Storage] = ()

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

    def work(self, task: PartTask) -> PartDone:
        """Make one part and commit it."""
        rows = self.inputs.read(task.name)
        fingerprint = task.fingerprint or part_fingerprint(self.stage, rows)
        if not task.fingerprint:
            before = self.storage.part(self.stage.writes, task.name)
            if before is not None and before.fingerprint == fingerprint:
                return PartDone(0, 0, kept=True)
        written = rejected = copied = 0
        first = 0  # of the rows that are not in the part yet
        with self.storage.writing(self.stage.writes, task.name, fingerprint) as part:
            if isinstance(self.inputs, TracedInputs):
                digests = self.inputs.made_from(rows)
                rows = rows.append_column(MADE_FROM, pa.array(digests, pa.string()))
                for number, earlier in enumerate(self._earlier.of(task.name, digests)):
                    if earlier is None or (data := earlier.bytes()) is None:
                        continue
                    made = self._make(rows.slice(first, number - first), part)
                    part.add_copies(earlier.row, earlier.column, [data])
                    written, rejected = written + made.rows + 1, rejected + made.rejected
                    copied, first = copied + 1, number + 1
            made = self._make(rows.slice(first), part)
        return PartDone(written + made.rows, rejected + made.rejected, copied)

    @cached_property
    def _earlier(self) -> EarlierRows:
        return EarlierRows(self.storage, self.stage.writes, self.others)

    def _make(self, rows: pa.Table, part: PartWriter) -> PartDone:
        """Run the stage on input rows, and add what it makes to a part."""
        written = rejected = 0
        for piece in bounded_slices(rows, self.stage.loads):
            out = self.stage.process(self.storage.load_blobs(piece, self.stage.loads))
            if MADE_FROM in piece.column_names:
                out = out.set_column(out.column_names.index(MADE_FROM), MADE_FROM, piece[MADE_FROM])
            part.add(out)
            written += len(out)
            rejected += count_rejected(out)
        return PartDone(written, rejected)


def part_fingerprint(stage: PartStage, rows: pa.Table) -> str:
    """What a part of a stage's table is made from: the stage with its settings, and the rows that it reads."""
    return text_digest(stage_digest(stage), rows_digest(rows))


def _of_stage(stage: PartStage, inputs: str | None) -> str | None:
    """A digest of inputs together with the stage that reads them."""
    return None if inputs is None else text_digest(stage_digest(stage), inputs)


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
