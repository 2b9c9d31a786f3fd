"""Thumbnails that are embedded in the page, within a budget of bytes."""

import base64
import io
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from facerefs.schemas.arrays import UInt8Image
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode

_LIMITS = DecodeLimits(min_side_px=1)
_WEBP_QUALITY = 82
HIDDEN_PX = 8  # of a face that is hidden
PICTURE_BUDGET_BYTES = 5_000_000


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI, its size in pixels, and the size of the original in pixels."""

    uri: Markup
    width: int
    height: int
    original_width: int
    original_height: int


def thumbnail(data: bytes | None, side_px: int, blur: bool = False) -> Picture | None:
    """A WebP whose longer side has at most `side_px`; None if there are no bytes or they are no picture.

    blur: nobody in it can be recognised.
    """
    if data is None:
        return None
    try:
        photo = decode(data, _LIMITS)
    except DecodeError:
        return None
    return picture_of(photo.pixels, side_px, blur)


def picture_of(pixels: UInt8Image, side_px: int, blur: bool = False) -> Picture:
    """A WebP whose longer side has at most `side_px`, of pixels (H, W, 3) uint8 RGB. blur: nobody can be recognised."""
    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=1.5)
    if blur:
        image = hidden(image)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=4)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(Markup(uri), *image.size, pixels.shape[1], pixels.shape[0])  # noqa: S704 - base64 has no markup


def hidden(image: Image.Image) -> Image.Image:
    """The picture with so little detail that nobody can be recognised: 8 px along the longer side."""
    small = image.copy()
    small.thumbnail((HIDDEN_PX, HIDDEN_PX), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.BICUBIC)


class PictureBudget:
    """The bytes that pictures may still take in the page; every use of a picture counts."""

    def __init__(self, total_bytes: int = PICTURE_BUDGET_BYTES) -> None:
        self._left = total_bytes

    def spend(self, picture: Picture | None) -> Picture | None:
        """The picture, or None if the rest of the budget is too small for it."""
        if picture is None or len(picture.uri) > self._left:
            return None
        self._left -= len(picture.uri)
        return picture
