"""A user's photo: its pixels and its alpha, and what reading it changed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facerefs.pipeline.errors import UserError
from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.reject import Reject

if TYPE_CHECKING:
    from facerefs.stages.images.decode import DecodedPhoto
    from facerefs.stages.images.original import OriginalPhoto


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo in sRGB, upright by its EXIF data.

    alpha: uint8 (H, W); None if it is opaque. profile: the name of the colour profile that it had, empty if none.
    bits: per channel, in the file. path: its name, in messages; a photo in memory may have any.
    """

    path: Path
    pixels: UInt8Image
    alpha: UInt8Image | None = None
    profile: str = ""
    bits: int = 8

    @property
    def size(self) -> str:
        """Width and height, such as 640x480."""
        height, width = self.pixels.shape[:2]
        return f"{width}x{height}"

    @property
    def longer_side_px(self) -> int:
        """The longer of width and height."""
        height, width = self.pixels.shape[:2]
        return max(int(height), int(width))

    def turned(self, quarters: int) -> "Photo":
        """The photo, turned to the left by this many quarters."""
        alpha = None if self.alpha is None else np.ascontiguousarray(np.rot90(self.alpha, quarters))
        return replace(self, pixels=np.ascontiguousarray(np.rot90(self.pixels, quarters)), alpha=alpha)

    def enlarged(self, factor: float) -> "Photo":
        """The photo enlarged by cubic interpolation; the photo itself by 1."""
        if factor == 1:
            return self
        alpha = None if self.alpha is None else _enlarged(self.alpha, factor)
        return replace(self, pixels=_enlarged(self.pixels, factor), alpha=alpha)


def read_photo(path: Path) -> Photo:
    """A photo as a build reads it, from 16 pixels. Raises UserError if it cannot be read."""
    return _read(path)[0]


def read_with_original(path: Path) -> "tuple[Photo, OriginalPhoto]":
    """A photo in sRGB with 8 bits, for networks, and its own pixels, for the output. Raises UserError."""
    from facerefs.stages.images.original import original_of

    photo, data, decoded = _read(path)
    try:
        return photo, original_of(data, decoded)
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for damaged metadata
        raise UserError(f"cannot read {path}: {error}") from None


def photo_of(path: Path, data: bytes, max_pixels: int | None = None) -> "tuple[Photo, DecodedPhoto]":
    """The photo in the bytes of a file, as a build reads it, from 16 pixels. path: its name, in messages.

    max_pixels: fewer than a build takes. Raises UserError if it cannot be read.
    """
    from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode

    limits = DecodeLimits(min_side_px=16)
    if max_pixels is not None:
        limits = replace(limits, max_pixels=max_pixels)
    try:
        photo = decode(data, limits)
    except DecodeError as error:
        convert = ": save it as PNG or JPEG" if error.reject in (Reject.NOT_AN_IMAGE, Reject.ANIMATED) else ""
        raise UserError(f"cannot read {path}: {error}{convert}") from None
    return Photo(path, photo.pixels, photo.alpha, photo.profile, photo.bits), photo


def _read(path: Path) -> "tuple[Photo, bytes, DecodedPhoto]":
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    photo, decoded = photo_of(path, data)
    return photo, data, decoded


def _enlarged(image: UInt8Image, factor: float) -> UInt8Image:
    import cv2

    height, width = image.shape[:2]
    size = round(width * factor), round(height * factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
