"""Opens what the user names: `PATH` or `NAME=PATH`, each a training run or a folder of outputs."""

from collections.abc import Sequence
from pathlib import Path

import torch

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.methods.folder import open_folder
from facerefs.pipeline.evaluation.methods.method import Method
from facerefs.pipeline.evaluation.methods.names import read_names
from facerefs.pipeline.evaluation.methods.run import open_run
from facerefs.pipeline.evaluation.samples import EvaluationSet
from facerefs.pipeline.evaluation.settings import EvaluationSettings
from facerefs.schemas.file_names import RUN_FILE
from facerefs.trainers.geometry.points import PointsSource
from facerefs.trainers.loop.checkpoint import checkpoints
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER

TAKEN = ("degraded", "pasted", "reference")


def open_methods(
    named: Sequence[str],
    judged: EvaluationSet,
    settings: EvaluationSettings,
    points: PointsSource,
    device: torch.device,
    outputs_folder: Path,
    names: Path | None = None,
) -> list[Method]:
    """The methods, in the order of the command line. names: a file for `read_names`. Raises UserError."""
    keys = {key: key for key in judged.keys} if names is None else read_names(names, judged.keys)
    methods: list[Method] = []
    for name, folder in names_of(named):
        if is_run(folder):
            methods.append(
                open_run(
                    name,
                    folder,
                    judged.size_px,
                    judged.embedder,
                    settings.seen_landmarks,
                    points,
                    settings.seed,
                    device,
                    outputs_folder,
                )
            )
        else:
            methods.append(open_folder(name, folder, keys, judged.side_px, judged.size_px))
    return methods


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training run."""
    return (folder / RUN_FILE).is_file() or bool(checkpoints(folder / CHECKPOINTS_FOLDER))


def names_of(named: Sequence[str]) -> list[tuple[str, Path]]:
    """The name and the folder of each method. Raises UserError if a folder is missing, or two have one name.

    The name is that of the folder; of folders of one name, with that of the folder around it.
    """
    split = [_split(one) for one in named]
    for name, folder in split:
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: give a training run, or a folder of outputs")
        if name is not None and not name.strip():
            raise UserError(f"a method needs a name before the =, as in ours={folder}")
    short = [folder.absolute().name for _, folder in split]
    names = [
        name
        or (
            f"{folder.absolute().parent.name}/{folder.absolute().name}"
            if short.count(folder.absolute().name) > 1
            else folder.absolute().name
        )
        for name, folder in split
    ]
    for name, (_, folder) in zip(names, split, strict=True):
        if names.count(name) > 1 or name in TAKEN:
            why = "is the name of a baseline" if name in TAKEN else "would be the name of two methods"
            raise UserError(f"{name!r} {why}: give {folder} another one, as in ours={folder}")
    return list(zip(names, (folder for _, folder in split), strict=True))


def _split(named: str) -> tuple[str | None, Path]:
    """`NAME=PATH` in its parts; a path that is there may itself contain `=`."""
    whole = Path(named).expanduser()
    name, equals, path = named.partition("=")
    if not equals or whole.exists():
        return None, whole
    return name, Path(path).expanduser()
