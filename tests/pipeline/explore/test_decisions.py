"""Decisions: written into overrides.csv as a person would write them, taken back, and obeyed by the next build."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from facerefs.pipeline.explore.decisions import read_decisions
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lock import locked
from tests.pipeline.explore.conftest import EVIL
from tests.pipeline.explore.opened import Answer, Opened, opened
from tests.pipeline.small_build import build


@pytest.fixture
def copy(explored_build: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(explored_build, tmp_path / "build"))


@pytest.fixture
def own_page(copy: Path) -> Iterator[Opened]:
    with opened(copy) as one:
        yield one


def decide(page: Opened, decision: str, what: str, other: str = "", comment: str = "") -> Answer:
    values = {"decision": decision, "what": what, "other": other, "comment": comment}
    return page.post("/decisions/add", values)


def faces(folder: Path) -> list[str]:
    found: list[str] = Storage.at(folder).scan("faces", ("id",))["id"].to_pylist()
    return found


def test_a_decision_changes_the_next_build(own_page: Opened, copy: Path, explored_build: Path) -> None:
    face = faces(copy)[0]
    assert decide(own_page, "drop", face).status == 200
    assert decide(own_page, "drop", EVIL).status == 200
    assert "waits" in own_page.get("/decisions").text
    build(explored_build.parent / "photos", copy)
    assert "obeyed" in own_page.get("/decisions").text
    rows = {row["face"]: row for row in Storage.at(copy).scan("identities").to_pylist()}
    assert rows[face]["reject"] == "dropped_by_person"
    assert EVIL not in {row["identity"] for row in rows.values()}


def test_the_file_keeps_what_is_in_it(own_page: Opened, copy: Path) -> None:
    one, two = faces(copy)[:2]
    before = f"\ufeffdecision,what,other,comment\r\n# mine\r\nkeep,{one},,it is her\r\n\r\nsame,{one},{two},"
    (copy / "overrides.csv").write_text(before, encoding="utf-8", newline="")
    added = decide(own_page, "different", one, two, comment="=cmd()")
    assert added.status == 200
    text = (copy / "overrides.csv").read_bytes().decode()
    assert text == f"{before.removeprefix(chr(0xFEFF))}\ndifferent,{one},{two},'=cmd()\n"
    line = {"line": "3", "text": f"keep,{one},,"}
    assert own_page.post("/decisions/remove", line).status == 200
    assert (copy / "overrides.csv").read_bytes().decode() == text.replace(f"keep,{one},,it is her\r\n", "")
    assert own_page.post("/decisions/remove", line).status == 400


def test_the_same_decision_is_written_once_but_may_come_back(own_page: Opened, copy: Path) -> None:
    face = faces(copy)[0]
    for decision in ("drop", "drop", "keep", "drop"):
        assert decide(own_page, decision, face).status == 200
    assert [one.decision for one in read_decisions(Storage.at(copy))] == ["drop", "keep", "drop"]


@pytest.mark.parametrize(
    ("decision", "what", "other"),
    [
        ("drop", "", ""),
        ("drop", "nobody-here", ""),
        ("burn", "person-000", ""),
        ("same", "person-000", ""),
        ("same", "person-000", "person-000"),
        ("drop", "person-000", "person-002"),
        ("copy", "person-000", "FACE"),
        ("drop", "person-000\ndrop,person-002", ""),
        ("drop", "person-000\u202e", ""),
        ("drop", "x" * 5000, ""),
    ],
)
def test_an_impossible_decision_is_refused_in_one_sentence(
    page: Opened, explored_build: Path, decision: str, what: str, other: str
) -> None:
    answer = decide(page, decision, what, other.replace("FACE", faces(explored_build)[0]))
    assert answer.status == 400
    assert '"error": ' in answer.text
    assert not (explored_build / "overrides.csv").exists()


@pytest.mark.parametrize("body", [[], "x", None, {"decision": 1}, {"decision": {"what": []}}])
def test_what_is_no_decision_is_refused(page: Opened, body: object) -> None:
    for path in ("/decisions/add", "/decisions/remove"):
        assert page.post(path, body).status == 400


def test_a_line_that_the_build_could_not_obey_is_refused(page: Opened, explored_build: Path) -> None:
    answer = decide(page, "keep", "person-000/broken.jpg")
    assert answer.status == 400
    assert "crawl left" in answer.text
    assert not (explored_build / "overrides.csv").exists()


def test_a_command_that_writes_to_the_build_goes_first(own_page: Opened, copy: Path) -> None:
    with locked(copy):
        answer = decide(own_page, "drop", faces(copy)[0])
    assert answer.status == 400
    assert "another command is writing" in answer.text
    assert not (copy / "overrides.csv").exists()


def test_a_file_that_cannot_be_understood_is_left_alone(own_page: Opened, copy: Path) -> None:
    (copy / "overrides.csv").write_text("decision;what\n")
    assert decide(own_page, "drop", faces(copy)[0]).status == 400
    assert own_page.get("/faces").status == 400
    assert (copy / "overrides.csv").read_text() == "decision;what\n"
