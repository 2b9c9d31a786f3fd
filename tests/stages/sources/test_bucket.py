"""Photos in object storage as a source, on a real S3 server."""

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas import object_storage as addresses
from facerefs.schemas.object_storage import filesystem_of
from facerefs.stages.sources.registry import default_settings
from facerefs.stages.sources.resolve import absolute, open_source
from facerefs.stages.sources.source import PhotoSource, SourceError
from facerefs.stages.web.limits import WebLimits
from tests.object_storage import BUCKET, ObjectStorage, object_storage

PHOTOS = ("Ada/1.jpg", "Ada/2.PNG", "Ada/trip/3.jpg", "Bob/1.jpg", "loose.webp")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses._filesystem.cache_clear()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"s3://{BUCKET}/{request.node.name}"


def photo(number: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8 + number, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


def put(address: str, *names: str, data: bytes | None = None) -> None:
    filesystem, path = filesystem_of(address)
    for number, name in enumerate(names):
        with filesystem.open_output_stream(f"{path}/{name}") as file:
            file.write(photo(number) if data is None else data)


def source_at(address: str, out: str | None = None, labels_file: Path | None = None) -> PhotoSource:
    return open_source(address, labels_file, default_settings(), WebLimits("facerefs (tests)"), None, out)


def labels_of(source: PhotoSource) -> dict[str, str | None]:
    return {row["key"]: row["label"] for table in source.rows() for row in table.to_pylist()}


def test_folders_are_people_and_all_else_is_said(address: str) -> None:
    put(address, *PHOTOS, "notes.txt", ".cache/4.jpg", "more.tar")
    source = source_at(address + "/")
    assert labels_of(source) == {
        "Ada/1.jpg": "Ada",
        "Ada/2.PNG": "Ada",
        "Ada/trip/3.jpg": "Ada",
        "Bob/1.jpg": "Bob",
        "loose.webp": None,
    }
    said = " ".join(source.notes)
    for sentence in ("1 of 5 photos have no name", "1 .txt", "dot: 1 photos", "1 tars beside the photos"):
        assert sentence in said
    assert source.name == absolute(address + "/") == absolute(address) == address


def test_photos_are_read_where_they_lie_as_long_as_they_have_not_changed(
    tmp_path: Path, address: str
) -> None:
    put(address, "Ada/1.jpg")
    ((row,),) = (table.to_pylist() for table in source_at(address).rows())
    storage = Storage(str(tmp_path))
    assert storage.read_blob(**row["photo"]) == photo()
    put(address, "Ada/1.jpg", data=photo() + b"longer")
    assert storage.read_blob(**row["photo"]) is None
    ((changed,),) = (table.to_pylist() for table in source_at(address).rows())
    assert changed["photo"]["length"] == row["photo"]["length"] + 6
    filesystem, path = filesystem_of(address)
    filesystem.delete_file(f"{path}/Ada/1.jpg")
    assert storage.read_blob(**row["photo"]) is None


def test_keys_of_objects_may_hold_what_addresses_may_not(tmp_path: Path, address: str) -> None:
    names = ["Ada/a#b?c=1.jpg", "Ada/50%.jpg", "Ada/50%25 +&.jpg", "J\u00f6rg/x\n.jpg"]
    put(address, *names)
    rows = [row for table in source_at(address).rows() for row in table.to_pylist()]
    found = {row["key"]: Storage(str(tmp_path)).read_blob(**row["photo"]) for row in rows}
    assert found == {name: photo(number) for number, name in enumerate(names)}


def test_the_build_and_other_builds_among_the_photos_are_left_out(address: str) -> None:
    put(address, *PHOTOS, "set/samples/a.jpg", "old/build.yaml", "old/report/b.jpg", "settled/c.jpg")
    source = source_at(address, out=f"{address}/set")
    assert set(labels_of(source)) == {*PHOTOS, "settled/c.jpg"}
    assert "left out, since facerefs wrote it: old, set" in " ".join(source.notes)


def test_names_can_come_from_a_file(tmp_path: Path, address: str) -> None:
    put(address, "1.jpg", "2.jpg")
    labels = tmp_path / "names.txt"
    labels.write_text("1.jpg Ada\n2.jpg Bob\n")
    assert labels_of(source_at(address, labels_file=labels)) == {"1.jpg": "Ada", "2.jpg": "Bob"}


@pytest.mark.parametrize("end", ["", "/a.tar"])
def test_tars_are_listed_and_their_photos_read_in_place(tmp_path: Path, address: str, end: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in (("x.jpg", photo(3)), ("x.json", b'{"identity": "Ada"}')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    put(address, "a.tar", data=packed.getvalue())
    (table,) = source_at(address + end).rows()
    (row,) = table.to_pylist()
    assert (row["key"], row["label"]) == ("a.tar/x.jpg", "Ada")
    assert row["photo"]["path"] == f"{address}/a.tar"
    assert Storage(str(tmp_path)).read_blob(**row["photo"]) == photo(3)


def test_a_list_in_a_bucket_is_read(address: str) -> None:
    put(address, "people.csv", data=b"url,identity\nhttps://a.example/1.jpg,Ada\n")
    assert list(labels_of(source_at(f"{address}/people.csv")).values()) == ["Ada"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (f"s3://{BUCKET}/nothing-here", "there is nothing at"),
        (f"s3://{BUCKET}/nothing.csv", "there is no file"),
        ("s3://no-such-bucket/photos", "there is nothing at"),
        ("s3://key:secret@faces/photos", "holds keys or options"),
        ("s3://", "names no bucket"),
    ],
)
def test_mistakes_are_said_in_one_sentence(place: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as raised:
        source_at(place)
    assert "secret@" not in str(raised.value)


def test_no_photos_at_an_address_says_what_is_there(address: str) -> None:
    put(address, "a.txt", "b.txt")
    with pytest.raises(SourceError, match=r"holds no photos.*2 other objects .*2 \.txt"):
        source_at(address)


def test_a_bucket_of_many_objects_is_listed_whole(address: str) -> None:
    """A page of a listing has 1,000 names."""
    with ThreadPoolExecutor(16) as threads:
        written = threads.map(lambda number: put(address, f"Ada/{number:04d}.jpg", data=b"x"), range(1100))
    assert len(list(written)) == len(labels_of(source_at(address)))
