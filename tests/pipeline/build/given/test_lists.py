"""Published lists as others write them: formats, lists in texts, files that lead out of their folder."""

import ast
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facerefs.pipeline.build.given.references import MAX_LISTED, reference_names
from facerefs.pipeline.build.given.update import read_given
from facerefs.pipeline.config.given import Given, GivenColumns
from facerefs.pipeline.errors import UserError
from facerefs.schemas.reject import Reject

NAMES = st.lists(st.text(min_size=1).map(str.strip).filter(bool), max_size=5)
ROWS = [("a.png", ["b.png", "c.png"]), ("b.png", ["a.png"])]


@given(NAMES)
def test_a_list_in_a_text_is_read_as_python_would(names: list[str]) -> None:
    assert reference_names(repr(names)) == names
    assert reference_names(names) == names


@settings(max_examples=300)
@given(st.text(alphabet=st.one_of(st.sampled_from("'\",[]\\ ab\n"), st.characters()), max_size=40))
def test_no_text_does_more_than_fail_in_a_sentence(text: str) -> None:
    try:
        expected = ast.literal_eval(f"[{text}]")
        is_list = all(isinstance(name, str) and name.strip() for name in expected)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        is_list = False
    try:
        found = reference_names(f"[{text}]")
    except ValueError:
        return  # more is refused than by Python: nothing is computed, and nothing goes over a line
    assert is_list
    assert found == [name.strip() for name in expected]


@pytest.mark.parametrize(
    "text",
    [
        "[__import__('os')]",
        "['a' + 'b']",
        "['a', ['b']]",
        "[" * 100_000 + "]" * 100_000,
        "['a'",
        "[1]",
        "['\\x']",
        "['a' 'b']",
        "['a',,]",
        str(["a"] * (MAX_LISTED + 1)),
        "['']",
    ],
)
def test_what_is_no_flat_list_of_names_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        reference_names(text)


def test_one_name_and_none() -> None:
    assert reference_names(" a.png ") == ["a.png"]
    assert reference_names("") == reference_names(None) == reference_names("[]") == reference_names([]) == []


def pairs(path: Path, **settings: object) -> list[dict]:
    return read_given(Given(pairs=(str(path),), **settings))["given_pairs"].to_pylist()  # type: ignore[arg-type]


def write(folder: Path, extension: str) -> Path:
    path = folder / f"pairs.{extension}"
    match extension:
        case "csv":
            lines = ["gt_image,ref_image", *(f'{target},"{references}"' for target, references in ROWS)]
            path.write_text("\n".join(lines))
        case "tsv":
            lines = ["gt_image\tref_image", *(f"{target}\t{references}" for target, references in ROWS)]
            path.write_text("\n".join(lines))
        case "jsonl":
            path.write_text("\n".join(json.dumps({"gt": target, "refs": of}) for target, of in ROWS))
        case _:
            pq.write_table(
                pa.table({"target": [row[0] for row in ROWS], "references": [row[1] for row in ROWS]}), path
            )
    return path


@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, extension: str) -> None:
    rows = pairs(write(tmp_path, extension))
    assert [(row["target"], row["references"]) for row in rows] == ROWS
    assert [(row["row"], row["line"], row["file"]) for row in rows] == [
        (0, 1, f"pairs.{extension}"),
        (1, 2, f"pairs.{extension}"),
    ]


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("id,which,with\n1,a.png,b.png\n")
    with pytest.raises(UserError, match=r"given\.columns\.target=NAME"):
        pairs(path)
    (row,) = pairs(path, columns=GivenColumns(target="which", references="with"))
    assert (row["target"], row["references"]) == ("a.png", ["b.png"])
    with pytest.raises(UserError, match="has no column `wich`"):
        pairs(path, columns=GivenColumns(target="wich"))


