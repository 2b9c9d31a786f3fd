"""Photos that a list names by their paths instead of URLs."""

import os
import re
import stat
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from facerefs.schemas.paths import path_of_text, text_of_path
from facerefs.schemas.reject import Reject
from facerefs.stages.images.photo_files import START_BYTES, begins_as_photo, has_photo_extension
from facerefs.stages.sources.lists.list_rows import Row

_URL = re.compile(r"//|[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # a scheme of one letter is a drive of Windows
_WITH_HOST = re.compile(r"//|[a-z][a-z0-9+.-]*://", re.IGNORECASE)  # no path, even if there were such a file
_HERE = ("", "localhost")


@dataclass(frozen=True)
class LocalPhotos:
    """Looks up the paths in a list: absolute, as file://, or from the list's folder."""

    folder: str

    def row(self, row: Row) -> Row:
        """A row of a list with the place of its photo, if its URL is a path; rejected if there is no such file.

        A URL stays as it is, also a file:// that leads to no photo: fetch refuses it.
        """
        text = row["url"]
        photo = self.photo(text)
        if photo is not None:
            return {**row, "url": None, **photo}
        if _URL.match(text):
            return row
        missing = f"there is no photo {text_of_path(self._path(text))[-300:]}"
        detail = f"{missing}, and a URL begins with http:// or https://"
        return {"key": row["key"], "reject": Reject.UNREADABLE.value, "reject_detail": detail}

    def photo(self, text: str) -> Row | None:
        """The columns `photo` and `modified_ns` for a path; None if it leads to no photo."""
        for path in dict.fromkeys((self._path(text), self._path(text.replace("\\", "/")))):
            status = _file_status(path)
            if status is not None and _is_photo(path):
                place = {"path": text_of_path(path), "offset": 0, "length": status.st_size}
                return {"photo": place, "modified_ns": status.st_mtime_ns}
        return None

    def read(self, text: str, max_bytes: int) -> bytes | None:
        """The first bytes of the photo to which a path leads, if there is one that can be read."""
        photo = self.photo(text)
        if photo is None:
            return None
        try:
            with open(path_of_text(photo["photo"]["path"]), "rb") as file:  # noqa: PTH123
                return file.read(max_bytes)
        except OSError:
            return None

    def _path(self, text: str) -> str:
        if text[:7].lower() == "file://":
            parts = urlsplit(text)
            return unquote(parts.path) if parts.netloc.lower() in _HERE else ""
        return "" if _WITH_HOST.match(text) else os.path.join(self.folder, text)  # noqa: PTH118 (as it is written)


def _file_status(path: str) -> os.stat_result | None:
    if not path:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 (pathlib would change the path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _is_photo(path: str) -> bool:
    if has_photo_extension(path):
        return True
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return begins_as_photo(file.read(START_BYTES))
    except OSError:
        return False
