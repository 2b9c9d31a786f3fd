"""The training runs in a build's folder, each with its last validation and its last grid of pictures."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facerefs.pipeline.report.thumbnails import Picture, PictureBudget, thumbnail
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import RUNS_FOLDER

WHOLE_PHOTO_SHEET = "whole-photo/restored-sheet.png"
"""In the folder of a run: what `facerefs demo` leaves there."""
_RUNS = 12
_GRID_PX = 1200
_GRID_BYTES = 3_000_000
_LOG_BYTES = 64 * 2**20
_PREFIX = "validation/"
_DEGRADED = "_degraded"  # ends the names of metrics of the degraded faces, before restoration


@dataclass(frozen=True)
class ValidationMetric:
    """A validation metric of the restored faces and, if there is one, of the degraded faces."""

    name: str
    value: float
    degraded: float | None


@dataclass(frozen=True)
class TrainingRun:
    """A training run in `runs/NAME`."""

    name: str
    step: int
    metrics: list[ValidationMetric]
    grid: Picture | None
    whole_photo: Picture | None = (
        None  # a face of a photo that was restored as a whole: before, reference, after
    )


def training_runs(storage: Storage, blur: bool = False) -> list[TrainingRun]:
    """The runs with at least one validation, in the order of their names. blur: nobody can be recognised."""
    folder = storage.local_path(RUNS_FOLDER)
    if not folder.is_dir():
        return []
    budget = PictureBudget(_GRID_BYTES)
    runs = (_run(path, budget, blur) for path in sorted(folder.iterdir()) if (path / "log.jsonl").is_file())
    return [run for run in runs if run is not None][:_RUNS]


def _run(path: Path, budget: PictureBudget, blur: bool) -> TrainingRun | None:
    validations = [
        line for line in _lines(path / "log.jsonl") if any(key.startswith(_PREFIX) for key in line)
    ]
    if not validations:
        return None
    last = validations[-1]
    values = {key.removeprefix(_PREFIX): value for key, value in last.items() if isinstance(value, float)}
    metrics = [
        ValidationMetric(name, value, values.get(name + _DEGRADED))
        for name, value in values.items()
        if not name.endswith(_DEGRADED)
    ]
    grids = sorted((path / "grids").glob("step-*.png"))
    grid = budget.spend(thumbnail(grids[-1].read_bytes(), _GRID_PX, blur)) if grids else None
    sheet = path / WHOLE_PHOTO_SHEET
    photo = budget.spend(thumbnail(sheet.read_bytes(), _GRID_PX, blur)) if sheet.is_file() else None
    return TrainingRun(path.name, int(last.get("step", 0)), metrics, grid, photo)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log; broken lines, as a killed run may leave, are skipped."""
    with path.open("rb") as file:
        text = file.read(_LOG_BYTES).decode(errors="replace")
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record
