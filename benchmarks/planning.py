"""How long a build takes to find out what there is to do: of a finished build, and after 1 % of new photos.

Everything runs as in `facerefs build`, from the list of photos to the shards, but for the work of the stages: tables
are synthetic, a photo is a face, a person has ten of them. Seconds are those of the processor, since a disk that
others use says nothing, and without those of work. Run by
`python -m benchmarks.planning [ROWS ...]`.
"""

import hashlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from rich.console import Console

from benchmarks.paired import OUT
from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.fetch.fetch import run_fetch
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.part_pool import PartDone, PartTask, Worker
from facerefs.pipeline.runner.runner import PartWorker, Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import SOURCES, TABLES
from facerefs.stages.analyse import Analyse
from facerefs.stages.cluster import Cluster
from facerefs.stages.compare import Compare
from facerefs.stages.crawl import Crawl
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.fetch import Fetch
from facerefs.stages.label import Label
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.select import Select
from facerefs.stages.shard import Shard
from facerefs.stages.stage import WholeStage

PHOTOS = 10  # of a person
_BATCH = 10_000
_CROP_BYTES = 400_000
_EMBEDDING = 8  # short, so that the tables of a million faces are quickly made


@dataclass
class Work:
    """Seconds of work, and what was done, since the last look. All are equal: it is no setting of a stage."""

    seconds: float = field(default=0.0, compare=False)
    parts: int = field(default=0, compare=False)

    def __enter__(self) -> None:
        self._started = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._started
        self.parts += 1


@dataclass
class Synthetic(RayWorkers):
    """Writes the parts of `images`, `faces` and `samples` without looking at a photo."""

    work: Work = field(default_factory=Work)

    def map_parts(
        self, worker: Worker, tasks: Sequence[PartTask], say: Callable[[str], None]
    ) -> Iterator[PartDone]:
        if not isinstance(worker, PartWorker):
            raise TypeError(f"{worker} makes no parts")
        for task in tasks:
            with self.work:
                rows = _part(worker, task.name)
                with worker.storage.writing(worker.stage.writes, task.name, task.fingerprint) as part:
                    part.add(rows)
            yield PartDone(len(rows), 0)


@dataclass(frozen=True)
class SyntheticWhole:
    """A whole stage that reads and writes what another one does, without its work."""

    stage: WholeStage
    work: Work = field(default_factory=Work)

    @property
    def reads(self) -> Mapping[str, tuple[str, ...]]:
        return self.stage.reads

    @property
    def writes(self) -> str:
        return self.stage.writes

    @property
    def version(self) -> int:
        return self.stage.version

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """Rows for each photo or face."""
        with self.work:
            return _WHOLE[self.writes](tables)


class WithoutModels(Analyse):
    """The stage `analyse`, which loads no models: that is no planning."""

    def setup(self) -> None:
        """Nothing."""


def _columns(schema: pa.Schema, count: int, **known: Any) -> pa.Table:
    """A table of a schema: null but for the columns that are known; a value that is no column is that of all rows."""
    columns = []
    for item in schema:
        values = known.get(item.name)
        if values is None or isinstance(values, str):
            values = pa.nulls(count, item.type) if values is None else pa.repeat(values, count)
        columns.append(values)
    return pa.table(columns, schema=schema)


def _vectors(values: int, count: int, kind: pa.DataType) -> pa.Array:
    """`count` times the same vector."""
    numbers = pa.array(np.tile(np.linspace(0, 1, values, dtype=np.float32), count))
    return pa.FixedSizeListArray.from_arrays(numbers, values).cast(kind)


def _places(paths: pa.Array) -> pa.Array:
    offsets = pa.array(np.zeros(len(paths), np.int64))
    lengths = pa.array(np.full(len(paths), _CROP_BYTES, np.int64))
    return pa.StructArray.from_arrays([paths, offsets, lengths], fields=list(SOURCES.field("photo").type))


