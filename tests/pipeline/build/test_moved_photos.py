"""A source that has moved: what was made of its photos stays, as long as keys and bytes are the same."""

import io
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from rich.console import Console

from facerefs.pipeline.build.listing import list_source, update_sources
from facerefs.pipeline.build.moved_photos import MovedPhotos
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.runner.part_pool import PartTask
from facerefs.pipeline.runner.runner import PartInputs, PartWorker, part_fingerprint
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import FACES, SOURCES
from facerefs.stages.crawl import Crawl
from facerefs.stages.sources.folder import open_folder
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.tars import open_tars
from facerefs.stages.stage import PartStage

QUIET = Console(file=io.StringIO())


@dataclass(frozen=True)
class OneFace:
    """Finds one face in every photo, and keeps the photo as its crop."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {"images": ("key", "id", "photo", "reject")}
    writes: ClassVar[str] = "faces"
    loads: ClassVar[tuple[str, ...]] = ("photo",)
    version: ClassVar[int] = 1
    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, rows: pa.Table) -> pa.Table:
        """A row of FACES per photo."""
        schema = FACES.set(FACES.get_field_index("crop"), pa.field("crop", pa.large_binary()))
        known = [
            {"id": row["id"][:16] + "-0", "image": row["id"], "key": row["key"], "crop": row["photo"]}
            for row in rows.to_pylist()
        ]
        return pa.Table.from_pylist([dict.fromkeys(FACES.names) | row for row in known], schema)


def photos(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("ann/1.png", "ann/2.png", "bob/1.png", "bob/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / name)
    (folder / "bob/3.png").write_bytes(b"no photo")
    return folder


def tar(folder: Path) -> Path:
    with tarfile.open(photos(folder / "loose").parent / "people.tar", "w") as file:
        file.add(folder / "loose", arcname="")
    shutil.rmtree(folder / "loose")
    return folder


def bring_up_to_date(folder: Path, out: Path, crawl: Crawl) -> list[str]:
    """List the source, and do what is missing; returns which parts were made."""
    storage, face = Storage(str(out)), OneFace()
    tars = sorted(folder.glob("*.tar"))
    source = open_tars(tars, ColumnNames()) if tars else open_folder(folder)
    list_source(source.rows(), 2, storage, QUIET, MovedPhotos(storage, crawl, face))
    made = []
    stages: Sequence[tuple[PartStage, PartInputs]] = (
        (crawl, CrawlInput(storage)),
        (face, AnalyseInput(storage)),
    )
    for stage, inputs in stages:
        for name in inputs.names():
            fingerprint = part_fingerprint(stage, inputs.read(name))
            done = storage.part(stage.writes, name)
            if done is None or done.fingerprint != fingerprint:
                PartWorker(stage, inputs, storage).work(PartTask(name, fingerprint))
                made.append(f"{stage.writes}/{name}")
    return made


def digests(out: Path, table: str) -> list[Mapping[str, str]]:
    """The digests of the columns of a table, by part: what later stages depend on."""
    parts = [Storage(str(out)).part(table, name) for name in Storage(str(out)).parts(table)]
    return [part.columns for part in parts if part is not None]


@pytest.mark.parametrize("make", [photos, tar])
@pytest.mark.parametrize("crawl", [Crawl(), Crawl(copy=True)])
def test_nothing_is_made_again_of_photos_that_moved(
    tmp_path: Path, make: Callable[[Path], Path], crawl: Crawl
) -> None:
    out = tmp_path / "out"
    first = bring_up_to_date(make(tmp_path / "here"), out, crawl)
    assert {name.partition("/")[0] for name in first} == {"images", "faces"}
    before = digests(out, "faces")
    (tmp_path / "here").rename(tmp_path / "there")
    assert bring_up_to_date(tmp_path / "there", out, crawl) == []
    assert digests(out, "faces") == before
    for row in Storage(str(out)).scan("images", ("photo", "reject")).to_pylist():
        assert row["reject"] or Storage(str(out)).read_blob(**row["photo"]) is not None
    shutil.copytree(
        tmp_path / "there", tmp_path / "copied", copy_function=shutil.copyfile
    )  # with other times
    assert bring_up_to_date(tmp_path / "copied", out, crawl) == []


def test_the_part_of_a_photo_with_other_bytes_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = bring_up_to_date(photos(tmp_path / "here"), out, Crawl())
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.copy(tmp_path / "there/ann/1.png", tmp_path / "there/bob/2.png")
    again = bring_up_to_date(tmp_path / "there", out, Crawl())
    assert 0 < len(again) < len(first)
    assert bring_up_to_date(tmp_path / "there", out, Crawl()) == []


def test_other_settings_still_make_everything_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = bring_up_to_date(photos(tmp_path / "here"), out, Crawl())
    (tmp_path / "here").rename(tmp_path / "there")
    again = bring_up_to_date(tmp_path / "there", out, Crawl(min_side_px=65))
    assert [name for name in again if "images" in name] == [name for name in first if "images" in name]


@dataclass
class Service:
    """A service that counts how often it is asked."""

    service_query: str | None
    asked: int = 0
    notes: tuple[str, ...] = ()
    name: str = "service"

    def rows(self) -> Iterator[pa.Table]:
        """One row, named after the query."""
        self.asked += 1
        key = str(self.service_query)
        yield pa.Table.from_pylist([dict.fromkeys(SOURCES.names) | {"key": key}], SOURCES)


def test_a_service_is_asked_again_after_another_source(tmp_path: Path) -> None:
    storage, ada, folder = Storage(str(tmp_path)), Service("Ada"), Service(None)
    for source, asked in ((ada, 1), (ada, 1), (folder, 1), (ada, 2)):
        update_sources(source, "key", 10, storage, QUIET, again=False)
        assert source.asked == asked
        assert storage.scan("sources", ("key",))["key"].to_pylist() == [str(source.service_query)]
