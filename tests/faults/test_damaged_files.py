"""A finished build of which files are damaged: the same command names them, and ends with the same bytes."""

import os
import shutil
from pathlib import Path

import pytest

from facerefs.pipeline.build.damaged_files import DamagedFiles
from facerefs.pipeline.build.listing import LISTED_FILE
from facerefs.pipeline.runner.event_log import EventLog
from facerefs.pipeline.storage.catalogue import CATALOGUE_FOLDER
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import SAMPLES_FOLDER
from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.folders import contents
from tests.pipeline.small_build import build, said


def flip(path: Path, keep_time: bool = False) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    list(write_people(folder, identities=2, per_identity=3, size_px=320, seed=3))
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "build"
    build(photos, out)
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "build"))


def files_of_parts(build: Path) -> list[str]:
    found = [*build.glob("*/*.parquet"), *build.glob("blobs/*/*.tar"), *build.glob("samples/*.tar")]
    return sorted(str(path.relative_to(build)) for path in found)


def test_every_kind_of_file_is_named_and_made_anew(photos: Path, whole: Path, copy: Path) -> None:
    files = files_of_parts(copy)
    assert len(files) > 9
    for name in files:
        flip(copy / name)
    printed = build(photos, copy)
    named = {line.split()[1] for line in printed.splitlines() if line.startswith("damaged ")}
    tables = {name for name in files if name.endswith(".parquet")}  # a tar goes with the table of its part
    assert named == tables | {str(len(tables))}
    assert f"damaged     {len(tables)} files changed after being written" in printed
    assert contents(copy) == contents(whole)


def test_a_lost_catalogue_is_no_damage(photos: Path, whole: Path, copy: Path) -> None:
    shutil.rmtree(copy / CATALOGUE_FOLDER)
    assert "damaged" not in build(photos, copy)
    assert contents(copy) == contents(whole)


@pytest.mark.parametrize("kind", ["blobs/faces/*.tar", "samples/*.tar", "samples/*.parquet"])
def test_one_damaged_file_is_named_and_the_set_is_as_before(
    photos: Path, whole: Path, copy: Path, kind: str
) -> None:
    path = next(copy.glob(kind))
    flip(path)
    assert f"{path.relative_to(copy)} is damaged" in build(photos, copy)
    assert contents(copy) == contents(whole)


def test_damage_that_keeps_the_time_is_found_by_reading(photos: Path, whole: Path, copy: Path) -> None:
    shutil.rmtree(copy / SAMPLES_FOLDER)  # so that the tables are read again
    path = next(copy.glob("faces/*.parquet"))
    flip(path, keep_time=True)
    assert f"{path.relative_to(copy)} is damaged" in build(photos, copy)
    assert contents(copy) == contents(whole)


def test_every_file_is_read_if_asked_for(photos: Path, whole: Path, copy: Path) -> None:
    path = next(copy.glob("samples/*.tar"))
    flip(path, keep_time=True)
    assert "is damaged" not in build(photos, copy)
    assert f"{path.relative_to(copy)} is damaged" in build(photos, copy, check_files=True)
    assert contents(copy) == contents(whole)


@pytest.mark.parametrize(("table", "is_listed_anew"), [("sources", True), ("faces", False)])
def test_a_service_is_asked_again_if_its_list_was_damaged(
    copy: Path, table: str, is_listed_anew: bool
) -> None:
    """Its complete list is kept otherwise, and the rows of the part would be lost."""
    storage = Storage(str(copy))
    storage.write_text(LISTED_FILE, "the list that is complete")
    flip(next(copy.glob(f"{table}/*.parquet")))
    said(lambda console: DamagedFiles(storage, console, EventLog(storage)).find(every_file=False))
    assert storage.exists(LISTED_FILE) != is_listed_anew
