"""Eight kinds of copies of a photo, as they come about on the web."""

import shutil
from pathlib import Path

from PIL import Image

from facerefs.stages.copies.copy_augmentations import EDITS, edited

_EDITS = {
    "same bytes": (),
    "re-encoded": ("re-encoded",),
    "resized": ("resized",),
    "cropped": ("cropped",),
    "rotated": ("rotated",),
    "toned": ("brighter",),
    "mirrored": ("mirrored",),
    "combined": ("cropped", "contrast", "resized"),
}
KINDS = tuple(_EDITS)


def write_copy(source: Path, target: Path, kind: str) -> None:
    """Write a copy of a photo, of one of `KINDS`."""
    if not _EDITS[kind]:
        shutil.copyfile(source, target)
        return
    *first, last = _EDITS[kind]
    with Image.open(source) as photo:
        image = photo.convert("RGB")
    for edit in first:
        image = EDITS[edit](image)
    target.write_bytes(edited(image, last))
