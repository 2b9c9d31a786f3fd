"""What 1 % of new samples cost the stage `shard`, and what other sizes of shards do: most samples are copied.

Rendered people with noise, 512 px, one reference each, without Ray. Run by `python -m benchmarks.growth`.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from benchmarks.stream_set import SIZE_PX, _face, _face_id
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.part_pool import PartDone, PartTask, Worker
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import FACES, LABELS, PAIRS, SOURCES, loaded
from facerefs.stages.shard import Shard
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view

PEOPLE = 3
SAMPLES = 200
DIMENSIONS = 512
STAGE = Shard(shard_mb=12, val_share=0, test_share=0)


class InProcess(RayWorkers):
    """Makes parts here."""

    def map_parts(
        self, worker: Worker, tasks: Sequence[PartTask], say: Callable[[str], None]
    ) -> Iterator[PartDone]:
        """One after the other."""
        yield from map(worker.work, tasks)


def write_tables(storage: Storage, samples: int) -> None:
    """Faces and pairs: each face has an earlier one of its person as its reference."""
    photos = [render(draw_person(0, one), draw_view(0, one, 0), SIZE_PX) for one in range(PEOPLE)]
    rendered = [(photo.image, photo.landmarks) for photo in photos]
    ids = [_face_id(number % PEOPLE, number) for number in range(samples)]
    faces = [
        _face(number % PEOPLE, number, *rendered[number % PEOPLE], DIMENSIONS) for number in range(samples)
    ]
    pairs = [
        {
            "target": one,
            "reference": ids[abs(number - PEOPLE)],
            "identity": f"person {number % PEOPLE}",
            "rank": 0,
        }
        for number, one in enumerate(ids)
    ]
    for table, rows, schema in (
        ("faces", faces, loaded(FACES)),
        ("labels", [{"face": one} for one in ids], LABELS),
        ("sources", [{"key": face["key"], "licence": "CC0"} for face in faces], SOURCES),
        ("pairs", pairs, PAIRS),
    ):
        with storage.writing(table, "part-a", "fingerprint") as part:
            part.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema))


def seconds(storage: Storage, stage: Shard) -> float:
    """Of bringing the shards up to date."""
    started = time.perf_counter()
    console = Console(file=io.StringIO())
    Runner(storage, console, InProcess(1)).run_parts(stage, ShardInput(storage, stage))
    return time.perf_counter() - started


def main() -> None:
    """Print the seconds of a fresh set, of one with 1 % new samples, and with shards of half the size."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(str(Path(folder)))
        write_tables(storage, SAMPLES)
        print(f"{SAMPLES} samples, fresh: {seconds(storage, STAGE):.2f} s", flush=True)
        write_tables(storage, SAMPLES + SAMPLES // 100)
        print(f"1 % new: {seconds(storage, STAGE):.2f} s", flush=True)
        halved = seconds(storage, replace(STAGE, shard_mb=STAGE.shard_mb / 2))
        print(f"shards of half the size: {halved:.2f} s")


if __name__ == "__main__":
    main()
