"""Which files in a folder are photos: by their names, or else by their first bytes."""

import re
from pathlib import Path

PHOTO_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".jp2", ".jxl"}  # photos that we cannot read: listed, so that their owner learns it
)
OTHER_EXTENSIONS = frozenset(
    {
        ".json",
        ".jsonl",
        ".ndjson",
        ".txt",
        ".csv",
        ".tsv",
        ".parquet",
        ".xml",
        ".yaml",
        ".yml",
        ".md",
        ".html",
    }
    | {
        ".htm",
        ".log",
        ".pdf",
        ".py",
        ".sh",
        ".mat",
        ".npy",
        ".npz",
        ".pt",
        ".pth",
        ".pkl",
        ".h5",
        ".db",
        ".ini",
    }
    | {
        ".tar",
        ".zip",
        ".gz",
        ".bz2",
        ".xz",
        ".zst",
        ".7z",
        ".mp4",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mp3",
        ".wav",
    }
)
"""Endings of files that are never photos: not opened to see, since there may be as many of them as photos."""

_START_BYTES = 32
_UNREAD = re.compile(  # of formats that we do not decode; they are rejected with that reason
    rb"....ftyp(avif|avis|heic|heix|heim|heis|hevc|hevx|mif1|msf1)|\0\0\0\x0c(jP  |JXL )|\xff\x0a|\xff\x4f\xff\x51",
    re.DOTALL,
)
_BMP_HEADERS = frozenset(
    {12, 16, 40, 52, 56, 64, 108, 124}
)  # lengths; else any text that begins with BM is a BMP


def is_photo_name(name: str) -> bool:
    """Whether a file name ends as those of photos do."""
    return Path(name).suffix.lower() in PHOTO_EXTENSIONS


def is_photo(path: str) -> bool:
    """Whether a file is a photo, by its name or, where that says nothing, by its first bytes.

    Raises OSError if it must be opened and cannot be.
    """
    extension = Path(path).suffix.lower()
    if extension in PHOTO_EXTENSIONS or extension in OTHER_EXTENSIONS:
        return extension in PHOTO_EXTENSIONS
    with Path(path).open("rb") as file:
        return begins_as_photo(file.read(_START_BYTES))


def begins_as_photo(start: bytes) -> bool:
    """Whether these first bytes of a file are those of a photo, in a format that we decode or in another."""
    from facerefs.stages.images.decode import DecodeError, sniff

    if start.startswith(b"BM"):
        return int.from_bytes(start[14:18], "little") in _BMP_HEADERS
    try:
        return bool(sniff(start))
    except DecodeError:
        return _UNREAD.match(start) is not None
