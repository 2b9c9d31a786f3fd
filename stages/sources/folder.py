"""A local folder of photos, with one sub-folder per person, or flat, or both."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.paths import text_of_path
from schemas.tables import SOURCES
from stages.sources.labels import read_labels
from stages.sources.source import SourceError

PHOTO_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".jp2", ".jxl"}  # photos that we cannot read: listed, so that their owner learns it
)
_ROWS_PER_TABLE = 10_000


@dataclass(frozen=True)
class FolderSource:
    """Photos under a folder. Who a photo shows is said by `labels` (by relative path, else by file name), or,
    without them, by the sub-folder of the first level; a photo beside those has no label.

    Photos are the regular files with an image's extension; hidden ones do not count, nor what lies behind a
    symbolic link to a folder or to the outside.
    """

    root: Path
    labels: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """The folder's absolute path."""
        return text_of_path(str(self.root))

    def rows(self) -> Iterator[pa.Table]:
        """List the photos, sorted within each folder. Raises SourceError if a sub-folder cannot be listed."""
        files = _photos(self.root)
        while batch := [self._row(path) for path in islice(files, _ROWS_PER_TABLE)]:
            yield pa.Table.from_pylist(batch, SOURCES)

    def label(self, key: str) -> str | None:
        """Who the photo with this key is said to show."""
        if self.labels is not None:
            return self.labels.get(key, self.labels.get(key.rpartition("/")[2]))
        person, slash, _ = key.partition("/")
        return person if slash else None

    def _row(self, path: str) -> dict[str, Any]:
        key = _key(path, self.root)
        row: dict[str, Any] = {"key": key, "label": self.label(key)}
        try:
            status = Path(path).stat()
        except OSError:
            return row  # listed all the same: crawl rejects what has no place
        place = {"path": text_of_path(path), "offset": 0, "length": status.st_size}
        return {**row, "photo": place, "modified_ns": status.st_mtime_ns}


def open_folder(root: Path, labels_file: Path | None = None) -> FolderSource:
    """Open a folder that exists. Raises SourceError if it holds no photo, or the labels name none of them."""
    labels = None if labels_file is None else read_labels(labels_file)
    source = FolderSource(root.resolve(), labels)
    keys = (_key(path, source.root) for path in _photos(source.root))
    first = next(keys, None)
    if first is None:
        raise SourceError(f"{root} holds no photos: no file in it ends in .jpg, .png, .webp or the like")
    if labels is not None and source.label(first) is None and all(source.label(key) is None for key in keys):
        example = f"it begins with {next(iter(labels))}" if labels else "it is empty"
        raise SourceError(
            f"{labels_file} names none of the photos in {root}: {example}, the folder with {first}"
        )
    return source


def _key(path: str, root: Path) -> str:
    return text_of_path(os.path.relpath(path, root))


def _photos(root: Path) -> Iterator[str]:
    """Absolute paths of the photos; without recursion, which a deep folder would exhaust."""
    waiting = [_entries(str(root))]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif entry.is_dir(follow_symlinks=False):
            waiting.append(_entries(entry.path))
        elif _is_photo(entry, root):
            yield entry.path


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"cannot list {text_of_path(folder)}: {error.strerror}") from error
    return iter(sorted(seen, key=lambda entry: os.fsencode(entry.name)))


def _is_photo(entry: os.DirEntry[str], root: Path) -> bool:
    if Path(entry.name).suffix.lower() not in PHOTO_EXTENSIONS:
        return False
    if not entry.is_symlink():
        return entry.is_file()
    target = Path(os.path.realpath(entry.path))
    return target.is_relative_to(root) and (target.is_file() or not target.exists())
