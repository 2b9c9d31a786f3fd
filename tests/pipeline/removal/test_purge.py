"""A person is removed from a build for good: nothing is left, the rest is as if they had never been in it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pytest
from PIL import Image, ImageOps

from facerefs.pipeline.commands.purge import PurgeOptions, purge_command
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.removal.tombstones import TOMBSTONES_FILE
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.folders import contents
from tests.pipeline.small_build import build, said

GONE = "person-001"


def purge(out: Path, *people: str, photos: tuple[str, ...] = (), list_file: Path | None = None) -> str:
    options = PurgeOptions(str(out), people, photos, list_file=list_file)
    return said(lambda console: purge_command(options, console))


def derived(out: Path) -> dict[str, bytes]:
    """What a build makes of its source: the samples with their documents, and the tables of decisions."""
    tables = ("samples/", "identities/", "pairs/", "labels/", "faces/", "images/", "blobs/", "sources/")
    return {name: data for name, data in contents(out).items() if name.startswith(tables)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    list(write_people(folder, identities=3, per_identity=3, size_px=320, seed=3))
    shutil.copyfile(folder / GONE / "000.jpg", folder / "person-002" / "also-listed-here.jpg")
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "build"
    build(photos, out)
    return out


@pytest.fixture(scope="module")
def without(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the same photos in which the person never was."""
    folder = tmp_path_factory.mktemp("without")
    others = Path(shutil.copytree(photos, folder / "photos"))
    shutil.rmtree(others / GONE)
    (others / "person-002" / "also-listed-here.jpg").unlink()
    build(others, folder / "build")
    return folder / "build"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "build"))


def test_nothing_is_left_and_the_rest_is_as_if_they_had_never_been_there(
    photos: Path, copy: Path, without: Path
) -> None:
    (copy / "runs" / "refine" / "grids").mkdir(parents=True)
    (copy / "runs" / "refine" / "grids" / "step-00000100.png").write_bytes(b"a picture of whom?")
    printed = purge(copy, GONE)
    assert "4 photos, 1 copy of them included" in printed
    assert "every byte of the folder was searched for" in printed
    assert "pieces of photos and crops: nothing is left" in printed
    assert "refine; their pictures were deleted" in printed
    assert not list(copy.rglob("*.png"))
    for path in copy.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert GONE.encode() not in data, path
        assert b"also-listed-here" not in data, path
    storage = Storage(str(copy))
    for table in ("sources", "images", "faces", "labels", "identities"):
        for row in storage.scan(table).to_pylist():
            assert GONE not in json.dumps(row, default=str)
    for name, data in derived(without).items():
        if name.startswith("samples/"):
            assert (copy / name).read_bytes() == data, name
    (certificate,) = (copy / "removals").iterdir()
    found = json.loads(certificate.read_text())
    assert found["photos"] == {"asked_for": 3, "listed": 3, "bytes": 1, "copy": 0}
    assert found["still_found_in"] == []


def test_they_stay_out_also_reencoded_and_mirrored(photos: Path, copy: Path, tmp_path: Path) -> None:
    purge(copy, GONE)
    before = derived(copy)
    later = Path(shutil.copytree(photos, tmp_path / "later"))
    with Image.open(photos / GONE / "001.jpg") as photo:
        photo.save(later / "person-002" / "reencoded.jpg", quality=70)
        ImageOps.mirror(photo).save(later / "person-000" / "mirrored.jpg", quality=90)
    source_before = (copy / "build.yaml").read_text()
    printed = build(later, copy, update=True)
    assert (
        "6 photos of the source stay out, as facerefs purge removed them "
        "(4 by key, URL or name, 2 as copies of removed photos)" in printed
    )
    assert (copy / "build.yaml").read_text() != source_before
    after = derived(copy)
    samples = [name for name in before if name.startswith("samples/") and name.endswith(".tar")]
    assert all(after[name] == before[name] for name in samples)
    keys = Storage(str(copy)).scan("sources")["key"].to_pylist()
    assert keys
    assert not any(key.endswith(("reencoded.jpg", "mirrored.jpg")) for key in keys)


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def dies_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """A function after which that many files may be written or removed, then the process dies; None: it lives."""
    left: list[int | None] = [None]
    for name in ("commit_file", "remove_file"):
        real = getattr(FileStore, name)

        def counted(self: FileStore, *words: str, _real: Callable[..., None] = real) -> None:
            if left[0] is not None:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
            _real(self, *words)

        monkeypatch.setattr(FileStore, name, counted)

    def set_to(count: int | None) -> None:
        left[0] = count

    return set_to


