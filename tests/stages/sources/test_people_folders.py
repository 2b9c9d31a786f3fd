"""The level of folders at which people are: recognised, said, or refused with the way out."""

from itertools import product
from pathlib import Path

import pytest

from facerefs.stages.sources.folder import FolderSettings, FolderSource, open_folder
from facerefs.stages.sources.source import SourceError


def each(*levels: str) -> list[str]:
    return ["/".join(path) for path in product(*(level.split("|") for level in levels))]


def opened(root: Path, names: list[str], level: int | None = None) -> FolderSource:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return open_folder(root, settings=FolderSettings(person_level=level))


def people(source: FolderSource) -> set[str | None]:
    return {row["label"] for table in source.rows() for row in table.to_pylist()}


SHARDS = [f"{n:05d}/{n:05d}{i:04d}.{kind}" for n in (0, 1) for i in (0, 1) for kind in ("jpg", "json")]


@pytest.mark.parametrize(
    ("names", "expected", "note"),
    [
        (each("lfw", "Ada|Bob", "1.jpg"), {"Ada", "Bob"}, "level 2 (Ada, Bob): lfw is taken for part of"),
        (each("my faces 2", "Ada|Bob", "1.jpg"), {"Ada", "Bob"}, "my faces 2 is taken for part"),
        (each("mine", "mine", "Ada|Bob", "1.jpg"), {"Ada", "Bob"}, "level 3 (Ada, Bob): mine/mine is taken"),
        (
            [*each("train", "n01|n02", "1.jpg"), "test/n03/1.jpg"],
            {"n01", "n02", "n03"},
            "test, train are taken",
        ),
        (each("data", "train|val", "Ada|Bob", "1.jpg"), {"Ada", "Bob"}, "data/train, data/val are taken"),
        (each("images", "Ada", "1.jpg"), {"Ada"}, "images is taken"),
        ([*each("images", "Ada", "1.jpg"), "Bob/1.jpg"], {"Ada", "Bob"}, "level 1 and 2"),
        (each("img_align_celeba", "1.jpg|2.jpg"), {None}, "no folder is a person: img_align_celeba is taken"),
        (each("train|val", "1.jpg|2.jpg"), {None}, "4 of 4 photos have no name"),
        (SHARDS, {None}, "no folder is a person: 00000, 00001 are taken"),
        (each("00000", "00000.png|00001.png") + each("01000", "01000.png"), {None}, "no folder is a person"),
        (each("aligned_images_DB", "Ada|Bob", "0|1", "1.jpg"), {"Ada", "Bob"}, "aligned_images_DB is taken"),
        (each("Ada|Bob", "0|1|2", "1.jpg"), {"Ada", "Bob"}, "level 1 (Ada, Bob), not those within them"),
        (each("Ada", "2019|2020", "1.jpg"), {"Ada"}, "level 1 (Ada), not those"),
        (each("Ada|Bob", "images", "1.jpg"), {"Ada", "Bob"}, "level 1"),
        (each("id1", "xk|yz", "1.jpg") + each("id2", "pq|rs", "1.jpg"), {"id1", "id2"}, "level 1"),
        ([*each("Ada|Bob", "1.jpg"), "3.jpg"], {"Ada", "Bob", None}, "1 of 3 photos have no name"),
    ],
)
def test_the_level_of_people_is_recognised_and_said(
    tmp_path: Path, names: list[str], expected: set[str | None], note: str
) -> None:
    source = opened(tmp_path, names)
    assert people(source) == expected
    assert note in " / ".join(source.notes)


@pytest.mark.parametrize(
    "names",
    [
        each("Ada|Bob", "1.jpg"),
        each("val|Ada", "1.jpg"),
        each("person-001|person-002", "1.jpg"),
        each("0000045|0000099", "001.jpg|002.jpg"),
        each("Ada_photos|Bob_photos", "1.jpg"),
    ],
)
def test_folders_of_people_need_no_words(tmp_path: Path, names: list[str]) -> None:
    source = opened(tmp_path, names)
    assert people(source) == {name.partition("/")[0] for name in names}
    assert source.notes == ()


TWO_SETS = [f"{folder}/{folder}{i}x/1.jpg" for folder in ("alpha", "beta") for i in range(9)]


@pytest.mark.parametrize(
    "names",
    [
        TWO_SETS,
        each("A", "Ada_Lovelace|Al_Gore", "1.jpg") + each("B", "Bob_Marley|Bo_Derek", "1.jpg"),
        each("00", "Ada|Al", "1.jpg") + each("01", "Bob|Bo", "1.jpg"),
    ],
)
def test_what_nobody_can_tell_is_refused_with_the_way_out(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(SourceError, match=r"--set folder.person_level=1 or 2 \(0: at neither\)") as error:
        opened(tmp_path, names)
    assert "\n" not in str(error.value)
    tops, within = ({name.split("/")[level] for name in names} for level in (0, 1))
    assert people(opened(tmp_path, names, level=1)) == tops
    assert people(opened(tmp_path, names, level=2)) == within
    assert people(opened(tmp_path, names, level=0)) == {None}


def test_a_level_at_which_no_folder_is_is_said(tmp_path: Path) -> None:
    source = opened(tmp_path, each("Ada|Bob", "1.jpg"), level=2)
    assert people(source) == {None}
    assert source.notes == ("no photo lies in a folder of level 2 (folder.person_level), so none has a name",)
