"""Which files are photos: by the ending of their name, else by their first bytes."""

import os
import re
from pathlib import Path

READ_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
)
"""Of photos that `decode` can read."""
# Photos that we cannot read are listed, so that their owner learns it.
PHOTO_EXTENSIONS = READ_EXTENSIONS | {".heic", ".heif", ".jp2", ".jxl"}
OTHER_EXTENSIONS = frozenset({
    ".json", ".jsonl", ".ndjson", ".txt", ".csv", ".tsv", ".parquet", ".xml", ".yaml", ".yml", ".md", ".html", ".htm",
    ".log", ".pdf", ".py", ".sh", ".mat", ".npy", ".npz", ".pt", ".pth", ".pkl", ".h5", ".db", ".ini", ".tar", ".zip",
    ".gz", ".bz2", ".xz", ".zst", ".7z", ".mp4", ".mov", ".avi", ".mkv", ".webm", ".mp3", ".wav",
})  # fmt: skip
"""Endings of files that are never photos: not opened to see, since there may be as many of them as photos."""

START_BYTES = 32
_UNREAD = re.compile(  # of formats that we do not decode; they are rejected with that reason
    rb"....ftyp(avif|avis|heic|heix|heim|heis|hevc|hevx|mif1|msf1)|\0\0\0\x0c(jP  |JXL )|\xff\x0a|\xff\x4f\xff\x51",
    re.DOTALL,
)
_BMP_HEADERS = frozenset(
    {12, 16, 40, 52, 56, 64, 108, 124}
)  # lengths; else any text that begins with BM is a BMP


def has_photo_extension(name: str) -> bool:
    """Whether a file name ends as that of a photo, in any case of letters."""
    return _extension(name) in PHOTO_EXTENSIONS


def is_photo(path: Path) -> bool:
    """Whether a regular file is a photo by its name or, if that says nothing (`1.jpg?w=1024`), by its content.

    Raises OSError if its content must be looked at, and cannot be read.
    """
    extension = _extension(path.name)
    if extension in PHOTO_EXTENSIONS or extension in OTHER_EXTENSIONS:
        return extension in PHOTO_EXTENSIONS
    with path.open("rb") as file:
        return begins_as_photo(file.read(START_BYTES))


def begins_as_photo(start: bytes) -> bool:
    """Whether these first START_BYTES of a file are those of a photo, in a format that we decode or in another."""
    from facerefs.stages.images.decode import DecodeError, sniff  # which loads Pillow

    if start.startswith(b"BM"):
        return int.from_bytes(start[14:18], "little") in _BMP_HEADERS
    try:
        return bool(sniff(start))
    except DecodeError:
        return _UNREAD.match(start) is not None


def _extension(name: str) -> str:
    # Not by pathlib, which keeps each name that it has seen.
    return os.path.splitext(name)[1].lower()  # noqa: PTH122
