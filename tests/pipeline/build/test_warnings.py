"""Warnings at the end of a build: a borrowed calibration, and most faces as one person."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from facerefs.pipeline.build.warnings import warn_about_identities
from facerefs.pipeline.storage.folder import Storage
from tests.pipeline.report.test_report import add

MEASURED = "arcface:arcface_mobilefacenet_128d"


def warnings_of(
    folder: Path, embedder: str, people: list[tuple[str, int]], decision: str = "discovered"
) -> str:
    storage = Storage(str(folder))
    names = [name for name, count in people for _ in range(count)]
    add(storage, "faces", [{"id": f"{i:016x}-0", "embedder": embedder} for i in range(len(names))])
    rows = [{"face": f"{i:016x}-0", "identity": name, "decision": decision} for i, name in enumerate(names)]
    add(storage, "identities", rows)
    text = io.StringIO()
    warn_about_identities(storage, Console(file=text, soft_wrap=True))
    return text.getvalue()


def test_a_measured_embedder_and_people_of_usual_sizes_give_no_warning(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, MEASURED, [("a", 60), ("b", 60), ("c", 60)]) == ""


def test_a_borrowed_calibration_is_a_warning_that_names_its_lender(tmp_path: Path) -> None:
    text = warnings_of(tmp_path, "arcface:w600k_r50", [("a", 2)])
    assert "arcface:w600k_r50 mean was not measured" in text
    assert f"those of {MEASURED} serve" in text
    assert "facerefs calibrate" in text


@pytest.mark.parametrize(
    ("people", "decision", "warned"),
    [
        ([("a", 50), ("b", 40)], "discovered", True),
        ([("a", 49), ("b", 4)], "discovered", False),  # too few to be a lump
        ([("a", 50), ("b", 50)], "discovered", False),
        ([("a", 90), ("b", 4)], "kept", False),  # by their labels
    ],
)
def test_most_faces_found_to_be_one_person_is_a_warning(
    people: list[tuple[str, int]], decision: str, warned: bool, tmp_path: Path
) -> None:
    text = warnings_of(tmp_path, MEASURED, people, decision)
    assert ("50 of 90 faces were found to be one person" in text) == warned
    assert bool(text) == warned
