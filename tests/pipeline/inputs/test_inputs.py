"""What part stages read: the columns that they name, and nothing else, redoes a part."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from facerefs.pipeline.config.config import Config
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.fetch import FetchInput
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.runner import DigestedInputs, PartInputs
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import TABLES
from facerefs.stages.shard import Shard

PART = "part-a"
FACE = "0" * 16 + "-0"
OTHER = "1" * 16 + "-0"
PLACE = {"path": "/photos/a.jpg", "offset": 0, "length": 9}
TABLES_OF_ONE_PHOTO: dict[str, list[dict[str, Any]]] = {
    "sources": [
        {"key": "a", "url": "http://a.example/a.jpg", "label": "ann", "licence": "CC0", "modified_ns": 1}
        | {"page": "http://a.example", "attribution": "Bob", "provenance": "{}", "box": [0.0, 0.0, 9.0, 9.0]},
    ],
    "downloads": [{"key": "a", "photo": PLACE, "sha256": "ab"}],
    "images": [{"key": "a", "id": "ab", "width": 9, "height": 9, "photo": PLACE}],
    "duplicates": [{"key": "b", "id": "ab", "kind": "exact", "reject": Reject.DUPLICATE_EXACT}],
    "faces": [
        {"id": face, "key": "a", "image": "ab", "yaw": 1.0, "sharpness": 9.0, "crop": PLACE}
        for face in (FACE, OTHER)
    ],
    "labels": [{"face": face, "label": "ann"} for face in (FACE, OTHER)],
    "pairs": [{"target": FACE, "reference": OTHER, "identity": "ann", "rank": 0, "target_part": PART}],
}
INPUTS: dict[str, Callable[[Storage], PartInputs]] = {
    "fetch": FetchInput,
    "crawl": CrawlInput,
    "analyse": AnalyseInput,
    "shard": lambda storage: ShardInput(storage, Shard(val_share=0, test_share=0)),
}


def write(folder: Path, table: str = "", **change: Any) -> Storage:
    """The tables of one photo, with other values in the first row of one table."""
    storage = Storage(str(folder))
    for name, (first, *others) in TABLES_OF_ONE_PHOTO.items():
        put(storage, name, [first | change if name == table else first, *others])
    return storage


def put(storage: Storage, table: str, rows: list[dict[str, Any]], part: str = PART) -> None:
    schema = TABLES[table]
    with storage.writing(table, part, "fingerprint") as writer:
        writer.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema))


def digest(inputs: PartInputs) -> str:
    return " ".join(f"{name} {rows_digest(inputs.read(name))}" for name in inputs.names())


@pytest.mark.parametrize(
    ("table", "change", "redone"),
    [
        ("sources", {"label": "eve"}, set()),  # it reaches the samples through `labels`
        ("sources", {"box": None}, set()),
        ("sources", {"provenance": None}, set()),
        ("sources", {"licence": "CC BY"}, {"shard"}),
        ("sources", {"attribution": None}, {"shard"}),
        ("sources", {"page": None}, {"shard"}),
        ("sources", {"url": "http://b.example"}, {"fetch", "shard"}),
        ("sources", {"modified_ns": 2}, {"crawl"}),
        ("downloads", {"sha256": "cd"}, {"crawl"}),
        ("downloads", {"etag": "x"}, set()),
        ("images", {"id": "cd"}, {"analyse"}),
        ("images", {"phash": 7}, set()),
        ("duplicates", {"key": "a"}, {"analyse"}),
        ("duplicates", {"label": "eve", "kept_label": "ann"}, set()),
        ("labels", {"label": "eve"}, {"shard"}),
        ("faces", {"yaw": 2.0}, {"shard"}),
        ("faces", {"sharpness": 8.0}, set()),
        ("pairs", {"similarity": 0.5}, {"shard"}),
        ("pairs", {"target_part": "another"}, set()),
    ],
)
def test_a_value_redoes_the_stages_that_read_it_and_no_other(
    table: str, change: dict[str, Any], redone: set[str], tmp_path: Path
) -> None:
    before, after = write(tmp_path / "before"), write(tmp_path / "after", table, **change)
    changed = {name for name, inputs in INPUTS.items() if digest(inputs(before)) != digest(inputs(after))}
    assert changed == redone
    # What is known without reading rows may say "another" once too often, and never "the same" wrongly.
    for name in redone - {"fetch"}:
        old, new = INPUTS[name](before), INPUTS[name](after)
        assert isinstance(old, DigestedInputs)
        assert isinstance(new, DigestedInputs)
        assert old.digest_of_all() != new.digest_of_all()
        assert old.digest(PART) is None or old.digest(PART) != new.digest(PART)


@pytest.mark.parametrize("name", INPUTS)
def test_a_stage_gets_no_column_that_it_does_not_name(name: str, tmp_path: Path) -> None:
    stage = getattr(Config(), name)
    assert all(set(columns) <= set(TABLES[table].names) for table, columns in stage.reads.items())
    if name != "shard":  # whose rows have a form of their own
        read = INPUTS[name](write(tmp_path)).read(PART)
        assert set(read.column_names) <= {column for columns in stage.reads.values() for column in columns}


@pytest.mark.parametrize("name", INPUTS)
def test_a_worker_reads_what_the_driver_read(name: str, tmp_path: Path) -> None:
    inputs = INPUTS[name](write(tmp_path))
    rows = [inputs.read(part) for part in inputs.names()]
    again = pickle.loads(pickle.dumps(inputs))
    assert [again.read(part) for part in again.names()] == rows
    assert [len(table) for table in rows] == [1]


def test_analyse_gets_neither_rejected_photos_nor_dropped_copies(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    images = [{"key": "a", "id": "a"}, {"key": "b", "id": "a"}, {"key": "c", "reject": Reject.UNREADABLE}]
    duplicates = [{"key": "a", "kind": "kept"}, {"key": "b", "reject": Reject.DUPLICATE_EXACT}]
    put(storage, "images", images)
    put(storage, "duplicates", duplicates)
    (row,) = AnalyseInput(storage).read(PART).to_pylist()
    assert row == {"key": "a", "id": "a", "photo": None, "group": "a", "certain": True}


def test_near_copies_follow_the_photo_that_is_kept_for_them(tmp_path: Path) -> None:
    """Each once by its bytes, whatever part it is in; of many copies only those that may show somebody else."""
    storage = Storage(str(tmp_path))
    near = [f"n{number:02}" for number in range(20)]
    images = [{"key": key, "id": key, "photo": PLACE} for key in ("z", "b", "a")]
    put(storage, "images", images)
    put(storage, "images", [{"key": key, "id": key, "photo": PLACE} for key in near], part="part-b")
    copy = {"group": "b", "kept_key": "b", "kind": "near", "reject": Reject.DUPLICATE_NEAR}
    copies = [copy | {"key": key, "id": key, "certain": key not in ("n03", "n18")} for key in near]
    put(
        storage,
        "duplicates",
        [{"key": "b", "id": "b", "group": "b", "kind": "kept", "certain": True}, *copies],
    )
    inputs = AnalyseInput(storage)
    rows = inputs.read(PART).to_pylist()
    assert [row["key"] for row in rows] == ["z", "b", *near[:15], "n18", "a"]
    assert [row["group"] for row in rows] == ["z", *["b"] * 16, "n18", "a"]
    assert [row["key"] for row in rows if not row["certain"]] == ["n03", "n18"]
    assert rows[3]["photo"] == PLACE
    assert len(inputs.read("part-b")) == 0
