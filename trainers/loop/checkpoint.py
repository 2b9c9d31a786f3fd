"""Checkpoints: one file of state dictionaries each, whole or not there, the newest few of them kept."""

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch

from facerefs.trainers.weights.read import UNREADABLE

FORMAT = "facerefs checkpoint 1"
_NAME = re.compile(r"step-(\d{8,})\.pt")
_TEMPORARY = ".part"


class CheckpointError(ValueError):
    """A file is no checkpoint that can be used: one sentence with the way out."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that training goes on from, as state dictionaries of tensors on the CPU, numbers and texts."""

    model: str  # its name in the catalogue
    settings: Mapping[str, Any]  # of the model, plain
    embedder: str  # of the shards
    step: int
    networks: Mapping[str, Any]
    averages: Mapping[str, Any]
    optimisers: Mapping[str, Any]
    stream: Mapping[str, Any]
    notes: tuple[str, ...]


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a folder, the newest last."""
    if not folder.is_dir():
        return []
    found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir()}
    return sorted((path for path, name in found.items() if name), key=step_of)


def step_of(path: Path) -> int:
    """The step that a checkpoint's name tells."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise CheckpointError(f"{path} has no name such as step-00001000.pt")
    return int(name.group(1))


def write(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint, whole or not at all, even if the machine dies meanwhile; then remove all but the newest.

    Raises OSError where the disk does, as when it is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, checkpoint.step)
    part = path.with_suffix(_TEMPORARY)
    state = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    try:
        with part.open("wb") as file:
            _save({"format": FORMAT} | state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync(folder)
    for old in checkpoints(folder)[:-keep]:
        old.unlink()
    for left in folder.glob(f"step-*{_TEMPORARY}"):  # of a run that was killed
        left.unlink()
    return path


def _save(state: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # torch ends its archive even after a write that failed, and that failure is then all it tells.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def newest(folder: Path) -> Path:
    """The newest checkpoint of a folder. Raises CheckpointError if there is none."""
    found = checkpoints(folder)
    if not found:
        raise CheckpointError(f"{folder} holds no checkpoint: begin a run there without --resume")
    return found[-1]


def read(path: Path) -> Checkpoint:
    """Read a checkpoint, onto the CPU. Raises CheckpointError for anything else; runs no code that is in it."""
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({reason}): {_way_out(path)}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} holds something else than a checkpoint of ours: {_way_out(path)}")
    del state["format"]
    if state.keys() != _TYPES.keys() or not all(
        isinstance(state[name], kind) for name, kind in _TYPES.items()
    ):
        raise CheckpointError(f"{path} lacks parts of a checkpoint: {_way_out(path)}")
    if not 0 <= state["step"] < 2**53:
        raise CheckpointError(f"{path} is of step {state['step']}, which cannot be: {_way_out(path)}")
    return Checkpoint(**state)


_TYPES: Mapping[str, type] = {
    "model": str,
    "settings": dict,
    "embedder": str,
    "step": int,
    "networks": dict,
    "averages": dict,
    "optimisers": dict,
    "stream": dict,
    "notes": tuple,
}


def _check_archive(path: Path) -> None:
    """What torch writes is a zip file without compression: nothing in it can become larger than the file is.

    torch itself does not look at the checksums.
    """
    with zipfile.ZipFile(path) as file:
        unpacked = sum(entry.file_size for entry in file.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"it would unpack to {unpacked} bytes")
        if (damaged := file.testzip()) is not None:
            raise ValueError(f"its part {damaged} is damaged")


def _way_out(path: Path) -> str:
    older = [one for one in checkpoints(path.parent) if one != path and step_of(one) < _step_or_last(path)]
    if older:
        return f"remove it to go on from {older[-1].name}"
    return "give another, or start a new run"


def _step_or_last(path: Path) -> float:
    name = _NAME.fullmatch(path.name)
    return int(name.group(1)) if name else float("inf")


def _sync(folder: Path) -> None:
    """Have the disk know the folder's new names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
