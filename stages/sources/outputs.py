"""Recognises what facerefs has written: builds, training sets and training runs. Their pictures are no photos."""

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from facerefs.schemas.file_names import BUILD_FILE, RUN_FILE, SAMPLES_FOLDER
from facerefs.schemas.manifest import MANIFEST_FILE, MAX_BYTES
from facerefs.schemas.sample import DEGRADED, GROUND_TRUTH

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


def has_samples(files: Iterable[str]) -> bool:
    """Whether some of the names of files are those of a sample: with ground truth and a degraded face."""
    kinds: dict[str, set[str]] = {}
    for name in files:
        key, _, kind = name.partition(".")
        if key and kind.startswith((f"{GROUND_TRUTH.kind}.", f"{DEGRADED.kind}.")):
            kinds.setdefault(key, set()).add(kind)
    return any(GROUND_TRUTH.find(found) and DEGRADED.find(found) for found in kinds.values())


def is_output(folder: Path, names: Collection[str]) -> bool:
    """Whether facerefs wrote a folder: a build, a training set or a run; or samples unpacked from their tars.

    names: of what is in the folder.
    """
    if has_samples(names):
        return True
    if _MARKS.isdisjoint(names):
        return False
    return is_build(folder) or is_run(folder) or shards_in_manifest(folder) is not None


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
