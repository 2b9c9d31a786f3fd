"""The lists of VGG Face: one text file per person."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.lists.vggface import looks_like_vggface, open_vggface
from facerefs.stages.sources.registry import default_settings
from facerefs.stages.sources.resolve import open_source
from facerefs.stages.sources.source import SourceError
from tests.stages.sources.test_api import LIMITS

LINE = "00000001 http://a.example/aamir_khan.jpg 119.19 99.49 295.47 275.78 3.00 2.31 1\n"


def plant(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def listing(folder: Path) -> list[dict[str, object]]:
    tables = list(open_vggface(folder).rows())
    assert all(table.schema == SOURCES for table in tables)
    rows: list[dict[str, object]] = pa.concat_tables(tables).to_pylist()
    return rows


def test_a_line_is_a_photo_of_the_person_whom_the_file_names(tmp_path: Path) -> None:
    (row,) = listing(plant(tmp_path, Aamir_Khan=LINE))
    assert row["key"] == "Aamir_Khan/http://a.example/aamir_khan.jpg#xywh=119.19,99.49,176.28,176.29"
    assert (row["url"], row["label"]) == ("http://a.example/aamir_khan.jpg", "Aamir_Khan")
    assert row["box"] == pytest.approx([119.19, 99.49, 295.47, 275.78])
    assert json.loads(str(row["provenance"])) == {
        "id": "00000001",
        "pose": "3.00",
        "detection_score": "2.31",
        "curation": "1",
    }


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    assert [row["label"] for row in listing(plant(tmp_path, B=LINE, a=LINE, A=LINE * 2))] == [
        "A",
        "A",
        "B",
        "a",
    ]


def test_the_folder_as_published_is_found_too(tmp_path: Path) -> None:
    plant(tmp_path, licence="You may ...\n", README="Each line ...\n")
    plant(tmp_path / "files", Ann=LINE)
    assert looks_like_vggface(tmp_path)
    assert [row["label"] for row in listing(tmp_path)] == ["Ann"]
    assert open_vggface(tmp_path).name == str(tmp_path / "files")
    found = open_source(str(tmp_path), None, default_settings(), LIMITS)  # as `facerefs build` opens it
    assert found.name == str(tmp_path / "files")


def test_bad_lines_are_rejected_and_empty_ones_are_none(tmp_path: Path) -> None:
    bad = ["00000002 http://a.example/b.jpg 1 2 3", "nonsense", "00000003 http://c 9 9 1 1 3.00 2.31 1"]
    text = (
        (LINE + "\n" + "\r\n".join(bad) + "\n").encode() + b"\xff\n" + b"x " * 600_000 + b"\n" + LINE.encode()
    )
    rows = listing(plant(tmp_path, Ann=text))
    bad_keys = [f"Ann.txt row {number}" for number in (3, 4, 5, 6, 7)]
    assert [row["key"] for row in rows if row["reject"] == Reject.BAD_ROW] == bad_keys
    assert [row["reject"] for row in rows if row["url"]] == [None, Reject.LISTED_TWICE]


def test_a_url_may_hold_blanks(tmp_path: Path) -> None:
    (row,) = listing(plant(tmp_path, Ann=LINE.replace("aamir_khan", "aamir  khan")))
    assert row["url"] == "http://a.example/aamir  khan.jpg"


@pytest.mark.parametrize(
    "text", ["", "http://a\n", "name\turl\nAnn\thttp://a\n", "a b 1 2 3 4 5 6 7\n", b"\xff" * 99]
)
def test_other_text_files_are_none(tmp_path: Path, text: str | bytes) -> None:
    plant(tmp_path, Ann=text)
    assert not looks_like_vggface(tmp_path)
    with pytest.raises(SourceError):
        open_vggface(tmp_path)


def test_a_missing_folder_is_none(tmp_path: Path) -> None:
    assert not looks_like_vggface(tmp_path / "missing")