@pytest.mark.parametrize(("count", "again"), [(3, "build"), (9, "purge"), (15, "build"), (22, "purge")])
def test_a_killed_removal_is_finished_by_the_same_command_or_by_the_next_build(
    photos: Path, copy: Path, without: Path, dies_after: Callable[[int | None], None], count: int, again: str
) -> None:
    dies_after(count)
    with pytest.raises(Killed):
        purge(copy, GONE)
    dies_after(None)
    if again == "purge":
        purge(copy, GONE)
    else:
        assert (copy / TOMBSTONES_FILE).exists()
        build(photos, copy)
    made = {name: data for name, data in derived(copy).items() if name.startswith("samples/")}
    assert made == {name: data for name, data in derived(without).items() if name.startswith("samples/")}
    assert GONE not in Storage(str(copy)).scan("labels")["label"].to_pylist()


@pytest.mark.parametrize("count", [2, 6, 9, 12, 16])
def test_a_killed_removal_is_finished_without_the_photos(
    tmp_path: Path, photos: Path, without: Path, dies_after: Callable[[int | None], None], count: int
) -> None:
    """All that is needed lies in the build; and nothing outside of its tables names the person any more."""
    own, out = Path(shutil.copytree(photos, tmp_path / "own")), tmp_path / "build"
    build(own, out)
    face = Storage(str(out)).scan("faces").filter(pc.starts_with(pc.field("key"), GONE))["id"][0].as_py()
    (out / "overrides.csv").write_text(f"decision,what,other,comment\nkeep,{face},,\n")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"event": "somebody noted", "photo": "' + GONE + '/000.jpg"}\n')
    shutil.rmtree(own)
    dies_after(count)
    with pytest.raises(Killed):
        purge(out, GONE)
    dies_after(None)
    purge(out, GONE)
    made = {name: data for name, data in derived(out).items() if name.endswith(".tar") and "samples" in name}
    assert made == {name: data for name, data in derived(without).items() if name in made}
    assert made
    assert face not in (out / "overrides.csv").read_text()
    assert GONE not in (out / "log.jsonl").read_text()


def test_one_photo_goes_and_its_person_stays(copy: Path) -> None:
    assert "removed     1 photo\n" in purge(copy, photos=(f"{GONE}/001.jpg",))
    keys = Storage(str(copy)).scan("sources")["key"].to_pylist()
    assert f"{GONE}/001.jpg" not in keys
    assert f"{GONE}/000.jpg" in keys


def test_a_list_names_several(copy: Path, tmp_path: Path) -> None:
    asked = tmp_path / "list.csv"
    asked.write_text(f"kind,value\nperson,{GONE}\nphoto,person-000/002.jpg\n")
    assert "5 photos, 1 copy of them included" in purge(copy, list_file=asked)


@pytest.mark.parametrize(
    ("person", "sentence"),
    [
        ("person-01", r"--person person-01 is no label .*: did you mean person-001"),
        (
            "Xaver",
            r"--person Xaver is no label of a photo or name of a person in this build: nothing was removed",
        ),
    ],
)
def test_a_name_that_is_not_there_removes_nothing(copy: Path, person: str, sentence: str) -> None:
    before = contents(copy)
    with pytest.raises(UserError, match=sentence):
        purge(copy, person)
    assert contents(copy) == before


@pytest.mark.parametrize("line", ["person", "cat,Tom", 'person,"Ann', "url,"])
def test_a_line_that_cannot_be_understood_is_one_sentence(copy: Path, tmp_path: Path, line: str) -> None:
    asked = tmp_path / "list.csv"
    asked.write_text(f"kind,value\n{line}\n")
    with pytest.raises(UserError, match=r"list\.csv"):
        purge(copy, list_file=asked)


def test_what_is_left_is_named_and_is_no_success(copy: Path) -> None:
    (copy / "notes.txt").write_text(f"ask {GONE} for consent")
    with pytest.raises(RunError, match=r"is still in 1 file of the folder: notes\.txt"):
        purge(copy, GONE)
