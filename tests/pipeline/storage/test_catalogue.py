"""The catalogue of a table: true after whatever happens to the parts, and no part is opened that did not change."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.storage.catalogue import CATALOGUE_FOLDER, Catalogue
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import IMAGES, loaded
from facerefs.stages.crawl import Crawl
from tests.pipeline.folders import contents, folder_rows
from tests.pipeline.runner.test_copied_rows import InProcess

PARTS = ("part-a", "part-b", "part-c")


def write(storage: Storage, part: str, photo: bytes = b"photo") -> None:
    rows = [dict.fromkeys(IMAGES.names) | {"key": part, "photo": photo}]
    with storage.writing("images", part, f"from {photo!r}") as writer:
        writer.add(pa.Table.from_pylist(rows, loaded(IMAGES)))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path))
    for part in PARTS:
        write(storage, part)
    Catalogue.of(storage, "images").with_inputs("all", {"part-b": "its rows"})
    return storage


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts whose footer was read."""
    names, part = list[str](), Storage.part

    def read(self: Storage, table: str, name: str) -> object:
        names.append(name)
        return part(self, table, name)

    monkeypatch.setattr(Storage, "part", read)
    return names


def test_an_unchanged_table_is_known_without_opening_a_part(storage: Storage, opened: list[str]) -> None:
    found = Catalogue.of(storage, "images")
    assert opened == []
    assert found.inputs == "all"
    assert {name: entry.inputs for name, entry in found.entries.items()} == {
        "part-a": None,
        "part-b": "its rows",
        "part-c": None,
    }
    assert {name: entry.part for name, entry in found.entries.items()} == {
        name: storage.part("images", name) for name in PARTS
    }
    assert "phash" in found.entries["part-a"].part.empty
    assert "key" not in found.entries["part-a"].part.empty


def test_what_changed_is_read_again_and_nothing_else(storage: Storage, opened: list[str]) -> None:
    before = Catalogue.of(storage, "images")
    storage.remove_part("images", "part-a")
    write(storage, "part-b", b"other")
    write(storage, "part-d")
    found = Catalogue.of(storage, "images")
    assert sorted(opened) == ["part-b", "part-d"]
    assert list(found.entries) == ["part-b", "part-c", "part-d"]
    assert found.inputs is None
    assert found.entries["part-b"].inputs is None
    assert found.entries["part-b"].part.fingerprint == "from b'other'"
    columns = ("key", "photo")
    assert found.digest("part-b", ("key",)) == before.digest("part-b", ("key",))
    assert found.digest("part-c", columns) == before.digest("part-c", columns)
    assert found.digest_of_all(columns) != before.digest_of_all(columns)


@pytest.mark.parametrize("damage", ["index", "tar", "no tar"])
def test_a_damaged_part_is_none(storage: Storage, damage: str) -> None:
    tar = Path(storage.local_path("blobs/images/part-b.tar"))
    index = Path(storage.local_path("images/part-b.parquet"))
    match damage:
        case "index":
            index.write_bytes(index.read_bytes()[:-9])
        case "tar":
            tar.write_bytes(tar.read_bytes()[:-1])
        case _:
            tar.unlink()
    found = Catalogue.of(storage, "images")
    assert list(found.entries) == ["part-a", "part-c"]
    assert found.inputs is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', '{"version": 0, "parts": 3}'])
def test_a_damaged_catalogue_is_made_again(storage: Storage, text: str) -> None:
    storage.write_text(f"{CATALOGUE_FOLDER}/images.json", text)
    assert list(Catalogue.of(storage, "images").entries) == list(PARTS)


class Watched(CrawlInput):
    """The input of `crawl`, which notes what is read."""

    seen: Sequence[str] = ()

    def read(self, name: str) -> pa.Table:
        object.__setattr__(self, "seen", [*self.seen, name])
        return super().read(name)


def test_planning_reads_the_rows_of_changed_parts_alone(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(40):
        (files / f"{i:03d}.bin").write_bytes(b"no photo")

    def run(out: str) -> Sequence[str]:
        storage, console = Storage(str(tmp_path / out)), Console(file=io.StringIO())
        list_source([folder_rows(files)], 8, storage, console)
        inputs = Watched(storage)
        Runner(storage, console, InProcess(1)).run_parts(Crawl(), inputs)
        return sorted(set(inputs.seen))

    everything = run("out")
    assert everything == Storage(str(tmp_path / "out")).parts("sources")
    assert run("out") == []
    os.utime(tmp_path / "out" / "images" / f"{everything[0]}.parquet")
    assert run("out") == everything[:1]
    (files / "0205.bin").write_bytes(b"new")
    (new,) = run("out")
    assert new not in everything
    run("fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
