"""The pictures of a build for the report: faces by id, photos by key, samples by their files; and their origins."""

import hashlib
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.thumbnails import Picture, PictureBudget, thumbnail
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import read_members
from facerefs.pipeline.text import web_link
from facerefs.stages.join import left_join

THUMBNAIL_PX = 144
SAMPLE_PX = 288


@dataclass(frozen=True)
class Origin:
    """Where a photo comes from."""

    key: str
    link: str | None = None  # http or https
    licence: str | None = None
    attribution: str | None = None


class Album:
    """Thumbnails of a build: each is made once, and all together stay within one budget of bytes.

    blur: nobody in them can be recognised.
    """

    def __init__(self, storage: Storage, blur: bool = False) -> None:
        self._storage, self._blur = storage, blur
        self._budget = PictureBudget()
        self._made: dict[tuple[str, str], Picture | None] = {}

    def face(self, face: str) -> Picture | None:
        """The aligned crop of a face; the photo if the row has no crop. None if neither can be shown."""
        row = self._face(face)
        if row is None:
            return None
        if row["crop"] is None:
            return self.photo(row["key"])
        return self._thumbnail_once(("face", face), row["crop"], None)

    def photo(self, key: str) -> Picture | None:
        """A photo of the table `images`; None if its bytes are gone or are no longer those that were crawled."""
        row = _row(self._images, "key", key)
        if row is None or row["photo"] is None:
            return None
        return self._thumbnail_once(("photo", key), row["photo"], row["id"])

    def sample(self, files: dict[str, Any] | None, names: Iterable[str]) -> list[Picture | None]:
        """The pictures of a sample, by the middle part of their file names: gt, ref0, ..., lq."""
        data = None if files is None else self._storage.read_blob(**files)
        try:
            members = {} if data is None else read_members(data)
        except tarfile.ReadError:
            members = {}
        by_name = {member.split(".")[-2]: content for member, content in members.items() if "." in member}
        return [self._budget.spend(thumbnail(by_name.get(name), SAMPLE_PX, self._blur)) for name in names]

    def origin(self, face: str) -> Origin:
        """Where the photo of a face comes from."""
        row = self._face(face)
        photo = None if row is None else _row(self._images, "key", row["key"])
        if row is None or photo is None:
            return Origin(face)
        link = web_link(photo["page"]) or web_link(photo["url"])
        return Origin(row["key"], link, photo["licence"], photo["attribution"])

    def _face(self, face: str) -> dict[str, Any] | None:
        return _row(self._faces, "id", face)

    def _thumbnail_once(
        self, name: tuple[str, str], place: dict[str, Any], sha256: str | None
    ) -> Picture | None:
        if name not in self._made:
            data = self._storage.read_blob(**place)
            changed = data is not None and sha256 is not None and hashlib.sha256(data).hexdigest() != sha256
            self._made[name] = None if changed else thumbnail(data, THUMBNAIL_PX, self._blur)
        return self._budget.spend(self._made[name])

    @cached_property
    def _faces(self) -> pa.Table:
        return self._storage.scan("faces", ("id", "key", "crop"))

    @cached_property
    def _images(self) -> pa.Table:
        images = self._storage.scan("images", ("key", "id", "photo"))
        listed = self._storage.scan("sources", ("key", "url", "page", "licence", "attribution"))
        return left_join(images, "key", listed, "key")


def _row(table: pa.Table, column: str, value: str) -> dict[str, Any] | None:
    at = pc.index(table.column(column), value).as_py()
    return None if at < 0 else table.slice(at, 1).to_pylist()[0]
