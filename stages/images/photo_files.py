"""Which files are photos: by the ending of their name, else by their first bytes."""

import os
from pathlib import Path

from facerefs.stages.images.decode import DecodeError, sniff

READ_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
)
"""Of photos that `decode` can read."""
# Photos that we cannot read are listed, so that their owner learns it.
PHOTO_EXTENSIONS = READ_EXTENSIONS | {".heic", ".heif", ".jp2", ".jxl"}
_HEAD_BYTES = 32


def has_photo_extension(name: str) -> bool:
    """Whether a file name ends as that of a photo, in any case of letters."""
    # Not by pathlib, which keeps each name that it has seen.
    return os.path.splitext(name)[1].lower() in PHOTO_EXTENSIONS  # noqa: PTH122


def is_photo(path: Path) -> bool:
    """Whether a regular file is a photo by its name or, if that says nothing (`1.jpg?w=1024`), by its content.

    Raises OSError if its content must be looked at, and cannot be read.
    """
    if has_photo_extension(path.name):
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    try:
        sniff(head)
    except DecodeError:
        return False
    return True
