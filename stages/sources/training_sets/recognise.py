"""Recognises what facerefs has written: builds, training sets and training runs. Their pictures are no photos."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from facerefs.schemas.file_names import BUILD_FILE, RUN_FILE, SAMPLES_FOLDER
from facerefs.schemas.manifest import MANIFEST_FILE, MAX_BYTES

_MARKS = {BUILD_FILE, RUN_FILE, MANIFEST_FILE}
_TEXT_BYTES = 1 << 20
_OF_BUILD = ("source", "config")
_OF_RUN = ("model", "preset", "data", "settings")
_OF_MANIFEST = {"version", "recipe", "seed", "shards"}
_TAR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.tar")


def is_build(folder: Path) -> bool:
    """Whether a folder is the output of `facerefs build`."""
    return _has_fields(folder / BUILD_FILE, _OF_BUILD)


def is_run(folder: Path) -> bool:
    """Whether a folder is the run of a training."""
    return _has_fields(folder / RUN_FILE, _OF_RUN)


def shards_in_manifest(folder: Path) -> list[str] | None:
    """The names of the shards in a manifest of ours, of any version; None if there is no such manifest."""
    try:
        with (folder / MANIFEST_FILE).open("rb") as file:
            tree = json.loads(file.read(MAX_BYTES + 1))
        if not isinstance(tree, dict) or not tree.keys() >= _OF_MANIFEST:
            return None
        names = [shard["name"] for shard in tree["shards"]]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return None
    return sorted(names) if all(isinstance(name, str) and _TAR.fullmatch(name) for name in names) else None


def outputs_below(folder: Path, out: Path | None) -> Iterator[Path]:
    """The builds, training sets and runs in the sub-folders of a folder, but for the build in `out`."""
    left_out = None if out is None else out.resolve()
    for place, folders, files in os.walk(folder):
        path = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if path == folder:
            continue
        if left_out is not None and path.resolve() == left_out:
            folders.clear()
        elif not _MARKS.isdisjoint(files) and (
            is_build(path) or is_run(path) or shards_in_manifest(path) is not None
        ):
            folders.clear()
            yield path


def samples_folder(folder: Path) -> Path:
    """The folder in which a build has its training set."""
    return folder / SAMPLES_FOLDER


def _has_fields(path: Path, names: tuple[str, ...]) -> bool:
    """Whether a YAML file has these fields at its top: others may give a file of theirs the same name."""
    try:
        with path.open("rb") as file:
            lines = file.read(_TEXT_BYTES).splitlines()
    except OSError:
        return False
    return {name.encode() for name in names} <= {line.partition(b":")[0] for line in lines}
