"""The text on the command line finds its source."""

import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stages.sources.opening import SourceSettings, absolute, open_source
from stages.sources.source import SourceError
from stages.web_limits import WebLimits

LIMITS = WebLimits("facerefs (tests)")


def opened(text: str, labels_file: Path | None = None) -> str:
    return type(open_source(text, labels_file, SourceSettings(), LIMITS)).__name__


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "ann" / "1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(path)
    return path


def test_files_and_folders(tmp_path: Path, photo: Path) -> None:
    folders = {name: tmp_path / name for name in ("tars", "lists", "bytes", "urls", "vgg")}
    for folder in folders.values():
        folder.mkdir()
    with tarfile.open(folders["tars"] / "0.tar", "w") as tar:
        tar.add(photo, "1.png")
    pq.write_table(
        pa.table({"url": ["http://a.example/1.jpg"]}), folders["tars"] / "0.parquet"
    )  # img2dataset's
    (folders["lists"] / "people.csv").write_text("name,url\nAnn,http://a.example/1.jpg\n")
    pq.write_table(pa.table({"image": [photo.read_bytes()], "name": ["Ann"]}), folders["bytes"] / "0.parquet")
    pq.write_table(pa.table({"url": ["http://a.example/1.jpg"]}), folders["urls"] / "0.parquet")
    for name in ("Ann", "Bob"):
        (folders["vgg"] / f"{name}.txt").write_text("00000001 http://a.example/1.jpg 1 2 30 40 3 2.5 1\n")
    assert {name: opened(str(folder)) for name, folder in folders.items()} == {
        "tars": "Tars",
        "lists": "UrlLists",
        "bytes": "ParquetPhotos",
        "urls": "UrlLists",
        "vgg": "VggFace",
    }
    assert opened(str(folders["tars"] / "0.tar")) == "Tars"
    assert opened(str(folders["lists"] / "people.csv")) == "UrlLists"
    assert opened(str(photo.parents[1])) == "FolderSource"


def test_a_list_beside_photos_does_not_hide_them(photo: Path) -> None:
    (photo.parents[1] / "people.csv").write_text("name,url\nAnn,http://a.example/1.jpg\n")
    assert opened(str(photo.parents[1])) == "FolderSource"


def test_services_are_asked_for_nothing_when_they_are_opened() -> None:
    assert opened("commons:Q76") == "CommonsSource"
    assert opened("openverse:Ada Lovelace") == "OpenverseSource"


@pytest.mark.parametrize("name", ["people.xlsx", "photo.png", "people"])
def test_what_is_none_of_these(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(SourceError, match="neither a folder of photos nor a file that we know"):
        opened(str(tmp_path / name))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file or folder"):
        opened(str(tmp_path / "people.csv"))


def test_names_beside_a_list_are_refused(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name,url\nAnn,http://a.example/1.jpg\n")
    (tmp_path / "names.txt").write_text("1.jpg Ann\n")
    with pytest.raises(SourceError, match="it has names of its own"):
        opened(str(tmp_path / "people.csv"), tmp_path / "names.txt")


def test_a_source_is_remembered_from_the_root_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("photos/../list.csv") == str(tmp_path / "list.csv")
    assert absolute("commons:@people.txt") == f"commons:@{tmp_path / 'people.txt'}"
    assert [absolute(text) for text in ("commons:Q76", "s3://bucket/list.csv")] == [
        "commons:Q76",
        "s3://bucket/list.csv",
    ]
