"""Whole stages in little room: with arrays in files and rows in small blocks they give the same rows as in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facerefs.pipeline.storage.mapped_table import mapped_rows
from facerefs.pipeline.storage.scratch import Scratch
from facerefs.schemas.tables import COPIES, IMAGES, MADE_ELSEWHERE, OVERRIDES, SOURCES
from facerefs.stages import dedupe, select
from facerefs.stages.cluster import Cluster
from facerefs.stages.compare import Compare
from facerefs.stages.copies import duplicates
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.room import InMemory, segment_sums
from facerefs.stages.search import faiss_index, similarity
from facerefs.stages.select import Select
from facerefs.stages.stage import WholeStage
from tests.stages.synthetic import face_id, faces_table, labels_of, unit

Tables = dict[str, pa.Table]
STAGES = (
    Compare(),
    Cluster(labels="check"),
    Cluster(labels="ignore"),
    Cluster(labels="trust"),
    Select(references=2),
    Select(strategy="diverse", references=3, min_references=2, synthesise=1),
)


def made(seed: int) -> Tables:
    """Some 700 faces: people of many sizes, one of them larger than a block, exact and near copies, wrong labels."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(40), [200, *rng.integers(1, 25, 39)]))
    count = len(who)
    vectors = unit(unit(rng.normal(size=(40, 48)))[who] + 0.7 * unit(rng.normal(size=(count, 48))))
    columns: dict[str, Any] = {
        "landmarks": rng.uniform(0, 256, (count, 136)),
        "crop_phash": rng.integers(0, 2**64, count, np.uint64),
        "crop_phash_mirror": rng.integers(0, 2**64, count, np.uint64),
    }
    copies = np.arange(5, count, 5)
    for column in (vectors, who, *columns.values()):
        column[copies] = column[copies - 1]
        column[copies[::4]] = column[0]  # more equal neighbours than are looked for
    labels = [None if i % 9 == 0 else f"person {(one + (i % 7 == 0)) % 40}" for i, one in enumerate(who)]
    rejected = [None if i % 11 else "blurred" for i in range(count)]
    faces = faces_table(
        vectors,
        labels=labels,
        crop_size=[256] * count,
        yaw=rng.normal(size=count).astype(np.float32),
        pitch=np.zeros(count, np.float32),
        reject=rejected,
        **columns,
    )
    faces = faces.append_column("part", pa.array([f"part-{i // 50}" for i in range(count)]))
    pairs = [{"face": face_id(i), "other": face_id(i + 1), "kind": "copy"} for i in range(0, count - 1, 13)]
    line = {"line": 2, "decision": "same", "what": face_id(1), "other": face_id(2)}
    identities = {"face": [face_id(i) for i in range(count)], "identity": [f"p{one}" for one in who]}
    return {
        "faces": faces.take(pa.array(rng.permutation(count))),
        "labels": labels_of(faces),
        "copies": pa.Table.from_pylist(pairs, COPIES),
        "overrides": pa.Table.from_pylist([line], OVERRIDES),
        "identities": pa.table(identities | {"reject": pa.nulls(count, pa.string())}),
        "made_elsewhere": MADE_ELSEWHERE.empty_table(),
    }


def made_photos(seed: int) -> Tables:
    """300 photos, of which many are copies, mirrored copies, or the same bytes under several labels."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(300):
        row: dict[str, Any] = {
            "phash": int(rng.integers(0, 2**64, dtype=np.uint64)),
            "phash_mirror": int(rng.integers(0, 2**64, dtype=np.uint64)),
            "detail_hash": bytes(32),
            "thumbnail": rng.integers(0, 256, 576, np.uint8).tobytes(),
            "detail_scale": float(rng.choice([0.5, 1.0])),
            "id": f"id-{i}",
            "width": int(rng.integers(100, 104)),
            "height": 100,
            "bytes": 9,
        }
        if i and i % 2:
            other = rows[int(rng.integers(0, i))]
            row |= {name: other[name] for name in ("phash", "phash_mirror", "thumbnail")}
            row |= {"phash": row["phash"] ^ int(rng.integers(0, 4))}
            row |= {"id": other["id"]} if i % 3 else {}
        rows.append(row | {"key": f"key-{i}", "reject": "too_small" if i % 17 == 3 else None})
    listed = [{"key": row["key"], "label": rng.choice(["ann", "bob", None])} for row in rows]
    line = {"line": 2, "decision": "drop", "what": "key-8", "other": None}
    return {
        "images": pa.Table.from_pylist(rows, IMAGES).take(pa.array(rng.permutation(len(rows)))),
        "sources": pa.Table.from_pylist(listed, SOURCES),
        "overrides": pa.Table.from_pylist([line], OVERRIDES),
    }


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Also what is counted in rows comes in small blocks."""
    for module in (similarity, dedupe, duplicates):
        monkeypatch.setattr(module, "_ROWS_AT_ONCE", 37)
    monkeypatch.setattr(select, "_TARGETS_AT_ONCE", 50)
    return monkeypatch


def read_by(stage: WholeStage, tables: Tables) -> Tables:
    return {name: tables[name].select(list(columns)) for name, columns in stage.reads.items()}


def in_file(table: pa.Table, folder: Path) -> pa.Table:
    return mapped_rows([table.slice(at, 29) for at in range(0, len(table), 29)], table.schema, folder)


@pytest.mark.parametrize("exact_up_to", [50_000, 150])
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{type(stage).__name__}")
def test_little_room_changes_no_row_of_faces(
    stage: WholeStage, exact_up_to: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(faiss_index, "EXACT_UP_TO", exact_up_to)
    tables = read_by(stage, made(exact_up_to))
    expected = stage.process(tables)
    assert len(expected) > 100
    request.getfixturevalue("small_blocks")
    mapped = {name: in_file(table, tmp_path) for name, table in tables.items()}
    for memory_bytes in (1 << 16, 1 << 20):
        assert stage.process(mapped, Scratch(tmp_path, memory_bytes)).equals(expected)
    assert not list(tmp_path.iterdir()), "every file loses its name as soon as it is mapped"


def test_little_room_changes_no_row_of_photos(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tables = read_by(Dedupe(), made_photos(0))
    expected = Dedupe().process(tables)
    kinds = set(expected["kind"].to_pylist())
    assert kinds == {"kept", "exact", "near", "dropped"}
    request.getfixturevalue("small_blocks")
    mapped = {name: in_file(table, tmp_path) for name, table in tables.items()}
    assert Dedupe().process(mapped, Scratch(tmp_path, 1 << 14)).equals(expected)


@pytest.mark.parametrize("block_bytes", [1, 300, 5_000])
def test_sums_of_segments_are_the_same_bits_in_blocks(block_bytes: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 24)).astype(np.float32)
    rows = rng.permutation(500)[:450]
    starts = np.array([0, 1, 2, 9, 200, 449])
    found = np.concatenate([sums for _, sums in segment_sums(vectors, rows, starts, InMemory(block_bytes))])
    np.testing.assert_array_equal(found, np.add.reduceat(vectors[rows], starts, axis=0))


def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        Scratch(tmp_path, 1 << 20).empty((1 << 50,), np.uint8)
    assert not list(tmp_path.iterdir())
