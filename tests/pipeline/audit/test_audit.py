"""The audit finds planted copies, strangers and leaks, and shows the worst of them."""

import json
import re
from pathlib import Path

import pytest

from facerefs.pipeline.audit.audit import Audit, audit, audit_lines
from facerefs.pipeline.audit.page import audit_page
from facerefs.pipeline.commands.audit import audit_command
from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.report.sections.facts import read_plan
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.guard import Guard
from tests.pipeline.published_set import Published
from tests.pipeline.small_set import make_set

Build = tuple[Storage, str]


@pytest.fixture(scope="module")
def found(published_build: Build) -> Audit:
    storage, _ = published_build
    return audit(storage, read_config(None, base=dict(read_plan(storage)["config"])))


def precision_and_recall(what: str, planted: set[object], told: set[object]) -> tuple[float, float]:
    right = len(planted & told)
    figures = right / len(told), right / len(planted)
    print(  # noqa: T201 (pytest -s shows it)
        f"{what}: {len(planted)} planted, {len(told)} told, precision {figures[0]:.2f}, recall {figures[1]:.2f}"
    )
    return figures


def test_planted_mistakes_are_found(found: Audit, published: Published, published_build: Build) -> None:
    def pairs(guard: Guard) -> set[object]:
        return {(pair.target_photo, pair.reference_photo) for pair in found.pairs.of(guard)}

    assert precision_and_recall("copies", set(published.copies), pairs(Guard.COPY)) == (1, 1)
    precision, recall = precision_and_recall("strangers", set(published.strangers), pairs(Guard.STRANGER))
    assert (precision >= 0.75, recall) == (True, 1)
    keys = {row["id"]: row["key"] for row in published_build[0].scan("faces", ("id", "key")).to_pylist()}
    people = {published.person[keys[face]] for one in found.splits.strays for face in one.shown.values()}
    precision, recall = precision_and_recall(
        "people in two splits", set(published.people_in_two_splits), set(people)
    )
    assert (precision, recall) == (1, 1)
    planted = {
        frozenset(pair) for pair in published.copies if len({published.splits[name] for name in pair}) == 2
    }
    shots: set[object] = {frozenset((shot.photo, shot.other_photo)) for shot in found.splits.shots}
    assert precision_and_recall("shots in two splits", set(planted), shots) == (1, 1)


def test_the_lines_name_every_figure_and_threshold(found: Audit, published: Published) -> None:
    text = "\n".join(audit_lines(found))
    count = sum(map(len, published.references.values()))
    assert f"pairs       {count} of {len(published.person)} samples" in text
    assert re.search(r"6  copy: the reference is a copy of the target", text)
    assert f"{len(published.people_in_two_splits)} of 6 people are in two splits" in text
    assert "1 of 3 pairs of copies are in two splits" in text
    assert "one person: cosine from 0.96" in text
    assert "the setting cluster.same" in text


def test_the_page_shows_the_worst_and_loads_nothing(found: Audit, published_build: Build) -> None:
    page = audit_page(published_build[0], found, "a <b>set</b>")
    assert "a &lt;b&gt;set&lt;/b&gt;" in page
    assert page.count("data:image/webp") >= 2 * len(found.pairs.of(Guard.COPY))
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert page == audit_page(published_build[0], found, "a <b>set</b>")


def test_the_command_writes_the_same_for_programs(
    published_build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(published_build[0].root)
    audit_command(folder, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads((folder / "audit.json").read_text())
    assert facts["guards"]["copy"] == 6
    assert facts["shots_in_two_splits"] == len(facts["findings"]["shots"]) == 1
    assert (folder / "audit.html").is_file()
    audit_command(folder, as_json=False)
    assert "flagged" in capsys.readouterr().out


def test_what_is_no_build_is_refused(tmp_path: Path) -> None:
    make_set(tmp_path / "set")
    with pytest.raises(UserError, match="holds no build"):
        audit_command(tmp_path / "set", as_json=False)