def test_a_row_that_cannot_be_read_is_one_rejected_row(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("gt_image,ref_image\na.png,\"['b.png'\"\n,b.png\nb.png,a.png,c.png\nb.png,a.png\n")
    rows = pairs(path)
    assert [row["reject"] for row in rows] == [Reject.BAD_PUBLISHED_ROW] * 3 + [None]


def test_a_json_line_that_lacks_a_column_is_one_rejected_row(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('{"gt": "a.png", "ref": "b.png", "split": "val"}\n{"gt": "b.png"}\n{"ref": "a.png"}\n')
    assert [row["reject"] for row in pairs(path)] == [None, *[Reject.BAD_PUBLISHED_ROW] * 2]
    path.write_text('{"photo": "a.png", "split": "val"}\n{"split": "val"}\n{"photo": "b.png"}\n')
    assert [how for _, _, how in splits(path)] == ["val", *[Reject.BAD_PUBLISHED_ROW] * 2]
    path.write_text('{"who": "a.png"}\n')
    for read in (pairs, splits):
        with pytest.raises(UserError, match=r"given\.columns"):
            read(path)


def test_degraded_images_stay_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "lq.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    path = folder / "list.csv"
    names = ["lq.png", "../outside.png", str(tmp_path / "outside.png"), "link.png", "missing.png", ""]
    path.write_text("gt_image,ref_image,lq_image\n" + "".join(f"a.png,b.png,{name}\n" for name in names))
    rows = pairs(path)
    assert [row["reject"] for row in rows] == [None, *[Reject.BAD_DEGRADED] * 4, None]
    assert rows[0]["degraded"]["path"] == str(folder / "lq.png")
    assert rows[-1]["degraded"] is None
    (moved,) = pairs(write_one(tmp_path / "other.csv"), degraded_folder=str(folder))
    assert moved["degraded_sha256"] == rows[0]["degraded_sha256"]


def write_one(path: Path) -> Path:
    path.write_text("gt_image,ref_image,lq_image\na.png,b.png,lq.png\n")
    return path


def splits(*places: Path) -> list[tuple[str, str | None, str]]:
    rows = read_given(Given(splits=tuple(map(str, places))))["given_splits"].to_pylist()
    return [(row["name"], row["kind"], row["split"] or row["reject"]) for row in rows]


def test_splits_by_the_names_of_files_or_by_a_column(tmp_path: Path) -> None:
    for split, name in (("train", "a.png"), ("val", "b.png"), ("test", "c.png")):
        (tmp_path / f"{split}_image.txt").write_text(f"{name}\n\n")
    (tmp_path / "readme.md").write_text("nothing")
    expected = [("c.png", None, "test"), ("a.png", None, "train"), ("b.png", None, "val")]
    assert splits(tmp_path) == expected
    assert splits(tmp_path / "test_image.txt") == expected[:1]
    table = tmp_path / "people.csv"
    table.write_text("person,split\nAnn,training\nBea,validation\nCid,other\n")
    assert splits(table) == [
        ("Ann", "person", "train"),
        ("Bea", "person", "val"),
        ("Cid", "person", Reject.BAD_PUBLISHED_ROW),
    ]
    (tmp_path / "list.txt").write_text("a.png\n")
    with pytest.raises(UserError, match="does not say its split"):
        splits(tmp_path / "list.txt")
    with pytest.raises(UserError, match="there is no file"):
        splits(tmp_path / "test_gone.txt")


def test_a_column_of_the_pairs_can_give_the_splits(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("gt_image,ref_image,split\na.png,b.png,test\n")
    rows = read_given(Given(pairs=(str(path),)))["given_splits"].to_pylist()
    assert [(row["name"], row["kind"], row["split"]) for row in rows] == [("a.png", "photo", "test")]
    (tmp_path / "val.txt").write_text("a.png")
    with pytest.raises(UserError, match="splits are given twice"):
        read_given(Given(pairs=(str(path),), splits=(str(tmp_path / "val.txt"),)))
