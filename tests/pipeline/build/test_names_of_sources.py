"""A name in several spellings is one person, whatever the source is."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from facerefs.pipeline.build.listing import update_sources
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.sources.registry import default_settings
from facerefs.stages.sources.resolve import open_source
from facerefs.stages.web.limits import WebLimits

SPELLINGS = ("Jos\u00e9 Li", "Jose\u0301 Li", "Jos\u00e9\u00a0Li", "Jos\u00e9  Li\u200b")


def folder(place: Path) -> Path:
    for i, name in enumerate(SPELLINGS):
        (place / "photos" / name).mkdir(parents=True)
        (place / "photos" / name / f"{i}.jpg").touch()
    return place / "photos"


def csv(place: Path) -> Path:
    lines = [f"{name},http://a.example/{i}.jpg\n" for i, name in enumerate(SPELLINGS)]
    (place / "people.csv").write_text("name,url\n" + "".join(lines))
    return place / "people.csv"


def tar(place: Path) -> Path:
    with tarfile.open(place / "people.tar", "w") as file:
        for i, name in enumerate(SPELLINGS):
            for ending, data in (("jpg", b"photo"), ("json", json.dumps({"name": name}).encode())):
                info = tarfile.TarInfo(f"{i}.{ending}")
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return place / "people.tar"


def parquet(place: Path) -> Path:
    rows = [
        {"image": {"bytes": b"photo", "path": f"{i}.jpg"}, "name": name} for i, name in enumerate(SPELLINGS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), place / "people.parquet")
    return place / "people.parquet"


def vgg_face(place: Path) -> Path:
    (place / "vgg").mkdir()
    for i, name in enumerate(SPELLINGS):
        (place / "vgg" / f"{name}.txt").write_text(f"1 http://a.example/{i}.jpg 1 2 3 4 1 2.5 1\n")
    return place / "vgg"


@pytest.mark.parametrize("make", [folder, csv, tar, parquet, vgg_face])
def test_all_spellings_are_one_label_and_that_is_said(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = open_source(str(make(tmp_path)), None, default_settings(), WebLimits("facerefs (tests)"))
    storage, console = Storage(str(tmp_path / "out")), Console(file=io.StringIO(), width=200, record=True)
    (note,) = update_sources(source, "", 2, storage, console, again=False)
    labels = storage.scan("sources", ("label",))["label"].to_pylist()
    assert len(labels) == len(SPELLINGS)
    assert len(set(labels)) == 1
    assert labels[0] in [name.strip("\u200b") for name in SPELLINGS]
    assert note.startswith("1 name is written in several ways")
    assert "in several ways" in console.export_text()