def _id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def photos(rows: int, added: int) -> Iterator[pa.Table]:
    """The list: `rows` photos, and of every so many people one more, `added` in all."""
    people = rows // PHOTOS
    more = set(range(0, people, people // added)) if added else set()
    keys = []
    for person in range(people):
        keys += [f"person {person:07d}/{number}.jpg" for number in range(PHOTOS + (person in more))]
        if len(keys) > _BATCH or person == people - 1:
            yield _columns(SOURCES, len(keys), key=pa.array(keys), photo=_places(pa.array(keys)))
            keys = []


def _part(worker: PartWorker, name: str) -> pa.Table:
    table = worker.stage.writes
    if table == "samples":
        return TABLES[table].empty_table()
    before = worker.storage.read("sources" if table == "images" else "images", name)
    keys, count = before["key"].combine_chunks(), len(before)
    if table == "images":
        ids = pa.array(map(_id, keys.to_pylist()), pa.string())
        return _columns(TABLES[table], count, key=keys, id=ids, photo=_places(keys))
    schema = TABLES[table]
    return _columns(
        schema,
        count,
        id=pa.array([f"{one[:16]}-0" for one in before["id"].to_pylist()]),
        image=before["id"].combine_chunks(),
        key=keys,
        crop=_places(pa.repeat(f"blobs/faces/{name}.tar", count)),
        crop_sha256=before["id"].combine_chunks(),
        landmarks=_vectors(136, count, schema.field("landmarks").type),
        embedding=_vectors(_EMBEDDING, count, schema.field("embedding").type),
        detector="synthetic",
    )


def _duplicates(tables: Mapping[str, pa.Table]) -> pa.Table:
    """One photo in fifty is an exact copy, and dropped."""
    images = tables["images"]
    ids = images["id"].combine_chunks()
    dropped = pa.array(["duplicate_exact" if one[:8] < "05000000" else None for one in ids.to_pylist()])
    return _columns(TABLES["duplicates"], len(ids), key=images["key"], id=ids, group=ids, reject=dropped)


def _labels(tables: Mapping[str, pa.Table]) -> pa.Table:
    faces = tables["faces"]
    people = pa.array([key[:14] for key in faces["key"].to_pylist()])
    return _columns(TABLES["labels"], len(faces), face=faces["id"], label=people)


def _identities(tables: Mapping[str, pa.Table]) -> pa.Table:
    labels = tables["labels"]
    return _columns(
        TABLES["identities"],
        len(labels),
        face=labels["face"],
        label=labels["label"],
        identity=labels["label"],
    )


def _pairs(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Each face with the one before it as reference."""
    known = tables["identities"]
    faces = known["face"].combine_chunks()
    before = faces.take(pa.array(np.roll(np.arange(len(faces)), 1)))
    ranks = pa.array(np.zeros(len(faces), np.int32))
    return _columns(
        TABLES["pairs"], len(faces), target=faces, reference=before, identity=known["identity"], rank=ranks
    )


_WHOLE = {
    "duplicates": _duplicates,
    "labels": _labels,
    "copies": lambda _: TABLES["copies"].empty_table(),
    "identities": _identities,
    "pairs": _pairs,
}


def plan(storage: Storage, rows: int, added: int) -> tuple[dict[str, float], dict[str, int]]:
    """Run a build; returns for each stage the seconds without work, and the parts that were made."""
    seconds, parts = {}, {}
    workers = Synthetic(1)
    console = Console(file=io.StringIO())
    run = Runner(storage, console, workers)

    def whole(*stages: WholeStage) -> None:
        for stage in stages:
            run.run_whole(cast(WholeStage, SyntheticWhole(stage, workers.work)))

    shard = Shard(val_share=0, test_share=0)
    steps: dict[str, Callable[[], object]] = {
        "list": lambda: list_source(photos(rows, added), 32, storage, console),
        "fetch": lambda: run_fetch(Fetch(), storage, workers, console),
        "crawl": lambda: run.run_parts(Crawl(), CrawlInput(storage)),
        "dedupe": lambda: whole(Dedupe()),
        "analyse": lambda: run.run_parts(WithoutModels(), AnalyseInput(storage)),
        "label to select": lambda: whole(Label(), Compare(), Cluster(), Select()),
        "shard": lambda: run.run_parts(shard, ShardInput(storage, shard)),
    }
    for name, step in steps.items():
        workers.work.seconds, workers.work.parts, started = 0.0, 0, time.process_time()
        step()
        seconds[name] = time.process_time() - started - workers.work.seconds
        parts[name] = workers.work.parts
    return seconds, parts


def main(sizes: Sequence[int]) -> None:
    """Time the planning of builds of these sizes."""
    results = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            storage = Storage(folder)
            for case, added in (("fresh", 0), ("unchanged", 0), ("1 % added", rows // 100)):
                seconds, parts = plan(storage, rows, added)
                results.append({"rows": rows, "case": case, "seconds": seconds, "parts": parts})
                shown = ", ".join(f"{name} {value:.2f} ({parts[name]})" for name, value in seconds.items())
                print(f"{rows} rows, {case}: {sum(seconds.values()):.2f} s: {shown}", flush=True)
    OUT.mkdir(exist_ok=True)
    Path(OUT, "planning.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1_000, 100_000, 1_000_000])
