"""The text on the command line finds its source."""

import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from facerefs.pipeline.cli import app
from facerefs.stages.sources.kind import NoSettings
from facerefs.stages.sources.registry import SOURCES, choices, default_settings, sections
from facerefs.stages.sources.resolve import absolute, open_source
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits

LIMITS = WebLimits("facerefs (tests)")


def opened(text: str, labels_file: Path | None = None) -> str:
    return type(open_source(text, labels_file, default_settings(), LIMITS)).__name__


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
        "tars": "TarSource",
        "lists": "UrlListSource",
        "bytes": "ParquetSource",
        "urls": "UrlListSource",
        "vgg": "VggFaceSource",
    }
    assert opened(str(folders["tars"] / "0.tar")) == "TarSource"
    assert opened(str(folders["lists"] / "people.csv")) == "UrlListSource"
    assert opened(str(photo.parents[1])) == "FolderSource"


def test_a_list_beside_photos_does_not_hide_them(photo: Path) -> None:
    (photo.parents[1] / "people.csv").write_text("name,url\nAnn,http://a.example/1.jpg\n")
    assert opened(str(photo.parents[1])) == "FolderSource"


def test_what_lies_beside_photos_unread_is_noted(photo: Path) -> None:
    folder = photo.parents[1]
    (folder / "names.txt").write_text("1.png Ann\n")
    assert notes_of(folder, folder / "names.txt") == []
    (folder / "people.csv").write_text("url\nhttp://a.example/1.jpg\n")
    assert notes_of(folder, folder / "names.txt") == [
        "people.csv in it is not read: give it as SOURCE if it lists or holds photos"
    ]
    for name in ("0.tar", "1.parquet"):
        (folder / name).touch()
    names, note = notes_of(folder)
    assert names == "1 other file is no photo (1 .txt)"
    assert note.startswith("0.tar, 1.parquet, people.csv in it are not read")


def notes_of(folder: Path, labels_file: Path | None = None) -> list[str]:
    return list(open_source(str(folder), labels_file, default_settings(), LIMITS).notes)


def test_a_folder_that_mixes_two_kinds_of_parquet_ends_in_a_sentence(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["http://a.example/1.jpg"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"image": [b"1"]}), tmp_path / "c.parquet")
    with pytest.raises(SourceError, match=r"mixes .* such as c\.parquet, .* such as b\.parquet"):
        opened(str(tmp_path))


def test_services_are_asked_for_nothing_when_they_are_opened() -> None:
    assert opened("commons:Q76") == "CommonsSource"
    assert opened("openverse:Ada Lovelace") == "OpenverseSource"
    assert opened("Commons:Q76") == "CommonsSource"
    assert opened("OPENVERSE:Ada Lovelace") == "OpenverseSource"


@pytest.mark.parametrize("name", ["people.xlsx", "photo.png", "people"])
def test_what_is_none_of_these(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(SourceError, match="neither a folder of photos nor a file that we know"):
        opened(str(tmp_path / name))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file or folder"):
        opened(str(tmp_path / "people.csv"))


def test_help_and_docs_name_every_kind_of_source(capsys: pytest.CaptureFixture[str]) -> None:
    docs = (Path(__file__).parents[3] / "docs" / "crawl.md").read_text()
    with pytest.raises(SystemExit):
        app(["build", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for example, photos in choices():
        assert example in said
        assert photos in said
        assert f"| `{example}` | {photos} |" in docs


def test_kinds_of_sources_that_share_a_section_share_its_settings() -> None:
    for kind in SOURCES:
        assert kind.settings in (NoSettings, sections().get(kind.settings_section))


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


@pytest.mark.parametrize(
    ("text", "remembered"),
    [
        ("Commons:Q76", "commons:Q76"),
        ("OPENVERSE:Ada Lovelace", "openverse:Ada Lovelace"),
        ("https://u:secret@host.example/list.csv?sig=SECRET#secret", "https://host.example/list.csv"),
        ("https://host.example/@list.csv?to=https://u:secret@b.example/", "https://host.example/@list.csv"),
        ("s3://bucket/list.csv", "s3://bucket/list.csv"),
        (
            "zip://l.csv::https://u:secret@host.example/l.zip?sig=SECRET",
            "zip://l.csv::https://host.example/l.zip",
        ),
    ],
)
def test_a_source_is_remembered_the_same_and_without_secrets(text: str, remembered: str) -> None:
    assert absolute(text) == absolute(absolute(text)) == remembered


def test_names_beside_an_address_are_refused_without_its_secrets(tmp_path: Path) -> None:
    with fsspec.open("memory://secrets/l.csv", "wb") as file:
        file.write(b"url\nhttp://a.example/1.jpg\n")
    (tmp_path / "names.txt").write_text("1.jpg Ann\n")
    with pytest.raises(SourceError, match=r"photos, and memory://secrets/l\.csv is none"):
        opened("memory://secrets/l.csv", tmp_path / "names.txt")


def test_a_compressed_tar_is_known_by_any_of_its_usual_names(tmp_path: Path) -> None:
    for name in ("x.tgz", "x.TGZ", "x.txz", "x.tar.zst"):
        (tmp_path / name).write_bytes(b"\x1f\x8b" + bytes(100))
        with pytest.raises(SourceError, match=r"is compressed, .*: unpack it first"):
            opened(str(tmp_path / name))
