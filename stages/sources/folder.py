"""A local folder of photos, with one sub-folder per person, or flat, or both."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.tables import SOURCES
from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.sources.kind import NoSettings, SourceKind, SourcePlace
from facerefs.stages.sources.labels import read_labels
from facerefs.stages.sources.source import NoPhotosError, SourceError

_ROWS_PER_TABLE = 10_000
_NAMED_IN_NOTE = 3


@dataclass(frozen=True)
class FolderSource:
    """Photos under a folder. The label of a photo comes from `labels` (by relative path, else by file name), or,
    without them, is the name of the sub-folder of the first level; a photo in no sub-folder has no label.

    Photos are the regular files with an image's extension, hidden ones excepted. Symbolic links are followed
    to files in the folder only; one that leads elsewhere is listed without a place, so that crawl rejects it
    by name, unless it leads to a folder whose photos are listed anyway.
    """

    service_query: ClassVar[str | None] = None

    root: Path
    labels: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's absolute path."""
        return text_of_path(str(self.root))

    def rows(self) -> Iterator[pa.Table]:
        """The photos, sorted within each folder. Raises SourceError if a sub-folder cannot be listed."""
        entries = _listed_entries(self.root)
        while batch := [self._row(entry) for entry in islice(entries, _ROWS_PER_TABLE)]:
            yield pa.Table.from_pylist(batch, SOURCES)

    def label(self, key: str) -> str | None:
        """The label of the photo with this key: the person's name, or None."""
        if self.labels is not None:
            return self.labels.get(key, self.labels.get(key.rpartition("/")[2]))
        person, slash, _ = key.partition("/")
        return person if slash else None

    def _row(self, entry: os.DirEntry[str]) -> dict[str, Any]:
        key = _key(entry, self.root)
        row: dict[str, Any] = {"key": key, "label": self.label(key)}
        status = _file_status(entry, self.root)
        if status is None:
            return row  # listed without a place, so that crawl rejects it
        row["photo"] = {"path": text_of_path(entry.path), "offset": 0, "length": status.st_size}
        # A change of permissions leaves the modification time as it is: with null, the row changes with them.
        row["modified_ns"] = status.st_mtime_ns if os.access(entry.path, os.R_OK) else None
        return row


def open_folder(root: Path, labels_file: Path | None = None) -> FolderSource:
    """The photos of a folder that exists. Raises NoPhotosError if it has none, SourceError if no label fits."""
    labels = None if labels_file is None else read_labels(labels_file)
    source = FolderSource(root.resolve(), labels)
    photos = (
        entry
        for entry in _listed_entries(source.root)
        if not entry.is_symlink() or _file_status(entry, source.root) is not None
    )
    first = next(photos, None)
    if first is None:
        raise NoPhotosError(_why_empty(source))
    if labels is not None and all(
        source.label(_key(entry, source.root)) is None for entry in _listed_entries(source.root)
    ):
        example = f"it begins with {next(iter(labels))}" if labels else "it is empty"
        raise SourceError(
            f"{text_of_path(str(labels_file))} names none of the photos in {source.name}: {example}, "
            f"the folder with {_key(first, source.root)}"
        )
    return source


def _why_empty(source: FolderSource) -> str:
    links = list(_listed_entries(source.root))
    if not links:
        return f"{source.name} holds no photos: no file in it ends in .jpg, .png, .webp or the like"
    target = text_of_path(os.path.realpath(links[0].path))
    return (
        f"{source.name} holds no photos, only symbolic links that lead to no file in it ({len(links)}, such as "
        f"{_key(links[0], source.root)} to {target}): give the folder to which they lead as SOURCE, "
        "or put the photos in their place (cp -rL)"
    )


def _key(entry: os.DirEntry[str], root: Path) -> str:
    return text_of_path(os.path.relpath(entry.path, root))


def _listed_entries(root: Path) -> Iterator[os.DirEntry[str]]:
    """The entries that get a row; without recursion, since folders may be nested deeper than Python's stack."""
    waiting = [_entries(str(root))]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif entry.is_dir(follow_symlinks=False):
            waiting.append(_entries(entry.path))
        elif _gets_row(entry, root):
            yield entry


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"cannot list {text_of_path(folder)}: {error.strerror}") from error
    return iter(sorted(seen, key=lambda entry: os.fsencode(entry.name)))


def _gets_row(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether an entry is a photo, or a link that would otherwise be ignored silently."""
    is_image = has_photo_extension(entry.name)
    if not entry.is_symlink():
        return is_image and entry.is_file()
    try:
        if stat.S_ISREG(entry.stat().st_mode):
            return is_image
    except OSError:
        return True  # broken, perhaps since a disk is missing: it may have led to photos
    target = Path(os.path.realpath(entry.path))
    return not target.is_relative_to(root) or _is_hidden(target.relative_to(root))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _file_status(entry: os.DirEntry[str], root: Path) -> os.stat_result | None:
    """Size and times of a file in the folder; None for a link to elsewhere, and for what cannot be read."""
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
        return None
    try:
        status = entry.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _open(place: SourcePlace, _: NoSettings) -> FolderSource | None:
    """None for a folder without photos that holds files of other kinds."""
    if place.path is None or not place.path.is_dir():
        return None
    try:
        source = open_folder(place.path, place.labels_file)
    except NoPhotosError:
        if place.files:
            return None
        raise
    labels = None if place.labels_file is None else place.labels_file.resolve()
    return replace(source, notes=_notes_on([path for path in place.files if path.resolve() != labels]))


def _notes_on(unread: Sequence[Path]) -> tuple[str, ...]:
    if not unread:
        return ()
    names = ", ".join(text_of_path(path.name) for path in unread[:_NAMED_IN_NOTE])
    if len(unread) == 1:
        return (f"{names} in it is not read: give it as SOURCE if it lists or holds photos",)
    more = f" and {len(unread) - _NAMED_IN_NOTE} more" if len(unread) > _NAMED_IN_NOTE else ""
    return (f"{names}{more} in it are not read: give one as SOURCE if it lists or holds photos",)


FOLDER = SourceKind(
    name="folder",
    example="DIR",
    photos="Photos in a folder, with one sub-folder per person or flat.",
    settings=NoSettings,
    open=_open,
)
