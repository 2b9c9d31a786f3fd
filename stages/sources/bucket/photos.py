"""Photos in a bucket, with one folder per person or flat; without photos, the tars that lie there."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pyarrow.fs import FileInfo, FileType

from facerefs.schemas.object_storage import AddressError, address_of, filesystem_of, is_address, sentence_of
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.bucket.objects import BucketObjects, BucketSurvey
from facerefs.stages.sources.bucket.tars import is_tar_name, open_bucket_tars
from facerefs.stages.sources.folder import FolderSettings
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.labels import PhotoLabels, matched
from facerefs.stages.sources.labels_file import read_labels
from facerefs.stages.sources.people_folders import PeopleFolders, recognise_people
from facerefs.stages.sources.source import PhotoSource, SourceError

_ROWS_PER_TABLE = 10_000


@dataclass(frozen=True)
class BucketSource:
    """The photos under an address. The label of a photo comes from `labels` or, without them, is the name of the
    folder that is a person, as in a local folder."""

    service_query: ClassVar[str | None] = None

    objects: BucketObjects
    people: PeopleFolders
    labels: PhotoLabels | None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The address."""
        return self.objects.address

    def rows(self) -> Iterator[pa.Table]:
        """The photos, sorted within each folder. Raises SourceError if they cannot be listed."""
        photos = self.objects.photos(BucketSurvey())
        while batch := [self._row(key, entry) for key, entry in islice(photos, _ROWS_PER_TABLE)]:
            yield pa.Table.from_pylist(batch, SOURCES)

    def _row(self, key: str, entry: FileInfo) -> dict[str, Any]:
        place = {"path": address_of(self.objects.filesystem, entry.path), "offset": 0, "length": entry.size}
        label = self.people.person(key.rpartition("/")[0]) if self.labels is None else self.labels.of(key)
        return {"key": key, "label": label, "photo": place, "modified_ns": entry.mtime_ns}


def open_bucket(
    address: str, labels_file: Path | None = None, level: int | None = None, out: str | None = None
) -> PhotoSource:
    """The photos under an address, or of a tar at it. out: the address of the build, which may lie among them.

    Raises SourceError if there are none, if no label fits, or if nobody can tell which folders are people.
    """
    filesystem, path = filesystem_of(address)
    shown = address_of(filesystem, path)
    try:
        kind = filesystem.get_file_info(path).type
    except OSError as error:
        raise SourceError(sentence_of(error, shown)) from None
    if kind == FileType.NotFound:
        raise SourceError(f"there is nothing at {shown}: check the address")
    is_within = out is not None and address_of(*_place(out)).startswith(f"{shown}/")
    objects = BucketObjects(filesystem, path, shown, _place(out)[1] if out and is_within else None)
    if kind == FileType.File:
        return open_bucket_tars(filesystem, [filesystem.get_file_info(path)], path.rpartition("/")[0])
    survey = BucketSurvey()
    keys = (key for key, _ in objects.photos(survey))
    labels, notes = None, list[str]()
    if labels_file is None:
        deque(keys, maxlen=0)
    else:
        labels, notes = matched(read_labels(labels_file, labels_file.parent), keys, shown)
    if not survey.photos:
        if survey.tars and labels_file is None:
            return open_bucket_tars(filesystem, survey.tars, path)
        left_out = "".join(f"; {note}" for note in survey.notes())
        raise SourceError(
            f"{shown} holds no photos: no object there ends in .jpg, .png, .webp or the like{left_out}"
        )
    people = PeopleFolders(level=level)
    if labels is None:
        if level is None:
            people = recognise_people(survey.photos, survey.signs_of_shards, shown)
        notes = list(people.notes(survey.photos))
    tars = [f"{len(survey.tars)} tars beside the photos are not read"] if survey.tars else []
    return BucketSource(objects, people, labels, (*notes, *survey.notes(), *tars))


def _place(address: str) -> tuple[Any, str]:
    return filesystem_of(address)


def _open(place: SourcePlace, settings: FolderSettings) -> PhotoSource | None:
    """None for a place elsewhere, and for a single object that is no tar: it may be a list."""
    if place.path is not None or not is_address(place.text):
        return None
    name = place.text.rstrip("/").rpartition("/")[2]
    if "." in name and not place.text.endswith("/") and not is_tar_name(name):
        return None
    try:
        return open_bucket(place.text, place.labels_file, settings.person_level, place.out_address)
    except AddressError as error:
        raise SourceError(str(error)) from None


BUCKET = SourceKind(
    name="bucket",
    example="s3://BUCKET/PHOTOS/",
    photos="Photos in object storage (s3://, gs://, az://), with one folder per person or flat, or in tars there.",
    settings=FolderSettings,
    section="folder",
    open=_open,
)
