"""The folder source: what it lists, whom it names, and what it says of mistakes."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.schemas.paths import path_of_text, text_of_path
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources import folder
from facerefs.stages.sources.folder import open_folder
from facerefs.stages.sources.registry import default_settings
from facerefs.stages.sources.resolve import open_source
from facerefs.stages.sources.source import PhotoSource, SourceError
from facerefs.stages.web.limits import WebLimits


def opened(text: str, labels_file: Path | None = None) -> PhotoSource:
    return open_source(text, labels_file, default_settings(), WebLimits("facerefs (tests)"))


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))
    return root


def listing(root: Path, labels_file: Path | None = None) -> list[dict[str, object]]:
    tables = list(opened(str(root), labels_file).rows())
    assert all(table.schema == SOURCES for table in tables)
    rows: list[dict[str, object]] = pa.concat_tables(tables).to_pylist()
    return rows


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


def places(root: Path) -> dict[object, object]:
    return {row["key"]: row["photo"] for row in listing(root)}


def test_links_in_the_folder_lead_to_files_and_not_round_in_circles(tmp_path: Path) -> None:
    root = plant(tmp_path, "a/1.jpg", ".store/2", "a/notes.txt")
    (root / "a/again").symlink_to(root)
    (root / "a/same.jpg").symlink_to("1.jpg")
    (root / "a/stored.jpg").symlink_to(root / ".store/2")
    (root / "a/read me").symlink_to("notes.txt")
    assert keys(root) == ["a/1.jpg", "a/same.jpg", "a/stored.jpg"]
    assert None not in places(root).values()


def test_no_photo_behind_a_link_is_silently_ignored_or_read_from_outside(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "secret.jpg", "notes.txt")
    root = plant(tmp_path / "root", "a/1.jpg", ".store/x/2.jpg")
    (root / "a/secret.jpg").symlink_to(outside / "secret.jpg")
    (root / "a/notes.txt").symlink_to(outside / "notes.txt")
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (root / "people").symlink_to(outside)
    (root / "round").symlink_to("round")
    (root / "stored").symlink_to(".store/x")
    (root / "unplugged").symlink_to(tmp_path / "disk")
    found = places(root)
    assert found.pop("a/1.jpg") is not None
    assert found == dict.fromkeys(["a/secret.jpg", "gone.jpg", "people", "round", "stored", "unplugged"])


@pytest.mark.parametrize("linked", ["", "1.jpg"])
def test_a_folder_of_nothing_but_links_is_told_so(tmp_path: Path, linked: str) -> None:
    outside = plant(tmp_path / "outside", "1.jpg")
    root = plant(tmp_path / "root", "README.txt")
    for name in ("ann.jpg", "bob.jpg"):
        (root / name).symlink_to(outside / linked)
    message = rf"only symbolic links .*\(2, such as ann.jpg to {outside / linked}\): give the folder"
    with pytest.raises(SourceError, match=message):
        opened(str(root))


def test_a_link_can_be_the_source(tmp_path: Path) -> None:
    plant(tmp_path / "outside", "1.jpg")
    (tmp_path / "link").symlink_to("outside")
    assert None not in places(tmp_path / "link").values()


def test_a_row_changes_once_its_photo_may_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "1.jpg", "2.jpg")
    readable = listing(tmp_path)
    with monkeypatch.context() as patch:  # root, who runs many a test, may read everything
        patch.setattr(os, "access", lambda path, mode: not (mode & os.R_OK and str(path).endswith("1.jpg")))
        locked = listing(tmp_path)
    assert locked == [{**readable[0], "modified_ns": None}, readable[1]]
    assert readable[0]["modified_ns"] is not None


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


def test_a_folder_of_any_name_is_a_source(tmp_path: Path) -> None:
    root = plant(tmp_path / os.fsdecode(b"jos\xe9"), "ann/1.jpg")
    assert opened(str(root)).name == str(tmp_path / r"jos\xe9")
    (row,) = listing(root, labels_file(root, "1.jpg Ann\n"))
    assert (row["key"], row["label"]) == ("ann/1.jpg", "Ann")
    place = row["photo"]
    assert isinstance(place, dict)
    assert Path(path_of_text(place["path"])).read_bytes() == b"ann/1.jpg"


def test_mistakes_with_a_folder_of_any_name_can_be_printed(tmp_path: Path) -> None:
    root = plant(tmp_path / os.fsdecode(b"jos\xe9"), "photos/1.jpg", "links/README.txt", "empty/README.txt")
    (root / "links" / os.fsdecode(b"\xe9.jpg")).symlink_to(os.fsdecode(b"../\xe8"))
    other = labels_file(root, "x.jpg 7\n")
    for name, file in [
        ("missing", None),
        ("photos/1.jpg", None),
        ("empty", None),
        ("links", None),
        ("photos", other),
        ("photos", root / "photos/1.jpg"),
        ("photos", root / "none.txt"),
        ("x" * 5000, None),
    ]:
        with pytest.raises(SourceError) as caught:
            opened(str(root / name), file)
        assert r"jos\xe9" in str(caught.value)
        assert str(caught.value).encode()


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
    ("text", "message"),
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
def test_a_wrong_file_of_labels_is_named(tmp_path: Path, text: str, message: str) -> None:
    plant(tmp_path, "1.jpg")
    with pytest.raises(SourceError, match=message):
        opened(str(tmp_path), labels_file(tmp_path, text))


def test_unreadable_labels_are_named(tmp_path: Path) -> None:
    plant(tmp_path, "1.jpg")
    with pytest.raises(SourceError, match=r"cannot read the labels in .*No such file"):
        opened(str(tmp_path), tmp_path / "none.txt")
    (tmp_path / "photo.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(SourceError, match="it is not UTF-8 text"):
        opened(str(tmp_path), tmp_path / "photo.txt")


def test_mistakes_get_one_sentence(tmp_path: Path) -> None:
    plant(tmp_path, "empty/README.txt", "1.jpg")
    for text, message in [
        (str(tmp_path / "missing"), "there is no file or folder"),
        (str(tmp_path / "1.jpg"), "is neither a folder of photos nor a file that we know"),
        (str(tmp_path / "empty"), "holds no photos"),
        ("x" * 5000, "cannot look into"),
    ]:
        with pytest.raises(SourceError, match=message) as caught:
            opened(text)
        assert "\n" not in str(caught.value)


JPEG, HEIC = b"\xff\xd8\xff\xe0 and so on", b"\0\0\0\x18ftypheic and so on"


def test_what_has_no_photos_name_is_a_photo_by_its_first_bytes_or_is_counted(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.jpg", "a/page.html", "a/notes", "a/BMW", ".hidden.jpg", ".thumbs/2.jpg")
    plant(tmp_path, "a/Thumbs.db", "a/.DS_Store", "a/._1.jpg", "a/2.json")
    for name, data in (("1.jpg?w=1024", JPEG), ("2.jpg.1", JPEG), ("IMG_3", JPEG), ("IMG_4", HEIC)):
        (tmp_path / "a" / name).write_bytes(data)
    (tmp_path / "a/dir.jpg").mkdir()
    os.mkfifo(tmp_path / "a/pipe.jpg")
    source = opened(str(tmp_path))
    assert keys(tmp_path) == ["a/1.jpg", "a/1.jpg?w=1024", "a/2.jpg.1", "a/IMG_3", "a/IMG_4"]
    assert list(source.notes) == [
        "left out, since its name begins with a dot: .hidden.jpg, .thumbs",
        "5 other files are no photos (2 without an ending, 1 .json, 1 .html, 1 .jpg)",
    ]


def outputs(root: Path) -> None:
    """What a build, a training set and a run write."""
    plant(
        root,
        "set/build.yaml",
        "set/sources/part-1.parquet",
        "set/runs/a/grids/1.png",
        "set/unpacked/1.gt.jpg",
    )
    (root / "set/build.yaml").write_text("source: /photos\nconfig: {}\n")
    plant(root, "copied/manifest.json", "copied/croissant.json", "copied/1.gt.jpg", "copied/1.lq.jpg")
    plant(root, "b/run/settings.yaml", "b/run/log.jsonl", "b/run/grids/1.png")
    (root / "b/run/settings.yaml").write_text("model: refine\npreset: small\ndata: {}\nsettings: {}\n")


def test_what_facerefs_wrote_is_left_out_and_said(tmp_path: Path) -> None:
    outputs(plant(tmp_path, "ann/1.jpg", "bob/settings.yaml", "bob/2.jpg", "b/1.jpg"))
    source = opened(str(tmp_path))
    assert keys(tmp_path) == ["ann/1.jpg", "b/1.jpg", "bob/2.jpg"]
    assert source.notes[0] == "left out, since facerefs wrote it: b/run, copied, set"


@pytest.mark.parametrize("how", ["itself", "by a link from elsewhere", "by a link to elsewhere", "by .."])
def test_the_folder_of_the_build_is_left_out(how: str, tmp_path: Path) -> None:
    root = plant(tmp_path / "photos", "ann/1.jpg")
    out = tmp_path / "elsewhere" if how == "by a link to elsewhere" else root / "new"
    plant(out, "grid.png")
    if how == "by a link to elsewhere":
        (root / "new").symlink_to(out)
        out = root / "new"
    elif how == "by a link from elsewhere":
        (tmp_path / "link").symlink_to(root)
        out = tmp_path / "link/new"
    elif how == "by ..":
        out = root / "ann/../new"
    source = open_source(str(root), None, default_settings(), WebLimits("facerefs (tests)"), out)
    assert [row["key"] for table in source.rows() for row in table.to_pylist()] == ["ann/1.jpg"]
    assert list(source.notes) == ["left out, since facerefs wrote it: new"]


def test_a_folder_that_holds_nothing_but_outputs_is_told_so(tmp_path: Path) -> None:
    outputs(tmp_path)
    with pytest.raises(
        SourceError, match=r"holds no photos.*left out, since facerefs wrote it: b/run, copied, set"
    ):
        opened(str(tmp_path))
