"""The input of the stage `made_elsewhere`: the files of a folder, each with the one face whose name it has."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import ELSEWHERE_PLAN
from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.made_elsewhere import Elsewhere
from facerefs.stages.sources.source import SourceError

_UNMATCHED = "part-unmatched"
_DEPTHS = (1, 3)  # TARGET.png, POSE/VARIANT/TARGET.png
_DEEPEST = 8
_WAY_OUT = "correct it, or set made_elsewhere.folder=null"
Row = dict[str, Any]


@dataclass(frozen=True)
class ElsewhereInput:
    """Each file of the folder, in the part of `faces` that holds its target; links are neither read nor followed."""

    storage: Storage
    stage: Elsewhere

    def names(self) -> Sequence[str]:
        """Names of the parts of `faces` that have files, and a part of the files without a target."""
        return sorted(self._parts)

    def read(self, name: str) -> pa.Table:
        """Rows of one part with the schema `ELSEWHERE_PLAN`, sorted by the path of the file."""
        return self._parts[name]

    @cached_property
    def _parts(self) -> Mapping[str, pa.Table]:
        if self.stage.folder is None:
            return {}
        check_folder(self.stage.folder)
        rows = list(_files(Path(self.stage.folder).absolute()))
        targets = self._targets({row["name"] for row in rows})
        copies = Counter(
            (PurePosixPath(row["file"]).parent, row["name"]) for row in rows if not row["reject"]
        )
        used: Counter[str] = Counter()
        parts: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row["file"]):
            found = targets.get(row["name"], [])
            fault = row["reject"] and (row["reject"], row["reject_detail"])
            if not fault and copies[PurePosixPath(row["file"]).parent, row["name"]] > 1:
                fault = Reject.AMBIGUOUS_TARGET, "another file beside it has the same name but for its ending"
            if not fault and len(found) != 1:
                fault = _no_single(found)
            if not fault and used[found[0]["target"]] >= self.stage.per_target:
                fault = Reject.ENOUGH_REFERENCES, f"{self.stage.per_target} of its target come before it"
            if fault:
                parts[_UNMATCHED].append(row | {"reject": str(fault[0]), "reject_detail": fault[1]})
                continue
            used[found[0]["target"]] += 1
            parts[found[0]["part"]].append(row | found[0])
        blank = dict.fromkeys(ELSEWHERE_PLAN.names)
        return {
            part: pa.Table.from_pylist(
                [{name: (blank | row)[name] for name in ELSEWHERE_PLAN.names} for row in of_part],
                ELSEWHERE_PLAN,
            )
            for part, of_part in parts.items()
        }

    def _targets(self, names: set[str]) -> Mapping[str, list[Row]]:
        """The accepted faces that each of these names stands for."""
        found: dict[str, list[Row]] = defaultdict(list)
        for part in self.storage.parts("faces"):
            for face in self.storage.read("faces", part, Elsewhere.reads["faces"]).to_pylist():
                if face["reject"] is not None:
                    continue
                for name in {face["id"], _photo_name(face["key"])} & names:
                    measured = {
                        f"target_{column}": face[column]
                        for column in ("landmarks", "embedding", "yaw", "pitch", "crop_phash")
                    }
                    found[name].append({"target": face["id"], "part": part} | measured)
        return found


def check_folder(folder: str | None) -> None:
    """Raise SourceError if a folder of references made elsewhere cannot be listed, or holds no file."""
    if folder is not None and next(_files(Path(folder).absolute()), None) is None:
        raise SourceError(f"made_elsewhere.folder: there is no file in {folder}: {_WAY_OUT}")


def _files(folder: Path) -> Iterator[Row]:
    """A row for each file of the folder, hidden ones excepted. Raises SourceError if a folder cannot be listed."""
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = [entry for entry in os.scandir(here) if not entry.name.startswith(".")]
        except OSError as error:
            raise SourceError(
                f"made_elsewhere.folder: {here} cannot be listed ({error.strerror}): {_WAY_OUT}"
            ) from None
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
                waiting.append((Path(entry.path), depth + 1))
            else:
                yield _file(entry, folder)


def _file(entry: os.DirEntry[str], folder: Path) -> Row:
    path = Path(entry.path).relative_to(folder)
    text = text_of_path(str(path))
    row: Row = {"file": text, "name": _name(text), "folder": text_of_path(folder.name)}
    row |= {"reject": None, "reject_detail": None}
    if not entry.is_file(follow_symlinks=False):
        return row | {"reject": Reject.UNREADABLE, "reject_detail": "it is a link, or no regular file"}
    if not has_photo_extension(entry.name):
        return row | {"reject": Reject.NOT_AN_IMAGE, "reject_detail": "its name has no ending of an image"}
    if len(path.parts) not in _DEPTHS:
        detail = "its path is neither TARGET.png nor POSE/VARIANT/TARGET.png"
        return row | {"reject": Reject.NO_TARGET, "reject_detail": detail}
    status = entry.stat(follow_symlinks=False)
    if len(path.parts) == 3:
        pose, variant, _ = text.split("/")
        row |= {"pose": pose, "variant": variant}
    place = {"path": text_of_path(entry.path), "offset": 0, "length": status.st_size}
    return row | {"photo": place, "modified_ns": status.st_mtime_ns}


def _photo_name(key: str) -> str:
    """The name of a photo's file without its ending; of a photo from the web, as its URL has it."""
    return _name(re.split("[?#]", key)[0] if "://" in key else key)


def _name(path: str) -> str:
    """The name of a file without its ending; macOS spells `ü` with two characters, where others have one."""
    return unicodedata.normalize("NFC", PurePosixPath(path).stem)


def _no_single(found: list[Row]) -> tuple[Reject, str]:
    if not found:
        return Reject.NO_TARGET, "no accepted face in the set has its name"
    return (
        Reject.AMBIGUOUS_TARGET,
        f"{len(found)} faces in the set have its name: use the keys of their samples",
    )
