"""A local folder of photos, with one sub-folder per person, or flat, or both."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from annotated_types import Ge

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.folder_files import FolderFiles, FolderSurvey, ending
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.labels import PhotoLabels, matched
from facerefs.stages.sources.labels_file import read_labels
from facerefs.stages.sources.people_folders import PeopleFolders, recognise_people
from facerefs.stages.sources.source import NoPhotosError

_ROWS_PER_TABLE = 10_000
_NAMED_IN_NOTE = 3


@dataclass(frozen=True)
class FolderSettings:
    """How a folder of photos is read."""

    person_level: Annotated[int, Ge(0)] | None = None
    """Level of the folders that are people: 1 for those in SOURCE, 2 for those in them, 0 if no folder is a person;
    null recognises folders such as `train` or `lfw`, which only hold those of people."""


@dataclass(frozen=True)
class FolderSource:
    """Photos under a folder. The label of a photo comes from `labels` or, without them, is the name of the sub-folder
    that is a person; a photo in no such folder has no label.

    Which files are photos, and which links are followed, `FolderFiles` says. A link that leads out of the folder is
    listed without a place, so that crawl rejects it by name.
    """

    service_query: ClassVar[str | None] = None

    files: FolderFiles
    people: PeopleFolders
    labels: PhotoLabels | None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's absolute path."""
        return text_of_path(str(self.files.root))

    def rows(self) -> Iterator[pa.Table]:
        """The photos, sorted within each folder. Raises SourceError if a sub-folder cannot be listed."""
        entries = self.files.photos(FolderSurvey())
        while batch := [self._row(entry) for entry in islice(entries, _ROWS_PER_TABLE)]:
            yield pa.Table.from_pylist(batch, SOURCES)

    def label(self, key: str) -> str | None:
        """The label of the photo with this key: the person's name, or None."""
        return self.people.person(key.rpartition("/")[0]) if self.labels is None else self.labels.of(key)

    def _row(self, entry: os.DirEntry[str]) -> dict[str, Any]:
        key = self.files.key(entry)
        row: dict[str, Any] = {"key": key, "label": self.label(key)}
        status = self.files.status(entry)
        if status is None:
            return row  # listed without a place, so that crawl rejects it
        row["photo"] = {"path": text_of_path(entry.path), "offset": 0, "length": status.st_size}
        # A change of permissions leaves the modification time as it is: with null, the row changes with them.
        row["modified_ns"] = status.st_mtime_ns if os.access(entry.path, os.R_OK) else None
        return row


def open_folder(
    root: Path,
    labels_file: Path | None = None,
    settings: FolderSettings | None = None,
    out: Path | None = None,
    unread: Sequence[Path] = (),
) -> FolderSource:
    """The photos of a folder that exists, without those of a build in `out`. unread: files in it of other kinds.

    Raises NoPhotosError if it has none, SourceError if no label fits, or if nobody can tell which folders are people.
    """
    files, survey = FolderFiles(root.resolve(), out), FolderSurvey()
    name = text_of_path(str(files.root))
    keys = map(files.key, files.photos(survey))
    labels: PhotoLabels | None = None
    notes: list[str] = []
    if labels_file is None:
        deque(keys, maxlen=0)
    else:
        labels, notes = matched(read_labels(labels_file, files.root), keys, name)
    if survey.photos.total() == len(survey.dead_links):
        raise NoPhotosError(_why_empty(name, survey))
    level = None if settings is None else settings.person_level
    people = PeopleFolders(level=level)
    if labels is None:
        if level is None:
            people = recognise_people(survey.photos, survey.signs_of_shards, name)
        notes = list(people.notes(survey.photos))
    known = unread if labels_file is None else [*unread, labels_file]
    survey.others -= Counter(ending(path) for path in known if path.resolve().is_relative_to(files.root))
    return FolderSource(files, people, labels, (*notes, *survey.notes(), *_notes_on(unread)))


def _why_empty(name: str, survey: FolderSurvey) -> str:
    if not survey.dead_links:
        left_out = "".join(f"; {note}" for note in survey.notes())
        return f"{name} holds no photos: no file in it ends in .jpg, .png, .webp or the like{left_out}"
    key, target = survey.dead_links[0]
    return (
        f"{name} holds no photos, only symbolic links that lead to no file in it ({len(survey.dead_links)}, such as "
        f"{key} to {target}): give the folder to which they lead as SOURCE, or put the photos in their place (cp -rL)"
    )


def _open(place: SourcePlace, settings: FolderSettings) -> FolderSource | None:
    """None for a folder without photos that holds files of other kinds."""
    if place.path is None or not place.path.is_dir():
        return None
    labels = None if place.labels_file is None else place.labels_file.resolve()
    unread = [path for path in place.files if path.resolve() != labels]
    try:
        return open_folder(place.path, place.labels_file, settings, place.out, unread)
    except NoPhotosError:
        if place.files:
            return None
        raise


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
    settings=FolderSettings,
    open=_open,
)
