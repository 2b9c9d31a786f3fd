"""Files of a build that changed after they were written are named, and nothing else is."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facerefs.pipeline.errors import DamagedFileError
from facerefs.pipeline.storage.catalogue import note_all
from facerefs.pipeline.storage.damage import mend
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DOWNLOADS, IMAGES, loaded

PHOTOS = (b"first photo", b"second photo")


def write_images(storage: Storage, name: str, fingerprint: str = "made from") -> None:
    rows = [
        dict.fromkeys(IMAGES.names) | {"key": f"{name}/{number}", "width": 64, "photo": photo}
        for number, photo in enumerate(PHOTOS)
    ]
    with storage.writing("images", name, fingerprint) as writer:
        writer.add(pa.Table.from_pylist(rows, loaded(IMAGES)))


def write_downloads(storage: Storage, name: str) -> None:
    rows = [
        dict.fromkeys(DOWNLOADS.names)
        | {"key": f"{name}/{number}", "photo": photo, "sha256": hashlib.sha256(photo).hexdigest()}
        for number, photo in enumerate(PHOTOS)
    ]
    with storage.writing("downloads", name, "made from", digest=False) as writer:
        writer.add(pa.Table.from_pylist(rows, loaded(DOWNLOADS)))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """Two parts of photos, as a finished build leaves them."""
    storage = Storage(str(tmp_path_factory.mktemp("build")))
    write_images(storage, "part-a")
    write_images(storage, "part-b")
    note_all(storage)
    return storage


def flip(path: Path, at: int, bit: int, keep_time: bool = False) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)
    time_ns = before.st_mtime_ns + (0 if keep_time else 1_000_000)
    os.utime(path, ns=(time_ns, time_ns))


@given(st.sampled_from(["images/part-b.parquet", "blobs/images/part-b.tar"]), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_named_and_its_part_is_gone(
    storage: Storage, file: str, data: st.DataObject
) -> None:
    write_images(storage, "part-b")
    note_all(storage)
    path = storage.local_path(file)
    flip(path, data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.integers(0, 7)))
    assert [damage.file for damage in mend(storage)] == [file]
    assert storage.parts("images") == ["part-a"]
    write_images(storage, "part-b")
    assert not list(mend(storage))


@pytest.mark.parametrize("said", [b"made from", b"facerefs.check", b'"size"', b'"phash": "'])
def test_what_a_footer_says_is_not_taken_for_other_work(storage: Storage, said: bytes) -> None:
    """Else a flipped letter in a fingerprint looks like a part that a killed run made from other input."""
    write_images(storage, "part-b")
    note_all(storage)
    path = storage.local_path("images/part-b.parquet")
    flip(path, path.read_bytes().rindex(said) + len(said) - 1, 1)
    assert [damage.file for damage in mend(storage)] == ["images/part-b.parquet"]
    write_images(storage, "part-b")
    note_all(storage)


@pytest.mark.parametrize("file", ["images/part-b.parquet", "blobs/images/part-b.tar"])
def test_a_disk_that_keeps_the_time_is_found_out_by_reading_every_file(storage: Storage, file: str) -> None:
    path = storage.local_path(file)
    flip(path, path.stat().st_size // 3, 0, keep_time=True)
    assert not list(mend(storage))
    assert [damage.file for damage in mend(storage, every_file=True)] == [file]
    write_images(storage, "part-b")
    note_all(storage)


def test_a_flipped_value_is_an_error_where_it_is_read(storage: Storage) -> None:
    path = storage.local_path("images/part-b.parquet")
    whole = path.read_bytes()
    flip(path, whole.index(b"part-b/1"), 0, keep_time=True)
    with pytest.raises(DamagedFileError, match=r"images/part-b.parquet is damaged .*: run the same"):
        storage.read("images", "part-b")
    path.write_bytes(whole)
    note_all(storage)


@pytest.mark.parametrize("table", ["images", "downloads"])
@pytest.mark.parametrize("lost", ["cut", "gone"])
def test_a_tar_that_is_cut_or_gone_is_named(tmp_path: Path, table: str, lost: str) -> None:
    storage = Storage(str(tmp_path))
    {"images": write_images, "downloads": write_downloads}[table](storage, "part-a")
    note_all(storage)
    tar = storage.local_path(f"blobs/{table}/part-a.tar")
    tar.unlink() if lost == "gone" else os.truncate(tar, 700)
    (damage,) = mend(storage)
    assert damage.file == f"blobs/{table}/part-a.tar"


def test_touched_and_copied_files_are_whole(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write_images(storage, "part-a")
    write_downloads(storage, "part-a")
    note_all(storage)
    for path in tmp_path.rglob("part-*"):
        os.utime(path, ns=(1, 1))
    assert not list(mend(storage))


def test_what_a_killed_run_made_again_is_no_damage(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write_images(storage, "part-a")
    note_all(storage)
    write_images(storage, "part-a", "made from something else")
    write_images(storage, "part-b")
    assert not list(mend(storage))


def test_photos_that_were_fetched_are_lost_one_by_one(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write_downloads(storage, "part-a")
    note_all(storage)
    tar = storage.local_path("blobs/downloads/part-a.tar")
    flip(tar, tar.read_bytes().index(PHOTOS[1]), 3)
    (damage,) = mend(storage)
    assert str(damage) == "blobs/downloads/part-a.tar is damaged (1 of its photos): they are fetched again"
    rows = storage.read("downloads", "part-a").to_pylist()
    assert [row["reject"] for row in rows] == [None, Reject.CONNECTION_LOST]
    assert storage.read_blob(**rows[0]["photo"]) == PHOTOS[0]
    part = storage.part("downloads", "part-a")
    assert part is not None
    assert part.fingerprint != "made from"  # so that the part is fetched again
    note_all(storage)
    assert not list(mend(storage))
