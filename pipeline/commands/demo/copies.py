"""Write copies of a photo, of eight kinds as they occur on the web."""

import shutil
from pathlib import Path

from PIL import Image

from facerefs.stages.copies.copy_augmentations import AUGMENTATIONS, augmented_jpeg

_AUGMENTATIONS_OF = {
    "same bytes": (),
    "re-encoded": ("re-encoded",),
    "resized": ("resized",),
    "cropped": ("cropped",),
    "rotated": ("rotated",),
    "toned": ("brighter",),
    "mirrored": ("mirrored",),
    "combined": ("cropped", "contrast", "resized"),
}
KINDS = tuple(_AUGMENTATIONS_OF)


def write_copy(source: Path, target: Path, kind: str) -> None:
    """Write a copy of a photo; kind: one of `KINDS`."""
    if not _AUGMENTATIONS_OF[kind]:
        shutil.copyfile(source, target)
        return
    *first, last = _AUGMENTATIONS_OF[kind]
    with Image.open(source) as photo:
        image = photo.convert("RGB")
    for name in first:
        image = AUGMENTATIONS[name](image)
    target.write_bytes(augmented_jpeg(image, last))
