"""Eight edits, as found on the web, that make copies of a photo: to measure how similar copies are."""

import io
from collections.abc import Callable

from PIL import Image, ImageEnhance, ImageOps

_ENCODED, _LOW_QUALITY = 92, 30  # of JPEG
_SCALE = 0.5
_CUT = (0.08, 0.03, 0.03, 0.08)  # left, top, right, bottom, as shares of the photo
_TURN_DEG = 5
_GAMMA = 0.7
_CONTRAST = 1.4


def _resized(photo: Image.Image) -> Image.Image:
    size = max(1, round(photo.width * _SCALE)), max(1, round(photo.height * _SCALE))
    return photo.resize(size, Image.Resampling.LANCZOS)


def _cropped(photo: Image.Image) -> Image.Image:
    left, top, right, bottom = _CUT
    width, height = photo.size
    return photo.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


def _rotated(photo: Image.Image) -> Image.Image:
    return photo.rotate(_TURN_DEG, Image.Resampling.BICUBIC)


def _brighter(photo: Image.Image) -> Image.Image:
    return photo.point([round(255 * (level / 255) ** _GAMMA) for level in range(256)] * 3)


def _contrast(photo: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(photo).enhance(_CONTRAST)


def _grey(photo: Image.Image) -> Image.Image:
    return photo.convert("L").convert("RGB")


AUGMENTATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded": lambda photo: photo,
    "resized": _resized,
    "cropped": _cropped,
    "rotated": _rotated,
    "brighter": _brighter,
    "contrast": _contrast,
    "grey": _grey,
    "mirrored": ImageOps.mirror,
}
"""Of an RGB photo, in this order: JPEG of quality 30; half the size; cropped by 11 % of each side, off the centre;
rotated by 5 degrees, with black corners; gamma 0.7; contrast times 1.4; gray; mirrored. All but the first are saved as
JPEG of quality 92."""


def augmented_jpeg(photo: Image.Image, name: str) -> bytes:
    """A copy of the photo after one of `AUGMENTATIONS`, as JPEG bytes."""
    buffer = io.BytesIO()
    quality = _LOW_QUALITY if name == "re-encoded" else _ENCODED
    AUGMENTATIONS[name](photo.convert("RGB")).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
