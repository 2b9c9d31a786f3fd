"""Builds of earlier versions had tars beside their tables: they are moved, and nothing is made again for it."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerefs.pipeline.storage.blobs import path_before, with_paths
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.journals.part_journals import PartJournals
from facerefs.pipeline.storage.old_layout import move_blobs
from facerefs.schemas.tables import DOWNLOADS, IMAGES, loaded
from tests.pipeline.folders import contents


def make(folder: Path) -> Storage:
    """Two photos that were downloaded, one that lies elsewhere, and their rows in two tables."""
    storage = Storage(str(folder))
    rows = [dict.fromkeys(DOWNLOADS.names) | {"key": key, "photo": key.encode()} for key in ("a", "b")]
    with storage.writing("downloads", "part-a", "of downloads", digest=False) as part:
        part.add(pa.Table.from_pylist(rows, loaded(DOWNLOADS)))
    places = storage.read("downloads", "part-a").column("photo").to_pylist()
    places += [None, {"path": "/elsewhere/c.jpg", "offset": 0, "length": 1}]
    rows = [dict.fromkeys(IMAGES.names) | {"key": str(i), "photo": at} for i, at in enumerate(places)]
    with storage.writing("images", "part-a", "of images") as part:
        part.add(pa.Table.from_pylist(rows, IMAGES))
    return storage


def as_before(folder: Path) -> None:
    """Put the tars beside their tables, as earlier versions wrote them."""
    for path in folder.glob("*/part-a.parquet"):
        rows = with_paths(pq.read_table(path), path_before)
        metadata = dict(rows.schema.metadata)
        if b"facerefs.tar" in metadata:
            tar = json.loads(metadata[b"facerefs.tar"])
            metadata[b"facerefs.tar"] = json.dumps(tar | {"path": path_before(tar["path"])}).encode()
        pq.write_table(rows.replace_schema_metadata(metadata), path)
    for tar in (folder / "blobs").glob("*/*.tar"):
        tar.rename(folder / tar.parent.name / tar.name)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = make(tmp_path)
    as_before(tmp_path)
    return storage


def test_a_build_of_an_earlier_version_is_read_as_it_is(storage: Storage) -> None:
    rows = storage.load_blobs(storage.read("images", "part-a"), ("photo",))
    assert rows.column("photo").to_pylist() == [b"a", b"b", None, None]
    assert rows.column("photo_at").to_pylist()[0]["path"] == "downloads/part-a.tar"


def test_moved_tars_change_no_row_but_its_path_and_no_digest(storage: Storage, tmp_path: Path) -> None:
    before = {table: storage.part(table, "part-a") for table in ("downloads", "images")}
    digest = rows_digest(storage.read("images", "part-a"))
    assert move_blobs(storage) == 1
    moved = contents(tmp_path)
    make(tmp_path / "new")
    assert moved == contents(tmp_path / "new")
    assert pq.read_table(tmp_path / "downloads").num_rows == 2
    rows = storage.load_blobs(storage.read("images", "part-a"), ("photo",))
    assert rows.column("photo").to_pylist() == [b"a", b"b", None, None]
    assert rows_digest(storage.read("images", "part-a")) == digest
    for table, old in before.items():
        part = storage.part(table, "part-a")
        assert old is not None
        assert part is not None
        assert (part.fingerprint, part.columns, part.rows) == (old.fingerprint, old.columns, old.rows)
    assert move_blobs(storage) == 0


def test_a_move_that_was_cut_off_goes_on(storage: Storage, tmp_path: Path) -> None:
    tar = tmp_path / "downloads/part-a.tar"
    data = tar.read_bytes()
    move_blobs(storage)
    (tmp_path / "blobs/downloads/part-a.tar").unlink()
    tar.write_bytes(data)  # as if killed after the rows were changed, and before the tar was moved
    assert move_blobs(storage) == 1
    assert storage.load_blobs(storage.read("images", "part-a"), ("photo",))["photo"].to_pylist()[0] == b"a"


def test_what_was_being_downloaded_is_kept(storage: Storage, tmp_path: Path) -> None:
    PartJournals(tmp_path / "downloads").journal("part-b").append({"key": "x"}, b"bytes")
    (tmp_path / "downloads/.lock").touch()
    move_blobs(storage)
    assert PartJournals(tmp_path / "blobs/downloads").parts() == {"part-b"}
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["part-a.parquet"]
