"""Checkpoints: one file of state dictionaries each, written atomically; only the newest few are kept."""

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch

from facerefs.stages.engines.torch_file import UNREADABLE

FORMAT = "facerefs checkpoint 1"
_NAME = re.compile(r"step-(\d{8,})\.pt")
_TEMPORARY = ".part"


class CheckpointError(ValueError):
    """A file is not a usable checkpoint: one sentence that says what to do."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state from which training resumes: state dictionaries of CPU tensors, numbers and texts."""

    model: str  # its name in the catalogue
    settings: Mapping[str, Any]  # of the model, as plain values
    embedder: str  # of the shards
    step: int
    networks: Mapping[str, Any]
    averages: Mapping[str, Any]
    optimisers: Mapping[str, Any]
    stream: Mapping[str, Any]
    notes: tuple[str, ...]


def path_of(folder: Path, step: int) -> Path:
    """The path of the checkpoint of a step."""
    return folder / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a folder, the newest last."""
    if not folder.is_dir():
        return []
    found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir()}
    return sorted((path for path, name in found.items() if name), key=step_of)


def step_of(path: Path) -> int:
    """The step in a checkpoint's file name. Raises CheckpointError for another name."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise CheckpointError(f"{path} has no name such as step-00001000.pt")
    return int(name.group(1))


def write(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint atomically, even if the machine crashes, then remove all but the newest `keep`.

    Returns its path. Raises OSError for errors of the disk, for example if it is full.
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
        # After a failed write torch still closes its archive and raises only that error: the OSError is its context.
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
    """The checkpoint in a file, on the CPU. Raises CheckpointError for any other file; never runs code from it."""
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
    """Raise ValueError for a damaged archive, or one that would unpack to more than its own size.

    torch writes an uncompressed zip file, so its content is never larger than the file. torch does not check the
    checksums.
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
    """Flush the folder's directory entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
