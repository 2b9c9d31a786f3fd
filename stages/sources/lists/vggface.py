"""The lists of VGG Face: a folder with a text file for each person.

A line is `id url left top right bottom pose detection_score curation` (Parkhi et al., Deep Face Recognition,
BMVC 2015, `vgg_face_dataset/files`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.stages.sources.kind import NoSettings, SourceKind, SourcePlace
from facerefs.stages.sources.lists.lines import open_binary, read_lines
from facerefs.stages.sources.lists.list_rows import Row, list_row, tables
from facerefs.stages.sources.lists.tally import Tally
from facerefs.stages.sources.lists.text_rows import RawRow
from facerefs.stages.sources.source import SourceError

_AFTER_URL = ("left", "top", "right", "bottom", "pose", "detection_score", "curation")
_ROLES = {"url": "url", "identity": "identity", "bbox": "bbox"}
_FILES_TRIED = 5


@dataclass(frozen=True)
class VggFaceSource:
    """Photos listed in one file per person; the file's name is the label, the box in a line shows that person."""

    service_query: ClassVar[str | None] = None

    root: Path
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's absolute path."""
        return text_of_path(str(self.root))

    def rows(self) -> Iterator[pa.Table]:
        """The lines of all files, in the order of their names."""
        self.notes.clear()
        tally = Tally()
        yield from tally.counted(tables(self._rows(), duplicate=Reject.LISTED_TWICE))
        self.notes.extend(tally.notes())

    def _rows(self) -> Iterator[tuple[str, Row]]:
        for path in _people(self.root):
            label = text_of_path(path.stem)
            with open_binary(str(path)) as file:
                for number, line in enumerate(read_lines(file), start=1):
                    if line is None or line.strip():
                        place = f"{text_of_path(path.name)} row {number}"
                        yield place, list_row(place, _parse_line(line, label), _ROLES)


def open_vggface(root: Path) -> VggFaceSource:
    """The photos of the folder of the files, or of the folder above it. Raises SourceError for any other folder."""
    for folder in (root, root / "files"):
        if _has_lists(folder):
            return VggFaceSource(folder.resolve())
    raise SourceError(f"{text_of_path(str(root))} holds no lists as VGG Face has them")


def looks_like_vggface(root: Path) -> bool:
    """Whether one of the first few text files begins as those of VGG Face do."""
    return _has_lists(root) or _has_lists(root / "files")


def _has_lists(folder: Path) -> bool:
    return any(_begins_well(path) for path in islice(_people(folder), _FILES_TRIED))


def _begins_well(path: Path) -> bool:
    with open_binary(str(path)) as file:
        first = next(read_lines(file), None)
    values = _parse_line(first, "")
    return not isinstance(values, str) and values["url"].strip().startswith(("http://", "https://"))


def _people(folder: Path) -> Iterator[Path]:
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".txt" and not path.name.startswith(".")]
        yield from sorted(path for path in found if path.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise SourceError(f"cannot list {text_of_path(str(folder))}: {error.strerror}") from error


def _parse_line(line: bytes | None, label: str) -> RawRow:
    if line is None:
        return "the line is too long"
    try:
        id_, _, rest = line.decode().strip().partition(" ")  # a URL may hold blanks
    except UnicodeDecodeError:
        return "the line is no UTF-8 text"
    url, *numbers = rest.rsplit(maxsplit=len(_AFTER_URL)) or [""]
    if len(numbers) != len(_AFTER_URL):
        return f"it is not `id url {' '.join(_AFTER_URL)}`"
    said = dict(zip(_AFTER_URL, numbers, strict=True))
    box = [said.pop(side) for side in _AFTER_URL[:4]]
    return {"id": id_, "url": url, "identity": label, "bbox": box, **said}


def _open(place: SourcePlace, _: NoSettings) -> VggFaceSource | None:
    if place.path is None or not place.path.is_dir() or not looks_like_vggface(place.path):
        return None
    return open_vggface(place.path)


VGG_FACE = SourceKind(
    name="vgg_face",
    example="vgg_face_dataset/",
    photos="Photos whose URLs are in a folder as VGG Face was published: one text file per person.",
    settings=NoSettings,
    open=_open,
)
