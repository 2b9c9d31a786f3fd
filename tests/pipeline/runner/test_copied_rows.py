"""Samples that did not change are copied from earlier shards: as many as can be, and never a stale one."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from facerefs.pipeline.commands.verify import verify_command
from facerefs.pipeline.dataset import card
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.part_pool import PartDone, PartTask, Worker
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.earlier_rows import EARLIER_FOLDER
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import MADE_ELSEWHERE, TABLES, loaded
from facerefs.stages.shard import Shard
from tests.pipeline.folders import contents
from tests.pipeline.small_set import SMALL, write_tables

MANY = 6
TRAIN = replace(SMALL, val_share=0, test_share=0)
OTHER_SETTINGS: dict[str, Any] = {"recipe": "bicubic", "seed": 1, "image_format": "png", "jpeg_quality": 97}
PLACING = {"shard_mb", "val_share", "test_share", "test_people"}
OF_THE_CARD: dict[str, Any] = {"contact": "ann@example.org"}


class InProcess(RayWorkers):
    """Makes parts here, without Ray; `dies_after` so many parts."""

    dies_after: int | None = None

    def map_parts(
        self, worker: Worker, tasks: Sequence[PartTask], say: Callable[[str], None]
    ) -> Iterator[PartDone]:
        for number, task in enumerate(tasks):
            if number == self.dies_after:
                raise KeyboardInterrupt
            yield worker.work(task)


def make(folder: Path | str, shard: Shard = TRAIN, dies_after: int | None = None) -> tuple[int, int]:
    """Bring the shards up to date; returns how many samples were copied, and how many were made though others were."""
    console = Console(record=True, width=200, file=io.StringIO())
    storage, workers = Storage.at(folder), InProcess(1)
    workers.dies_after = dies_after
    Runner(storage, console, workers).run_parts(shard, ShardInput(storage, shard))
    assert not storage.files(f"{EARLIER_FOLDER}/samples")
    said = re.search(
        r"(\d+) rows are the same as before and were copied, (\d+) were made", console.export_text()
    )
    return (int(said[1]), int(said[2])) if said else (0, 0)


def grow(folder: Path | str, people: int, **tables: Any) -> tuple[int, int]:
    write_tables(folder, people, **tables)
    return make(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A fresh build of MANY people."""
    folder = tmp_path_factory.mktemp("whole")
    assert grow(folder, MANY) == (0, 0)
    return contents(folder)


@pytest.mark.parametrize(("before", "other_shards"), [(MANY - 1, False), (2, True), (2 * MANY, True)])
def test_a_grown_set_has_the_bytes_of_a_fresh_one_and_only_new_samples_are_made(
    before: int, other_shards: bool, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    """In as many shards as before, in more, or in fewer."""
    grow(tmp_path, before)
    names = Storage(str(tmp_path)).parts("samples")
    copied, made = grow(tmp_path, MANY)
    assert (names != Storage(str(tmp_path)).parts("samples")) == other_shards
    assert contents(tmp_path) == whole
    assert copied > 0
    assert made == max(0, 2 * (MANY - before))


def test_a_changed_size_of_shards_or_moved_crops_make_no_sample_again(tmp_path: Path) -> None:
    grow(tmp_path, 2, masks=True)
    crops = tmp_path / "blobs" / "faces" / "part-a.tar"
    crops.write_bytes(bytes(512) + crops.read_bytes())
    storage = Storage(str(tmp_path))
    rows = storage.read("faces", "part-a").to_pylist()
    for row in rows:
        row["crop"]["offset"] += 512
        row["mask"]["offset"] += 512
    storage.replace_rows("faces", "part-a", pa.Table.from_pylist(rows, TABLES["faces"]), "moved")
    assert make(tmp_path, replace(TRAIN, shard_mb=10)) == (4, 0)


def test_a_killed_growth_goes_on_with_what_was_set_aside(tmp_path: Path, whole: dict[str, bytes]) -> None:
    grow(tmp_path, 2)
    write_tables(tmp_path, MANY)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, dies_after=1)
    assert (tmp_path / EARLIER_FOLDER).exists()
    assert make(tmp_path)[0] > 0
    assert contents(tmp_path) == whole


def test_damaged_samples_are_made_again(tmp_path: Path, whole: dict[str, bytes]) -> None:
    grow(tmp_path, 2)
    tars = sorted((tmp_path / "samples").glob("*.tar"))
    for tar in tars:
        data = bytearray(tar.read_bytes())
        data[700] ^= 1  # in the first sample
        tar.write_bytes(data)
    assert grow(tmp_path, MANY) == (4 - len(tars), 2 * (MANY - 2) + len(tars))
    assert contents(tmp_path) == whole


def test_shards_of_an_earlier_version_are_made_anew(tmp_path: Path, whole: dict[str, bytes]) -> None:
    grow(tmp_path, 2)
    for path in (tmp_path / "samples").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["files_sha256", "made_from"]), path)
    assert grow(tmp_path, MANY) == (0, 0)
    assert contents(tmp_path) == whole


def changed(values: list[Any]) -> list[Any]:
    """Other values of the same type."""

    def other(value: Any) -> Any:
        match value:
            case list():
                return [one + 0.25 for one in value]
            case int() | float():
                return value + 1
        return f"{value or ''}0"

    return [other(value) for value in values]


NAMES = {
    "id",
    "face",
    "key",
    "target",
    "reference",
    "reject",
    "synthesis",
    "elsewhere",
    "crop",
    "mask",
    "given_row",
}
TABLES_READ = Shard.reads.keys() - {"made_elsewhere", "given_pairs", "splits"}
READ = [(table, name) for table in sorted(TABLES_READ) for name in Shard.reads[table] if name not in NAMES]


