"""Write restored faces: the format follows the ending, the colours are sRGB, and a file is whole or not there."""

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facerefs.pipeline.errors import RunError
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from PIL.Image import Image

    from facerefs.stages.images.original import OriginalPhoto

_JPEG: dict[str, Any] = {"format": "JPEG", "quality": 98, "subsampling": "4:4:4"}
FACE_ENDINGS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
}
"""How a restored face is saved, by the ending of its file; all but JPEG are lossless."""
ENDINGS_TEXT = ".png, .jpg, .jpeg or .webp"
_PNG_HEADER = 33  # bytes of the signature and the chunk IHDR
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


def write_face(pixels: UInt8Image, alpha: UInt8Image | None, path: Path, quality: int | None = None) -> None:
    """Write a face (S, S, 3), with its alpha (S, S) if the format holds it, and the sRGB profile. Raises RunError."""
    from PIL import Image

    if alpha is None or not holds_alpha(path):
        image = Image.fromarray(pixels)
    else:
        image = Image.fromarray(np.dstack([pixels, alpha]))
    write_image(image, path, quality=quality)


def write_image(image: "Image", path: Path, profile: bytes | None = None, quality: int | None = None) -> None:
    """Write an image under a temporary name, then rename it. Raises RunError if it cannot be written.

    profile: of its colours; None means sRGB. quality: 1 to 100, of JPEG and WebP; None is 98 and lossless.
    """
    write_bytes(_encoded(image, path.suffix.lower(), profile, quality), path)


def write_photo(photo: "OriginalPhoto", path: Path, quality: int | None = None) -> list[str]:
    """Write a photo with its alpha, profile and 16 bits where the format holds them. Returns what was lost.

    Raises RunError.
    """
    from PIL import Image

    ending, lost = path.suffix.lower(), []
    pixels, alpha = photo.pixels, photo.alpha
    if pixels.dtype == np.uint16 and ending == ".png":
        write_bytes(_deep_png(photo), path)
        return []
    if pixels.dtype == np.uint16:
        lost.append("its 16 bits per channel became 8: PNG keeps them")
        pixels, alpha = (
            (pixels >> 8).astype(np.uint8),
            None if alpha is None else (alpha >> 8).astype(np.uint8),
        )
    if alpha is not None and not holds_alpha(path):
        lost.append("its transparency is lost, since JPEG holds none: what was transparent is white")
        share = alpha[..., None] / np.float32(255)
        pixels, alpha = np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8), None
    image = Image.fromarray(pixels if alpha is None else np.dstack([pixels, alpha]))
    write_image(image, path, photo.profile, quality)
    return lost


def _encoded(image: "Image", ending: str, profile: bytes | None, quality: int | None) -> bytes:
    options = dict(FACE_ENDINGS[ending])
    if quality is not None and ending != ".png":
        options |= {"quality": quality}
        options.pop("lossless", None)
    file = io.BytesIO()
    image.save(file, icc_profile=profile or _srgb_profile(), **options)
    return file.getvalue()


def _deep_png(photo: "OriginalPhoto") -> bytes:
    """A PNG with 16 bits per channel, which Pillow cannot write; the profile is added as a chunk behind the header."""
    import cv2

    planes = [photo.pixels[..., ::-1]] if photo.alpha is None else [photo.pixels[..., ::-1], photo.alpha]
    done, encoded = cv2.imencode(".png", np.dstack(planes))
    if not done:
        raise RunError("OpenCV cannot write a PNG with 16 bits", again=False)
    data = encoded.tobytes()
    body = b"iCCP" + b"profile\0\0" + zlib.compress(photo.profile or _srgb_profile())
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:_PNG_HEADER] + chunk + data[_PNG_HEADER:]


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file under a temporary name, then rename it. Raises RunError if it cannot be written."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
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
