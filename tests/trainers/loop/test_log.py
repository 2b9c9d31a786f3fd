"""The log, its cutting back, and grids of pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facerefs.trainers.loop.grids import grid
from facerefs.trainers.loop.log import Log, cut_back


def log_at(run: Path, step: int) -> Log:
    return Log(run, step, announce=lambda _line: None)


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_log_goes_on_from_its_step(tmp_path: Path) -> None:
    first = log_at(tmp_path, 0)
    for step in (1, 2, 3):
        first.line(step, {"loss": float(step)})
        first.grid(step, Image.new("RGB", (4, 4)))
    first.close()
    again = log_at(tmp_path, 1)
    assert steps(tmp_path) == [1]
    assert [path.name for path in (tmp_path / "grids").iterdir()] == ["step-00000001.png"]
    again.line(2, {"loss": 20.0})
    again.settle()
    again.close()
    assert steps(tmp_path) == [1, 2]
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(1, 1.0), (2, 20.0)]


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    log = log_at(tmp_path, 0)
    log.line(1, {"a": float("nan"), "b": float("inf"), "c": None, "d": 0.5})
    log.close()
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {
        "step": 1,
        "a": None,
        "b": None,
        "c": None,
        "d": 0.5,
    }


@pytest.mark.parametrize(
    "tail", ['{"step": 3, "lo', "[]\n", '{"loss": 3}\n', '{"step": "x"}\n', "\x00\x00\n"]
)
def test_lines_that_are_no_lines_go(tmp_path: Path, tail: str) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n' + tail)
    cut_back(tmp_path / "log.jsonl", 5)
    assert steps(tmp_path) == [1, 2]


def test_a_grid_shows_each_pixel_where_it_belongs() -> None:
    images = {name: torch.rand(2, 3, 16, 16) * 2 - 1 for name in ("degraded", "output", "truth")}
    images["output"][1, :, 3, 5] = torch.tensor([1.0, -1.0, float("nan")])
    pixels = np.asarray(grid(images))
    assert pixels.shape == (18 + 2 * 98, 3 * 98, 3)  # enlarged to 96, and gaps of 2
    left, top = 98 + 5 * 6, 18 + 98 + 3 * 6
    assert (pixels[top : top + 6, left : left + 6] == [255, 0, 0]).all()
    truth = ((images["truth"][0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert (pixels[18 : 18 + 96 : 6, 2 * 98 : 2 * 98 + 96 : 6] == truth).all()


def test_a_grid_has_names_above_its_columns() -> None:
    pixels = np.asarray(grid({"a": torch.ones(1, 3, 128, 128), "reference": torch.ones(1, 3, 128, 128)}))
    short, long = (pixels[:18, start : start + 128] < 128 for start in (0, 130))
    assert 0 < short.sum() < long.sum()
