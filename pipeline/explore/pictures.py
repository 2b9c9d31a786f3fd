"""The pictures of a build for the page: crops of faces, photos, and the files of samples, as WebP of a bounded size."""

import hashlib
import io
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pyarrow as pa
from PIL import Image

from facerefs.pipeline.explore.views.view import PictureOf
from facerefs.pipeline.report.thumbnails import hidden
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import read_members
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode

Value = TypeVar("Value")
SIDES_PX = (192, 1024)
"""The longest sides that a picture may be asked for with: in a list, and alone."""
TABLE_OF: dict[PictureOf, str] = {
    "face": "faces",
    "photo": "photos",
    "gt": "samples",
    "lq": "samples",
    "ref0": "samples",
}
"""The view that lists what the picture is of."""
_PLACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "faces": ("faces", ("id", "crop")),
    "photos": ("images", ("key", "photo", "id")),
    "samples": ("samples", ("key", "files")),
}
"""Of each view the table with its pictures, and the columns: its name, the place of its bytes, and their SHA-256."""
_LIMITS = DecodeLimits(min_side_px=1)
_QUALITY = 85
_MOST_PICTURES = 512  # of some 10 KB in a list
_MOST_PARTS = 32


class Pictures:
    """Makes the pictures of a build, and keeps the last ones. blur: no face in them can be recognised."""

    def __init__(self, storage: Storage, blur: bool = False) -> None:
        self._storage, self._blur = storage, blur
        self._made: _Latest[bytes | None] = _Latest(_MOST_PICTURES)
        self._parts: _Latest[pa.Table] = _Latest(_MOST_PARTS)

    def webp(self, of: PictureOf, name: str, part: str | None, side_px: int, version: int) -> bytes | None:
        """A picture whose longer side has at most `side_px`; None if its bytes are gone or have changed.

        part: the part of the table that holds it. version: a number that is another one after the build has changed.
        """
        if part is None:
            return None
        return self._made.get(
            (of, name, side_px, version), lambda: self._picture(self._bytes(of, name, part, version), side_px)
        )

    def data(self, of: PictureOf, name: str, part: str, version: int) -> bytes | None:
        """The bytes as the build has them; None if they are gone or have changed, or if faces are hidden."""
        return None if self._blur else self._bytes(of, name, part, version)

    def part_of(self, of: PictureOf, name: str, version: int) -> str | None:
        """The part of its table that holds a picture; None if there is none. Reads the table's names: for one build
        that is compared with another."""
        table, columns = _PLACES[TABLE_OF[of]]
        key = (columns[0], "part")
        rows = self._parts.get((table, version), lambda: self._storage.scan(table, key))
        at = rows[columns[0]].index(name).as_py()
        return None if at < 0 else str(rows["part"][at])

    def _bytes(self, of: PictureOf, name: str, part: str, version: int) -> bytes | None:
        view = TABLE_OF[of]
        table, columns = _PLACES[view]
        rows = self._parts.get((table, part, version), lambda: self._storage.read(table, part, columns))
        at = rows[columns[0]].index(name).as_py()
        row: dict[str, Any] = {} if at < 0 else rows.slice(at, 1).to_pylist()[0]
        data = None if row.get(columns[1]) is None else self._storage.read_blob(**row[columns[1]])
        if data is None or any(hashlib.sha256(data).hexdigest() != row[sha256] for sha256 in columns[2:]):
            return None
        return _member(data, of) if view == "samples" else data

    def _picture(self, data: bytes | None, side_px: int) -> bytes | None:
        if data is None:
            return None
        try:
            pixels = decode(data, _LIMITS).pixels
        except DecodeError:
            return None
        image = Image.fromarray(pixels)
        image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
        if self._blur:
            image = hidden(image)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=_QUALITY, method=2)
        return buffer.getvalue()


def _member(files: bytes, of: str) -> bytes | None:
    try:
        members = read_members(files)
    except tarfile.ReadError:
        return None
    return next((data for name, data in members.items() if name.split(".")[-2:-1] == [of]), None)


class _Latest(Generic[Value]):
    """The values that were made last, at most `most` of them; several threads may use it."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._values: OrderedDict[object, Value] = OrderedDict()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """The value of a key, which is made if it is not there."""
        with self._lock:
            if key in self._values:
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value
