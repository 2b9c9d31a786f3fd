"""Which photos of a folder are restored, and which files are written."""

import io
from pathlib import Path

import pytest
from PIL import Image

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import Wanted, describe_skipped, plan_files

JPEG = b"\xff\xd8\xff\xe0 and so on"


def folder_of(place: Path, *names: str, content: bytes = JPEG) -> Path:
    place.mkdir(exist_ok=True)
    for name in names:
        (place / name).write_bytes(content)
    return place


def names(source: Path, out: Path) -> list[tuple[str, str]]:
    plan = plan_files([source], out, Wanted(), ())
    return [(files.photo.name, files.outputs[0].name) for files in plan.files]


def test_a_folders_photos_are_those_that_a_build_reads(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "a.HEIC", "b.jfif", "c.MPO", "d.jpg?w=1024", "e.jpg.1", "Dr. F")
    folder_of(photos, "._x.png", "notes.txt", "list.csv", content=b"no photo")
    (photos / "dir.jpg").mkdir()
    plan = plan_files([photos], tmp_path / "out", Wanted(), ())
    assert [(files.photo.name, files.outputs[0].name) for files in plan.files] == [
        ("Dr. F", "Dr. F.png"),
        ("a.HEIC", "a.HEIC.png"),
        ("b.jfif", "b.png"),
        ("c.MPO", "c.png"),
        ("d.jpg?w=1024", "d.jpg?w=1024.png"),
        ("e.jpg.1", "e.jpg.1.png"),
    ]
    assert (
        describe_skipped(plan.skipped)
        == "1 hidden file (._x.png), 1 folder (dir.jpg), 2 other files (list.csv, notes.txt)"
    )


def test_a_link_that_leads_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "a.jpg")
    (photos / "b.jpg").symlink_to(tmp_path / "unmounted" / "b.jpg")
    assert [photo for photo, _ in names(photos, tmp_path / "out")] == ["a.jpg", "b.jpg"]


def test_a_folder_without_photos_says_what_it_holds(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "papers", "notes.txt", content=b"no photo")
    with pytest.raises(UserError, match=r"that holds some: it holds 1 other file \(notes.txt\)$"):
        plan_files([folder], tmp_path / "out", Wanted(), ())


@pytest.mark.parametrize("name", ["face.png", "face.JPG", "face.jpeg", "face.webp"])
def test_the_ending_of_out_is_the_format(tmp_path: Path, name: str) -> None:
    photos = folder_of(tmp_path / "photos", "a.jpg")
    assert names(photos / "a.jpg", tmp_path / name) == [("a.jpg", name)]


@pytest.mark.parametrize("name", ["face.gif", "face.bmp", "face.tiff", "face.heic", "face.pgn", "face.pdf"])
def test_another_ending_is_refused_unless_it_is_a_folders(tmp_path: Path, name: str) -> None:
    photos = folder_of(tmp_path / "photos", "a.jpg")
    with pytest.raises(UserError, match=r"faces are written as \.png, \.jpg, \.jpeg or \.webp"):
        plan_files([photos / "a.jpg"], tmp_path / name, Wanted(), ())
    assert not (tmp_path / name).exists()
    (tmp_path / name).mkdir()
    assert names(photos / "a.jpg", tmp_path / name) == [("a.jpg", "a.png")]


def test_one_name_cannot_be_that_of_a_folders_faces(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "a.jpg", "b.jpg")
    for name in ("face.png", "face.gif"):
        with pytest.raises(UserError, match=r"is the name of one photo, and there may be several"):
            plan_files([photos], tmp_path / name, Wanted(), ())
    with pytest.raises(UserError, match="holds the photos: choose another folder"):
        plan_files([photos], photos, Wanted(), ())
    assert len(names(photos, tmp_path / "run-0.5")) == len(names(photos, tmp_path / "those.some")) == 2


def test_an_earlier_output_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    face = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(face, "PNG")
    out = folder_of(tmp_path / "out", "a.png", "b-pictures.png", content=face.getvalue())
    with pytest.raises(
        UserError, match=r"2 files of an earlier restoration are there already.*--resume.*--overwrite"
    ):
        plan_files([photos], out, Wanted(pictures=True), ())
    with pytest.raises(UserError, match=r"a\.png is there already: add --overwrite"):
        plan_files([photos / "a.jpg"], out, Wanted(), ())
    resumed = plan_files([photos], out, Wanted(), (), "resume")
    assert [files.photo.name for files in resumed.files] == ["b.jpg", "c.jpg"]
    assert [photo.name for photo in resumed.done] == ["a.jpg"]
    for half in (b"", face.getvalue()[:1000]):  # copied by somebody who was interrupted
        folder_of(out, "c.png", content=half)
        assert plan_files([photos], out, Wanted(), (), "resume").done == resumed.done
    (out / "c.png").unlink()
    incomplete = plan_files([photos], out, Wanted(pictures=True), (), "resume")
    assert (len(incomplete.files), incomplete.done) == (3, ())
    assert len(plan_files([photos], out, Wanted(pictures=True), (), "overwrite").files) == 3


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "a.jpg")
    folder_of(tmp_path, "taxes")
    with pytest.raises(UserError, match=r"taxes is a file, so there can be no folder"):
        plan_files([photos / "a.jpg"], tmp_path / "taxes" / "new" / "a.png", Wanted(), ())


def test_several_inputs_and_patterns_keep_names_apart(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", "a.jpg", "a.png", "frame10.jpg", "frame2.jpg")
    two = folder_of(tmp_path / "two", "a.jpg", "b.jpg")
    out = tmp_path / "out"
    plan = plan_files([one, Path(f"{two}/*.jpg"), two / "b.jpg"], out, Wanted(ending=".jpg"), ())
    assert [files.outputs[0].relative_to(out).as_posix() for files in plan.files] == [
        "one/a.jpg.jpg",
        "one/a.png.jpg",
        "frame2.jpg",
        "frame10.jpg",
        "two/a.jpg",
        "b.jpg",
    ]
    assert not plan.single
    assert plan.folder == out
    with pytest.raises(UserError, match=r"\*\.gif matches no file"):
        plan_files([Path(f"{two}/*.gif")], out, Wanted(), ())
