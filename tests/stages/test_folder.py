"""The folder source: what it lists, whom it names, and what it says of mistakes."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.paths import path_of_text, text_of_path
from schemas.tables import SOURCES
from stages.sources import folder
from stages.sources.folder import open_folder
from stages.sources.opening import open_source
from stages.sources.source import SourceError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))
    return root


def listing(root: Path, labels_file: Path | None = None) -> list[dict[str, object]]:
    tables = list(open_source(str(root), labels_file).rows())
    assert all(table.schema == SOURCES for table in tables)
    return pa.concat_tables(tables).to_pylist()


def keys(root: Path) -> list[str]:
    return [str(row["key"]) for row in listing(root)]


def test_sub_folders_of_the_first_level_are_people(tmp_path: Path) -> None:
    plant(tmp_path, "ann/1.jpg", "ann/2019/paris/2.PNG", "bob/1.jpg", "stray.webp")
    labels = {row["key"]: row["label"] for row in listing(tmp_path)}
    assert labels == {
        "ann/1.jpg": "ann",
        "ann/2019/paris/2.PNG": "ann",
        "bob/1.jpg": "bob",
        "stray.webp": None,
    }


def test_a_row_says_where_the_photo_lies(tmp_path: Path) -> None:
    plant(tmp_path, "ann/1.jpg")
    (row,) = listing(tmp_path)
    path = tmp_path / "ann/1.jpg"
    assert row["photo"] == {"path": str(path), "offset": 0, "length": path.stat().st_size}
    assert row["modified_ns"] == path.stat().st_mtime_ns
    assert row["url"] is None


def test_only_visible_images_are_listed(tmp_path: Path) -> None:
    others = (
        "README.txt",
        "truth.jsonl",
        "identity.txt",
        "Thumbs.db",
        ".DS_Store",
        "a/.hidden.jpg",
        ".git/x.jpg",
    )
    plant(tmp_path, "a/1.JPG", "a/2.heic", "a/noextension", "a/jpg", *others)
    assert keys(tmp_path) == ["a/1.JPG", "a/2.heic"]


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    plant(tmp_path, "b/2.jpg", "b/10.jpg", "a.jpg", "c.jpg", "b/a/1.jpg", "Z.jpg")
    assert keys(tmp_path) == ["Z.jpg", "a.jpg", "b/10.jpg", "b/2.jpg", "b/a/1.jpg", "c.jpg"]


def test_a_large_folder_comes_in_several_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_ROWS_PER_TABLE", 3)
    plant(tmp_path, *[f"{i}.jpg" for i in range(7)])
    assert [len(table) for table in open_folder(tmp_path).rows()] == [3, 3, 1]


def test_links_lead_neither_out_nor_round_in_circles(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "secret.jpg")
    root = plant(tmp_path / "root", "a/1.jpg")
    (root / "a/again").symlink_to(root)
    (root / "people").symlink_to(outside)
    (root / "a/secret.jpg").symlink_to(outside / "secret.jpg")
    (root / "a/same.jpg").symlink_to(root / "a/1.jpg")
    assert keys(root) == ["a/1.jpg", "a/same.jpg"]


def test_what_has_no_bytes_to_read_is_listed_without_a_place(tmp_path: Path) -> None:
    plant(tmp_path, "1.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    places = {row["key"]: row["photo"] for row in listing(tmp_path)}
    assert places["1.jpg"] is not None
    assert places["gone.jpg"] is None


def test_a_pipe_is_no_photo(tmp_path: Path) -> None:
    plant(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "2.jpg")
    assert keys(tmp_path) == ["1.jpg"]


def test_odd_names_survive_the_table(tmp_path: Path) -> None:
    names = [
        "josé/ü 😀.jpg",
        os.fsdecode(b"jos\xe9/1.jpg"),
        "back\\slash.jpg",
        "line\nbreak.jpg",
        "a%20'b\".jpg",
    ]
    plant(tmp_path, *names)
    rows = listing(tmp_path)
    assert len({row["key"] for row in rows}) == len(names)
    for row in rows:
        key = path_of_text(str(row["key"]))
        place = row["photo"]
        assert isinstance(place, dict)
        assert Path(path_of_text(place["path"])).read_bytes() == os.fsencode(key)
    assert {row["label"] for row in rows} == {"josé", r"jos\xe9", None}


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=2, max_size=2, unique=True))
def test_names_become_text_and_back(names: list[bytes]) -> None:
    texts = [text_of_path(os.fsdecode(name)) for name in names]
    assert len({text.encode() for text in texts}) == 2
    assert [os.fsencode(path_of_text(text)) for text in texts] == names


def test_a_deep_folder_does_not_exhaust_us(tmp_path: Path) -> None:
    folders = [tmp_path / "/".join("d" * depth) for depth in range(1, 1100)]
    for path in folders:
        path.mkdir()
    photo = plant(folders[-1], "1.jpg") / "1.jpg"
    assert len(keys(tmp_path)) == 1
    photo.unlink()
    for path in reversed(folders):  # pytest itself could not remove them
        path.rmdir()


def labels_file(root: Path, text: str) -> Path:
    path = root / "identity.txt"
    path.write_text(text)
    return path


def test_a_file_can_say_who_the_photos_show(tmp_path: Path) -> None:
    plant(tmp_path, "000001.jpg", "000002.jpg", "deep/000003.jpg", "deep/000004.jpg")
    file = labels_file(tmp_path, "000001.jpg 2880\n\ndeep/000003.jpg 2880\r\n000004.jpg\tAnn of the North\n")
    assert [row["label"] for row in listing(tmp_path, file)] == ["2880", None, "2880", "Ann of the North"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.jpg 7\n2.jpg\n", "line 2: expected a file name and a label, found '2.jpg'"),
        ("202599\n1.jpg 7\n", "line 1: expected a file name and a label"),
        ("1.jpg 7 8\n", "line 1: expected"),
        ("1.jpg\t\n", "line 1: expected"),
        ("1.jpg 7\n1.jpg 8\n", "line 2: 1.jpg is 8 here, but 7 further up"),
        ("x.jpg 7\n", "names none of the photos in .*: it begins with x.jpg, the folder with 1.jpg"),
        ("", "names none of the photos in .*: it is empty"),
    ],
)
def test_a_wrong_file_of_labels_is_named(tmp_path: Path, text: str, said: str) -> None:
    plant(tmp_path, "1.jpg")
    with pytest.raises(SourceError, match=said):
        open_source(str(tmp_path), labels_file(tmp_path, text))


def test_unreadable_labels_are_named(tmp_path: Path) -> None:
    plant(tmp_path, "1.jpg")
    with pytest.raises(SourceError, match=r"cannot read the labels in .*No such file"):
        open_source(str(tmp_path), tmp_path / "none.txt")
    (tmp_path / "photo.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(SourceError, match="it is not UTF-8 text"):
        open_source(str(tmp_path), tmp_path / "photo.txt")


def test_mistakes_get_one_sentence(tmp_path: Path) -> None:
    plant(tmp_path, "empty/README.txt", "1.jpg")
    for text, said in [
        (str(tmp_path / "missing"), "there is no folder"),
        (str(tmp_path / "1.jpg"), "is a file, not a folder of photos"),
        (str(tmp_path / "empty"), "holds no photos"),
        ("x" * 5000, "cannot look into"),
    ]:
        with pytest.raises(SourceError, match=said) as caught:
            open_source(text)
        assert "\n" not in str(caught.value)
