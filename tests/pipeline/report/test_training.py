"""The runs of training in a report: the last validation of each, and nothing of folders that are no runs."""

import json
from pathlib import Path

import pytest
from PIL import Image

from facerefs.pipeline.report.sections.training import ValidationMetric, training_runs
from facerefs.pipeline.storage.folder import Storage


@pytest.fixture
def build(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "refine"
    (run / "grids").mkdir(parents=True)
    lines = [
        {"step": 5, "validation/psnr": 20.0, "validation/psnr_degraded": 22.0},
        {"step": 9, "generator/minimum": 0.1},
        {"step": 10, "validation/psnr": 23.5, "validation/psnr_degraded": 22.0, "validation/nme": None},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"step": 11, "validation/ps'  # as a killed run leaves it
    (run / "log.jsonl").write_text(text)
    for step, size in ((5, (40, 20)), (10, (60, 30))):
        Image.new("RGB", size).save(run / "grids" / f"step-{step:08d}.png")
    return tmp_path


def test_a_run_shows_its_last_validation_and_grid(build: Path) -> None:
    (run,) = training_runs(Storage(str(build)))
    assert (run.name, run.step) == ("refine", 10)
    assert run.metrics == [ValidationMetric("psnr", 23.5, 22.0)]
    assert run.grid is not None
    assert (run.grid.width, run.grid.height) == (60, 30)


def test_a_folder_without_a_validation_is_left_out(build: Path) -> None:
    (build / "runs" / "notes").mkdir()
    (build / "runs" / "begun").mkdir()
    (build / "runs" / "begun" / "log.jsonl").write_text('{"step": 0, "notes": []}\n')
    (build / "runs" / "readme.txt").write_text("mine")
    assert [run.name for run in training_runs(Storage(str(build)))] == ["refine"]


def test_a_build_without_runs_has_none(tmp_path: Path) -> None:
    assert training_runs(Storage(str(tmp_path))) == []
