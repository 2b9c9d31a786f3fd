"""The plan of the shards: how many there are, who is in which, and what a new photo changes."""

import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.mapped_table import MappedTable
from facerefs.schemas.tables import FACES, LABELS, PAIRS, SAMPLE_PLAN, SOURCES
from facerefs.stages.images.encode import ImageFormat
from facerefs.stages.shard import Shard
from tests.pipeline.small_set import make_set
from tests.stages.synthetic import face_id

CROP_BYTES = 400_000


def plan(folder: Path, faces: int, shard: Shard) -> ShardInput:
    """Faces of people with four photos each; the reference of each face is the one before it."""
    storage = Storage(str(folder))
    ids = [face_id(i) for i in range(faces)]
    place = {"path": "faces/part-a.tar", "offset": 0, "length": CROP_BYTES}
    tables = {
        "faces": (FACES, [{"id": one, "key": one, "crop": place, "embedding": [1.0]} for one in ids]),
        "labels": (LABELS, [{"face": one} for one in ids]),
        "sources": (SOURCES, [{"key": one, "licence": "CC0"} for one in ids]),
        "pairs": (
            PAIRS,
            [
                {"target": one, "reference": ids[i - 1], "identity": f"person {i // 4}", "rank": 0}
                for i, one in enumerate(ids)
            ],
        ),
    }
    for table, (schema, rows) in tables.items():
        for number, start in enumerate(range(0, len(rows), 1000)):
            blank = dict.fromkeys(schema.names)
            with storage.writing(table, f"part-{number:05d}", "fingerprint") as part:
                part.add(pa.Table.from_pylist([blank | row for row in rows[start : start + 1000]], schema))
    return ShardInput(storage, shard)


@pytest.mark.parametrize("shard_mb", [5.0, 20.0, 100.0])
@pytest.mark.parametrize("image_format", get_args(ImageFormat))
def test_shards_have_about_the_size_that_is_asked_for(
    tmp_path: Path, shard_mb: float, image_format: ImageFormat
) -> None:
    shard = Shard(shard_mb=shard_mb, image_format=image_format, val_share=0, test_share=0)
    planned = plan(tmp_path, 1000, shard)
    names = planned.names()
    assert len(names).bit_count() == 1
    total = 1000 * shard.expected_bytes(2 * CROP_BYTES) / 1e6
    assert len(names) == 1 or 0.7 * shard_mb < total / len(names) < 1.42 * shard_mb
    counts = [len(planned.read(name)) for name in names]
    assert sum(counts) == 1000
    mean = 1000 / len(names)
    assert max(abs(count - mean) for count in counts) < 4 * mean**0.5


def test_every_target_is_in_one_shard_in_the_order_of_the_keys(tmp_path: Path) -> None:
    planned = plan(tmp_path, 300, Shard(shard_mb=5, val_share=0.2, test_share=0.2))
    keys = []
    for name in planned.names():
        rows = planned.read(name).to_pylist()
        assert {row["split"] for row in rows} == {name.partition("-")[0]}
        own = [row["key"] for row in rows]
        assert own == sorted(own)
        keys += own
    assert sorted(keys) == sorted(face_id(i) for i in range(300))
    assert len({name.partition("-")[0] for name in planned.names()}) == 3


def test_faces_of_an_earlier_version_have_no_masks_and_the_same_plan(tmp_path: Path) -> None:
    """Or all shards of all builds would be made again for two columns of nulls."""
    planned = plan(tmp_path, 20, Shard())
    (name, *_) = planned.names()
    now = rows_digest(planned.read(name))
    for path in (tmp_path / "faces").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["mask", "parser"]), path)
    earlier = ShardInput(planned.storage, Shard())
    assert rows_digest(earlier.read(name)) == now
    assert planned.read(name).column_names == SAMPLE_PLAN.names
    faces = planned.storage.scan("faces")
    assert faces.schema.names == FACES.names
    assert faces["mask"].null_count == faces["parser"].null_count == 20


def test_a_new_photo_changes_one_shard(tmp_path: Path) -> None:
    shard = Shard(shard_mb=5, val_share=0, test_share=0)
    before, after = (plan(tmp_path / str(count), count, shard) for count in (400, 401))
    # The first face has the last one as its reference, so that its sample changes too.
    changed = [
        name for name in after.names() if rows_digest(after.read(name)) != rows_digest(before.read(name))
    ]
    assert before.names() == after.names()
    assert len(after.names()) == 32
    touched = {
        name
        for name in after.names()
        if {face_id(0), face_id(400)} & set(after.read(name)["key"].to_pylist())
    }
    assert set(changed) == touched


def test_a_worker_reads_what_the_driver_read(tmp_path: Path) -> None:
    make_set(tmp_path)
    planned = ShardInput(Storage(str(tmp_path)), Shard())
    copy = pickle.loads(pickle.dumps(planned))
    for name in planned.names():
        assert copy.read(name).equals(planned.read(name))
        assert planned.read(name).column("target")[0].as_py()["licence"] == "CC0"
    assert not [path for path in (tmp_path / "samples").iterdir() if path.name.startswith(".")]


def test_nobody_is_no_shard(tmp_path: Path) -> None:
    assert ShardInput(Storage(str(tmp_path)), Shard()).names() == []


def test_rows_of_a_mapped_table_are_found_by_their_keys(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keys = [f"key {i}" for i in range(500)]
    values = rng.normal(size=500).tolist()
    whole = pa.table({"key": keys, "value": values})
    tables = [whole.slice(start, 70) for start in range(0, 500, 70)]
    mapped = MappedTable.of(tables, whole.schema, "key", tmp_path / "folder")
    for wanted in ([], ["key 0"], ["key 499", "key 70", "key 69", "key 70"], keys):
        assert {row["key"]: row["value"] for row in mapped.rows(wanted)} == {
            key: values[int(key[4:])] for key in wanted
        }
    assert mapped.column("value").to_pylist() == values
    assert list((tmp_path / "folder").iterdir()) == []
    with pytest.raises(KeyError):
        list(mapped.rows(["key 500"]))
