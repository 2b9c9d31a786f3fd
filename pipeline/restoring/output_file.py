"""Write restored faces: the format follows the ending, the colours are sRGB, and a file is whole or not there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facerefs.pipeline.errors import RunError
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG: dict[str, Any] = {"format": "JPEG", "quality": 98, "subsampling": "4:4:4"}
FACE_ENDINGS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
}
"""How a restored face is saved, by the ending of its file; all but JPEG are lossless."""
ENDINGS_TEXT = ".png, .jpg, .jpeg or .webp"
_DATE = slice(24, 36)  # of an ICC profile: when it was made, which would make each file another one
_MADE = bytes.fromhex("07e800010001000000000000")


def holds_alpha(path: Path) -> bool:
    """Whether a file with this ending can hold transparency."""
    return FACE_ENDINGS[path.suffix.lower()] is not _JPEG


def is_whole(path: Path) -> bool:
    """Whether there is an image that can be read to its end: a full disk or a copy that broke off leaves others."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for damaged files
        return False
    return True


def write_face(pixels: UInt8Image, alpha: UInt8Image | None, path: Path) -> None:
    """Write a face (S, S, 3), with its alpha (S, S) if the format holds it, and the sRGB profile. Raises RunError."""
    from PIL import Image

    if alpha is None or not holds_alpha(path):
        image = Image.fromarray(pixels)
    else:
        image = Image.fromarray(np.dstack([pixels, alpha]))
    write_image(image, path)


def write_image(image: "Image", path: Path) -> None:
    """Write an image in sRGB under a temporary name, then rename it. Raises RunError if it cannot be written."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                image.save(file, icc_profile=_srgb_profile(), **FACE_ENDINGS[path.suffix.lower()])
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"cannot write {path}: {reason}. Mend that, and add --resume to restore only the others",
            again=False,
        ) from None


def _srgb_profile() -> bytes:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[: _DATE.start] + _MADE + profile[_DATE.stop :]
