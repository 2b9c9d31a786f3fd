"""The log of a run: JSON lines, TensorBoard, and progress lines for the user."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"
GRIDS_FOLDER = "grids"
Figures = Mapping[str, float | None]


class Log:
    """The log of a run that is at a given step; entries of later steps are removed.

    announce: receives progress lines for the user.
    """

    def __init__(self, run: Path, step: int, announce: Callable[[str], None]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run.mkdir(parents=True, exist_ok=True)
        self._run = run
        self.announce = announce
        cut_back(run / LOG_FILE, step)
        for path in (run / GRIDS_FOLDER).glob("step-*.png"):
            if path.stem > f"step-{step:08d}":
                path.unlink()
        self._file = (run / LOG_FILE).open("a", encoding="utf-8")
        self._board: Any = SummaryWriter(str(run / BOARD_FOLDER), purge_step=step + 1)

    def begin(self, notes: Sequence[str]) -> None:
        """Write the notes of the run as a line of step 0."""
        self._write({"step": 0, "notes": list(notes)})
        self._board.add_text("notes", "\n\n".join(notes), 0)

    def line(self, step: int, figures: Figures) -> None:
        """Write one line with the metrics of a step; values that are not finite are null."""
        finite = {name: _finite(value) for name, value in figures.items()}
        self._write({"step": step} | finite)
        for name, value in finite.items():
            if value is not None:
                self._board.add_scalar(name, value, step)

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()

    def grid(self, step: int, picture: Image) -> Path:
        """Save the image grid of a step; returns its path."""
        folder = self._run / GRIDS_FOLDER
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{step:08d}.png"
        picture.save(path)
        self._board.add_image("grid", np.asarray(picture), step, dataformats="HWC")
        return path

    def settle(self) -> None:
        """Flush everything to disk: a checkpoint must not be newer than its log."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()


def cut_back(path: Path, step: int) -> None:
    """Truncate a log: keep only the complete lines up to a step."""
    if not path.exists():
        return
    kept = [
        line
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if _step(line) <= step
    ]
    part = path.with_suffix(".part")
    part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    part.replace(path)


def _step(line: str) -> float:
    """The step of a line; infinity for an incomplete line."""
    try:
        record = json.loads(line)
    except ValueError:
        return math.inf
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, int) else math.inf


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
