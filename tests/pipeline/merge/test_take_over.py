"""What merge takes over: photos, faces and their bytes, and nothing is made again."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facerefs.pipeline.config.config import Config
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.runner.runner import part_fingerprint
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.crawl import Crawl
from tests.pipeline.folders import contents
from tests.pipeline.merge.toy_build import downloaded_build, picture, take_over, toy_build, write_photos


def rows(storage: Storage, table: str) -> dict[str, dict[str, Any]]:
    """The rows by key, with bytes in place of references."""
    names = [name for name in ("photo", "crop", "mask") if name in storage.scan(table).column_names]
    found = {row["key"]: row for row in storage.scan(table).to_pylist()}
    for row in found.values():
        for name in names:
            row[name] = None if row[name] is None else storage.read_blob(**row[name])
    return found


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Builds of photos that have the key cat/1.png for two photos, and cat/2.png for the same; for reading only."""
    folder = tmp_path_factory.mktemp("pristine")
    a = {"ann/1.png": 1, "ann/2.png": 2, "bob/1.png": 3, "cat/1.png": 4, "cat/2.png": 5}
    b = {"cat/1.png": 6, "cat/2.png": 5, "dan/1.png": 7, "dan/2.png": 8, "dan/3.png": 9}
    for name, photos in (("a", a), ("b", b)):
        made = {key: picture(seed) for key, seed in photos.items()} | {f"{name}/no.png": b"no photo"}
        toy_build(write_photos(folder / f"photos-{name}", made), folder / name)
    return folder / "a", folder / "b"


@pytest.fixture
def two(pristine: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The same builds, for a test that changes them; their photos lie where they were."""
    for place in pristine:
        shutil.copytree(place, tmp_path / place.name)
    return tmp_path / "a", tmp_path / "b"


def test_all_photos_of_two_builds_are_in_the_result(pristine: tuple[Path, Path], tmp_path: Path) -> None:
    before = [contents(place) for place in pristine]
    storage, taken = take_over(pristine, tmp_path / "out")
    assert [contents(place) for place in pristine] == before
    a, b = (Storage(str(place)) for place in pristine)
    assert (taken.counts[0].photos, taken.counts[0].same, taken.counts[0].renamed) == (6, 0, 0)
    assert (taken.counts[1].photos, taken.counts[1].same, taken.counts[1].renamed) == (6, 1, 1)
    for table in ("sources", "images", "faces"):
        theirs = rows(b, table)
        theirs.pop("cat/2.png")
        renamed = theirs.pop("cat/1.png") | {"key": "b/cat/1.png"}
        assert rows(storage, table) == rows(a, table) | theirs | {"b/cat/1.png": renamed}
    assert "1 name in several builds, which count as the same people: cat" in taken.notes
    crawl = CrawlInput(storage)
    for name in crawl.names():  # the stage finds nothing to do
        part = storage.part("images", name)
        assert part is not None
        assert part.fingerprint == part_fingerprint(Crawl(), crawl.read(name))


def test_a_second_run_writes_nothing_and_a_killed_one_is_continued(
    pristine: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    storage, _ = take_over(pristine, out)
    before, times = contents(out), {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    take_over(pristine, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == times
    for table in ("sources", "images", "faces"):  # as if a kill had come before these
        storage.remove_part(table, storage.parts(table)[0])
    (out / "blobs/faces" / "part-left.tar").write_bytes(b"of a killed run")
    take_over(pristine, out)
    (out / "blobs/faces" / "part-left.tar").unlink()  # `analyse` removes it
    assert contents(out) == before


def test_only_what_is_new_is_taken_over_after_a_build_has_grown(
    pristine: tuple[Path, Path], tmp_path: Path
) -> None:
    out, photos = tmp_path / "out", write_photos(tmp_path / "photos", {"eve/1.png": picture(20)})
    toy_build(photos, tmp_path / "c")
    places = [pristine[0], tmp_path / "c"]
    take_over(places, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    toy_build(write_photos(photos, {"eve/2.png": picture(21)}), tmp_path / "c")
    storage, _ = take_over(places, out)
    now = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert now.items() > times.items()
    assert len(now) - len(times) == 3  # one part of `sources`, `images` and `faces` each
    assert {"eve/1.png", "eve/2.png"} < rows(storage, "faces").keys()


@pytest.mark.parametrize("kind", ["copied", "downloaded"])
def test_a_build_that_holds_its_photos_can_be_deleted(kind: str, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        if kind == "copied":
            photos = write_photos(tmp_path / "photos", {f"{name}/1.png": picture(seed)})
            toy_build(photos, tmp_path / name, replace(Config(), crawl=Crawl(copy=True)))
            shutil.rmtree(tmp_path / "photos")
        else:
            downloaded_build({f"https://{name}.example/1.png": picture(seed)}, tmp_path / name)
    storage, _ = take_over([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    for name in ("a", "b"):
        shutil.rmtree(tmp_path / name)
    for table, column in (("images", "photo"), ("faces", "crop")):
        assert sorted(row[column] for row in rows(storage, table).values()) == sorted(
            [picture(1), picture(2)]
        )


def test_damaged_bytes_are_not_taken_over(two: tuple[Path, Path], tmp_path: Path) -> None:
    for tar in (two[0] / "blobs/faces").glob("*.tar"):
        tar.write_bytes(tar.read_bytes().replace(b"IDAT", b"IDOT"))
    with pytest.raises(RunError, match=r"blobs/faces/part-.*tar is damaged"):
        take_over(two, tmp_path / "out")


@pytest.mark.parametrize("lacking", ["samples/manifest.json", "faces", "images"])
def test_an_unfinished_build_is_refused(lacking: str, two: tuple[Path, Path], tmp_path: Path) -> None:
    path = two[1] / lacking
    next(path.glob("*.parquet")).unlink() if path.is_dir() else path.unlink()
    with pytest.raises(
        UserError, match=r"/b is not finished, .*: run facerefs build --config .*/b, then merge"
    ):
        take_over(two, tmp_path / "out")
