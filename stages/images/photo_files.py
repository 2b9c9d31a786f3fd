"""Which files are photos: by the ending of their name, else by their first bytes."""

import os
import re

PHOTO_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".jp2", ".jxl"}  # photos that we cannot read: listed, so that their owner learns it
)
HEAD_BYTES = 32
"""How many bytes of a file `begins_like_photo` looks at."""

_HEADS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8[79]a|II\*\0|MM\0\*"
    rb"|BM....\0\0\0\0"  # more than decoding asks for: a text may begin with BM
    rb"|....ftyp(avif|avis|mif1|msf1|heic|heix|heim|heis|hevc|hevx)"
    rb"|\0\0\0\x0c(JXL |jP  )",
    re.DOTALL,
)


def has_photo_extension(name: str) -> bool:
    """Whether a file name ends as that of a photo, in any case of letters."""
    # Not by pathlib, which keeps each name that it has seen.
    return os.path.splitext(name)[1].lower() in PHOTO_EXTENSIONS  # noqa: PTH122


def begins_like_photo(head: bytes) -> bool:
    """Whether the first HEAD_BYTES of a file are those of a photo, also of one that we cannot read (HEIC)."""
    return _HEADS.match(head) is not None
