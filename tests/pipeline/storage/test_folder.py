"""Storage: a part is complete or does not exist, bytes are read back unchanged, tars hold no time of their making."""

import io
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import TarWriter, read_members
from facerefs.schemas.tables import BUNDLE, IMAGES, SAMPLES, loaded
from tests.pipeline.folders import contents


def image_rows(photos: list[bytes | None]) -> pa.Table:
    blank = dict.fromkeys(IMAGES.names)
    rows = [blank | {"key": f"{i}.jpg", "photo": photo} for i, photo in enumerate(photos)]
    return pa.Table.from_pylist(rows, loaded(IMAGES))


def write(storage: Storage, rows: pa.Table, table: str = "images", name: str = "part-a") -> None:
    with storage.writing(table, name, "fingerprint") as part:
        part.add(rows)


def test_bytes_come_back_with_their_rows(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write(storage, image_rows([b"first", None, b"", b"x" * 1000]))
    back = storage.load_blobs(storage.read("images", "part-a"), ("photo",))
    assert back.column("photo").to_pylist() == [b"first", None, b"", b"x" * 1000]
    assert back.column("photo_at").to_pylist()[0]["path"] == "blobs/images/part-a.tar"


def test_photos_that_lie_elsewhere_are_read_there_and_must_not_have_changed(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "build"))
    photo = tmp_path / "mine.jpg"
    photo.write_bytes(b"12345")
    place = {"path": str(photo), "offset": 0, "length": 5}
    rows = pa.Table.from_pylist([dict.fromkeys(IMAGES.names) | {"key": "k", "photo": place}], IMAGES)
    write(storage, rows)
    assert storage.load_blobs(rows, ("photo",)).column("photo").to_pylist() == [b"12345"]
    photo.write_bytes(b"123456")
    assert storage.load_blobs(rows, ("photo",)).column("photo").to_pylist() == [None]
    photo.unlink()
    assert storage.load_blobs(rows, ("photo",)).column("photo").to_pylist() == [None]


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))

    def fail_half_way() -> None:
        with storage.writing("images", "part-a", "f") as part:
            part.add(image_rows([b"bytes"]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert contents(tmp_path) == {}


def test_a_part_replaced_by_one_without_bytes_loses_its_tar(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write(storage, image_rows([b"bytes"]))
    write(storage, image_rows([None]))
    assert list(contents(tmp_path)) == ["images/part-a.parquet"]


def test_readers_of_datasets_read_the_folder_of_a_table(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write(storage, image_rows([b"first", b"second"]))
    with storage.writing("images", "part-b", "fingerprint") as part:  # as if killed here
        part.add(image_rows([b"half"]))
        assert {path.suffix for path in (tmp_path / "images").iterdir()} == {".parquet"}
        rows = pq.read_table(tmp_path / "images").to_pylist()
    for row, data in zip(rows, (b"first", b"second"), strict=True):
        with (tmp_path / row["photo"]["path"]).open("rb") as file:
            file.seek(row["photo"]["offset"])
            assert file.read(row["photo"]["length"]) == data
    assert {path.suffix for path in (tmp_path / "images").iterdir()} == {".parquet"}


@pytest.mark.parametrize(
    "name", ["._part-a.parquet", "part-a (1).parquet", ".DS_Store", "part-a.parquet.tmp"]
)
def test_what_others_leave_in_a_table_is_no_part(name: str, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write(storage, image_rows([b"first"]))
    shutil.copy(tmp_path / "images/part-a.parquet", tmp_path / "images" / name)
    (tmp_path / "blobs/images/._part-x.tar").write_bytes(b"")
    assert (storage.parts("images"), storage.started_parts("images")) == (["part-a"], {"part-a"})
    assert len(storage.scan("images")) == 1


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "blobs" / "faces").mkdir(parents=True)
    for folder in ("faces", "blobs/faces"):  # earlier versions wrote into the folder of the table
        (tmp_path / folder / ".tmp-17-part-a.tar").write_bytes(b"half")
        (tmp_path / folder / ".tmp-17-part-a.parquet").write_bytes(b"half")
    (tmp_path / "faces" / "part-b.parquet").write_bytes(b"whole")
    Storage(str(tmp_path)).clear_temporary()
    assert list(contents(tmp_path)) == ["faces/part-b.parquet"]


def test_the_same_rows_give_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(Storage(str(tmp_path / folder)), image_rows([b"first", b"second"]))
        time.sleep(1.1)  # a tar's clock has seconds
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def sample_rows(samples: list[list[dict[str, Any]]]) -> pa.Table:
    schema = SAMPLES.set(SAMPLES.get_field_index("files"), pa.field("files", BUNDLE))
    blank = dict.fromkeys(SAMPLES.names)
    return pa.Table.from_pylist(
        [blank | {"key": f"k{i}", "files": files} for i, files in enumerate(samples)], schema
    )


def test_a_sample_is_cut_out_of_its_shard_by_the_index(tmp_path: Path) -> None:
    samples = [
        [{"name": f"k{i}.gt.png", "data": b"g" * i}, {"name": f"k{i}.json", "data": b"{}"}] for i in range(5)
    ]
    storage = Storage(str(tmp_path))
    write(storage, sample_rows(samples), "samples", "train-00000")
    places = storage.read("samples", "train-00000").column("files").to_pylist()
    for i, place in enumerate(places):
        cut = storage.read_blob(**place)
        assert cut is not None
        assert read_members(cut) == {f"k{i}.gt.png": b"g" * i, f"k{i}.json": b"{}"}
    part = storage.part("samples", "train-00000")
    assert part is not None
    assert part.tar is not None
    assert part.tar.size == (tmp_path / "samples" / "train-00000.tar").stat().st_size


@given(st.dictionaries(st.text("abcxyz0189-", min_size=1, max_size=40), st.binary(max_size=2000), max_size=6))
def test_our_tars_are_tars(files: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    writer = TarWriter(buffer)
    offsets = {name: writer.add(name, data) for name, data in files.items()}
    writer.close()
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as archive:
        assert archive.getnames() == list(files)
        for member in archive.getmembers():
            data = files[member.name]
            assert buffer.getvalue()[offsets[member.name] :][: len(data)] == data
            assert (member.mtime, member.uid, member.uname) == (0, 0, "")


@pytest.mark.parametrize("columns", [None, ("key", "format")])
def test_a_table_of_a_version_without_a_column_is_named_with_the_way_out(
    tmp_path: Path, columns: tuple[str, ...] | None
) -> None:
    storage = Storage(str(tmp_path))
    write(storage, image_rows([b"first"]))
    old = tmp_path / "images/part-a.parquet"
    pq.write_table(pq.read_table(old).drop_columns(["format"]), old)
    with pytest.raises(UserError, match=r"table images lacks format; run .* again, with --update"):
        storage.scan("images", columns)
    assert storage.read("images", "part-a").column("key").to_pylist() == ["0.jpg"]