def test_every_value_and_every_setting_that_a_sample_is_made_from_makes_it_again(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, 2, photos=3, references=2, masks=True)

    def digests(shard: Shard = TRAIN) -> set[str | None]:
        inputs = ShardInput(storage, shard)
        return {one for name in inputs.names() for one in inputs.made_from(inputs.read(name))}

    before = digests()
    assert len(before) == 6
    assert None not in before
    for table, column in READ:
        rows = storage.read(table, "part-a")
        values = pa.array(changed(rows[column].to_pylist()), rows.schema.field(column).type)
        other = rows.set_column(rows.column_names.index(column), column, values)
        storage.replace_rows(table, "part-a", other, "changed")
        assert not before & digests(), f"{table}.{column}"
        storage.replace_rows(table, "part-a", rows, "as before")
    assert digests() == before
    assert {item.name for item in fields(Shard)} == PLACING | OTHER_SETTINGS.keys() | OF_THE_CARD.keys()
    assert digests(replace(TRAIN, **OF_THE_CARD)) == before
    for name, value in OTHER_SETTINGS.items():
        assert not before & digests(replace(TRAIN, **{name: value})), name


def test_another_published_degraded_image_or_split_makes_its_sample_again(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, 2)
    pairs = storage.read("pairs", "part-a")
    target, rows = pairs["target"][0].as_py(), pa.array([0, *[None] * (len(pairs) - 1)], pa.int32())
    at = pairs.column_names.index("given_row")
    storage.replace_rows("pairs", "part-a", pairs.set_column(at, "given_row", rows), "given")

    def digests(sha256: str, path: str, split: str) -> dict[str, str | None]:
        place = {"path": path, "offset": 0, "length": 9}
        said = {"row": 0, "degraded": place, "degraded_file": "lq.png", "degraded_sha256": sha256}
        write(storage, "given_pairs", [said])
        splits = dict.fromkeys(pc.unique(pairs["target"]).to_pylist(), "train") | {target: split}
        write(storage, "splits", [{"target": face, "split": split} for face, split in splits.items()])
        inputs = ShardInput(storage, TRAIN)
        read = [inputs.read(name) for name in inputs.names()]
        return {
            key: digest
            for one in read
            for key, digest in zip(one["key"].to_pylist(), inputs.made_from(one), strict=True)
        }

    before = digests("a" * 64, "/a/lq.png", "train")
    assert None not in before.values()
    assert digests("a" * 64, "/b/lq.png", "train") == before
    for other in (digests("b" * 64, "/a/lq.png", "train"), digests("a" * 64, "/a/lq.png", "test")):
        assert {key for key in before if before[key] != other[key]} == {target}


def write(storage: Storage, table: str, rows: list[dict[str, Any]]) -> None:
    whole = [dict.fromkeys(TABLES[table].names) | row for row in rows]
    with storage.writing(table, "part-00000", "fingerprint") as part:
        part.add(pa.Table.from_pylist(whole, TABLES[table]))


def test_another_file_made_elsewhere_makes_its_sample_again(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, 2)
    pairs, faces = storage.read("pairs", "part-a"), storage.read("faces", "part-a").to_pylist()
    target = pairs["target"][0].as_py()
    made = ['{"file":"a.png","folder":"x"}', *[None] * (len(pairs) - 1)]
    at = pairs.column_names.index("elsewhere")
    storage.replace_rows(
        "pairs", "part-a", pairs.set_column(at, "elsewhere", pa.array(made, pa.string())), "made"
    )
    (face,) = (face for face in faces if face["id"] == target)

    def digests(crop: bytes) -> dict[str, str | None]:
        row = {name: face.get(name) for name in MADE_ELSEWHERE.names} | {"id": f"{target}/a.png"}
        row |= {"target": target, "file": "a.png", "crop": crop, "mask": None}
        with storage.writing("made_elsewhere", "part-a", crop.hex()[:8]) as part:
            part.add(pa.Table.from_pylist([row], loaded(MADE_ELSEWHERE)))
        inputs = ShardInput(storage, TRAIN)
        read = [inputs.read(name) for name in inputs.names()]
        return {
            key: digest
            for rows in read
            for key, digest in zip(rows["key"].to_pylist(), inputs.made_from(rows), strict=True)
        }

    one, other = digests(b"one picture"), digests(b"another one")
    assert {key for key in one if one[key] != other[key]} == {target}
    assert None not in one.values()


def test_a_crop_without_a_digest_is_read_and_one_that_is_gone_is_no_sample_to_copy(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, 2)
    inputs = ShardInput(storage, TRAIN)
    plan = [(name, inputs.read(name)) for name in inputs.names()]
    before = [inputs.made_from(rows) for _, rows in plan]
    path = tmp_path / "faces" / "part-a.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["crop_sha256", "mask_sha256"]), path)
    assert [ShardInput(storage, TRAIN).made_from(rows) for _, rows in plan] == before
    (tmp_path / "blobs" / "faces" / "part-a.tar").unlink()
    assert {one for _, rows in plan for one in ShardInput(storage, TRAIN).made_from(rows)} == {None}


def test_a_set_of_an_earlier_version_is_still_valid(tmp_path: Path) -> None:
    grow(tmp_path, 1)
    for path in (tmp_path / "samples").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["files_sha256", "made_from"]), path)
    card.write(Storage(str(tmp_path)), TRAIN)
    assert verify_command(str(tmp_path / "samples"), replay=1)
