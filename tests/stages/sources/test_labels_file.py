"""Files that say who the photos show: their forms, and which photo a line means."""

import unicodedata
from pathlib import Path

import pytest

from facerefs.stages.sources.folder import FolderSource, open_folder
from facerefs.stages.sources.source import SourceError

NFC, NFD = (unicodedata.normalize(form, "jos\u00e9.jpg") for form in ("NFC", "NFD"))


def opened(place: Path, photos: list[str], text: str, name: str = "identities.csv") -> FolderSource:
    for photo in photos:
        (place / "photos" / photo).parent.mkdir(parents=True, exist_ok=True)
        (place / "photos" / photo).touch()
    (place / name).write_text(text.replace("FOLDER", str(place / "photos")))
    return open_folder(place / "photos", place / name)


def labels(source: FolderSource) -> dict[str, str | None]:
    return {row["key"]: row["label"] for table in source.rows() for row in table.to_pylist()}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('1.jpg,"Lovelace, Ada"\n2.jpg,Bob\n', "a.csv"),
        ('1.jpg,"Lovelace, Ada"\n2.jpg,Bob\n', "a.txt"),
        ('image_id,identity\n1.jpg,"Lovelace, Ada"\n2.jpg,Bob\n', "a.csv"),
        ('\ufeffname,file\r\n"Lovelace, Ada",1.jpg\r\nBob,2.jpg\r\n', "a.csv"),
        ('file,split,name\n1.jpg,train,"Lovelace, Ada"\n2.jpg,test,Bob\n', "a.csv"),
        ("file;name\n1.jpg;Lovelace, Ada\n2.jpg;Bob\n", "a.csv"),
        ("1.jpg\tLovelace, Ada\n2.jpg Bob\n", "a.txt"),
        ("filename\tidentity\n1.jpg\tLovelace, Ada\n2.jpg\tBob\n", "a.tsv"),
    ],
)
def test_csv_is_read_as_well_as_tabs_and_blanks(tmp_path: Path, text: str, name: str) -> None:
    source = opened(tmp_path, ["1.jpg", "2.jpg"], text, name)
    assert labels(source) == {"1.jpg": "Lovelace, Ada", "2.jpg": "Bob"}
    assert source.notes == ()


def test_a_comma_in_a_name_separates_nothing_where_blanks_do(tmp_path: Path) -> None:
    source = opened(tmp_path, ["1.jpg", "2.jpg"], "1.jpg Lovelace,Ada\n2.jpg Hopper,Grace\n", "a.txt")
    assert labels(source) == {"1.jpg": "Lovelace,Ada", "2.jpg": "Hopper,Grace"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.jpg,Ada\n2.jpg,Lovelace, Ada\n", "line 2: expected .*: quote a name with a comma"),
        ('1.jpg,Ada\n2.jpg,"Bob\n', "line 2: expected .* found '2.jpg,\"Bob'"),
        ("1.jpg,Ada,7\n2.jpg,Bob,8\n", "line 1: expected .* name the columns in the first line"),
        ("1.jpg Ada Lovelace\n", "line 1: expected .*: put a tab or a comma between the two"),
        ("file,name,identity\n1.jpg,Ada,7\n", "has `name`, `identity` for the names of people"),
        ("1.jpg,Ada\n1.jpg,Bob\n", "line 2: 1.jpg is Bob here, but Ada further up"),
    ],
)
def test_a_line_that_is_unclear_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, ["1.jpg", "2.jpg"], text, "a.txt" if " Ada L" in text else "a.csv")


@pytest.mark.parametrize(("written", "lies"), [(NFC, NFD), (NFD, NFC), (f"a/{NFC}", f"a/{NFD}")])
def test_a_file_name_is_found_however_unicode_composes_it(tmp_path: Path, written: str, lies: str) -> None:
    assert labels(opened(tmp_path, [lies], f"{written},Ada\n")) == {lies: "Ada"}


def test_a_bare_name_that_several_photos_have_is_refused_and_a_path_wins(tmp_path: Path) -> None:
    photos = ["a/1.jpg", "b/1.jpg"]
    message = r"names 1.jpg, but .* has several \(a/1.jpg, b/1.jpg\): write whole paths, as in ./a/1.jpg"
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, photos, "1.jpg,Ada\n")
    for text in (
        "1.jpg,Ada\nb/1.jpg,Bob\n",
        "./a/1.jpg,Ada\nFOLDER/b/1.jpg,Bob\n",
        "a\\1.jpg,Ada\nb\\1.jpg,Bob\n",
    ):
        assert labels(opened(tmp_path, photos, text)) == {"a/1.jpg": "Ada", "b/1.jpg": "Bob"}


def test_a_photo_beside_folders_can_be_meant_alone(tmp_path: Path) -> None:
    photos = ["1.jpg", "a/1.jpg"]
    with pytest.raises(SourceError, match=r"write whole paths, as in ./1\.jpg"):
        opened(tmp_path, photos, "1.jpg,Ada\n")
    assert labels(opened(tmp_path, photos, "./1.jpg,Ada\n")) == {"1.jpg": "Ada", "a/1.jpg": None}


def test_photos_without_a_line_and_lines_without_a_photo_are_counted(tmp_path: Path) -> None:
    source = opened(
        tmp_path, ["1.jpg", "2.jpg", "x/3.jpg"], "1.jpg,Ada\n3.jpg,\n5.jpg,Bob\n6.jpg,Bob\n", "a.csv"
    )
    assert [note.replace(str(tmp_path), "") for note in source.notes] == [
        "2 of 3 photos have no name in /a.csv",
        "2 of 3 photos that /a.csv names are not in the folder: 5.jpg, 6.jpg",
    ]


def test_a_file_of_names_beside_or_among_the_photos_is_not_counted_as_another_file(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/notes.csv").touch()
    count = "1 other file is no photo (1 .csv)"
    assert opened(tmp_path, ["1.jpg"], "1.jpg,Ada\n").notes == (count,)
    assert opened(tmp_path, ["1.jpg"], "1.jpg,Ada\n", "photos/a.csv").notes == (count,)
