"""Decode an image file of a sample to pixels; its size is checked before anything is decoded.

PNG and WebP are decoded by OpenCV, which takes a fifth less time than Pillow, and JPEG by simplejpeg, which takes a
third less; without these packages, by Pillow. The pixels are the same.
"""

import importlib.util
import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from facerefs.schemas.sample import IMAGE_TYPES, MAX_IMAGE_BYTES, MAX_SIDE_PX
from facerefs.trainers.stream.errors import BadSample

Pixels = NDArray[np.uint8]

_SILENT = 0
_FORMATS = {one.extension: one.pillow for one in IMAGE_TYPES.values()} | {"jpeg": "JPEG"}
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
)


def decode_rgb(name: str, data: bytes, height: int | None = None, width: int | None = None) -> Pixels:
    """The pixels of a JPEG, PNG or WebP, (H, W, 3) uint8 RGB, writable.

    `name` ends with the format, as files in a shard do. The image must be `height` x `width` if these are given,
    and at most 4096 px a side in any case. Metadata (EXIF orientation, ICC profile) is ignored: a shard holds
    upright sRGB pixels. Raises BadSample for anything else.
    """
    return _decode(name, data, "RGB", height, width)


def decode_gray(name: str, data: bytes, height: int, width: int) -> Pixels:
    """The pixels of a gray PNG or WebP of this size, (H, W) uint8, writable. Raises BadSample for anything else."""
    return _decode(name, data, "L", height, width)


def _decode(name: str, data: bytes, mode: str, height: int | None, width: int | None) -> Pixels:
    if len(data) > MAX_IMAGE_BYTES:
        raise BadSample(f"{name} has {len(data)} bytes, at most {MAX_IMAGE_BYTES} are read")
    if name.endswith((".jpg", ".jpeg")) and _is_installed("simplejpeg"):
        _check_size(name, _jpeg_size(name, data), height, width)
        return _jpeg_pixels(name, data, mode)
    _check_size(name, _pillow_size(name, data), height, width)
    if mode == "RGB" and not name.endswith((".jpg", ".jpeg")) and _is_installed("cv2"):
        return _opencv_pixels(name, data)
    return _pillow_pixels(name, data, mode)


def _check_size(name: str, size: tuple[int, int], height: int | None, width: int | None) -> None:
    """Raise BadSample for a wrong `size`, which is (width, height) from the header."""
    if not (0 < size[0] <= MAX_SIDE_PX and 0 < size[1] <= MAX_SIDE_PX):
        raise BadSample(f"{name} is {size[0]}x{size[1]} px, at most {MAX_SIDE_PX} a side are read")
    if (width is not None and size[0] != width) or (height is not None and size[1] != height):
        raise BadSample(f"{name} is {size[0]}x{size[1]} px where {width}x{height} is wanted")


def _jpeg_size(name: str, data: bytes) -> tuple[int, int]:
    import simplejpeg

    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise BadSample(f"{name} is no JPEG: {error}") from None
    return width, height


def _jpeg_pixels(name: str, data: bytes, mode: str) -> Pixels:
    import simplejpeg

    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB" if mode == "RGB" else "GRAY")
    except ValueError as error:
        raise BadSample(f"{name} cannot be decoded: {error}") from None
    return pixels if mode == "RGB" else pixels[..., 0]


def _pillow_size(name: str, data: bytes) -> tuple[int, int]:
    """Width and height from the header. Raises BadSample for animations and for pixels other than 8-bit RGB or gray."""
    format_ = _FORMATS.get(name.rsplit(".", 1)[-1])
    if format_ is None:
        raise BadSample(f"{name} is of no format that a sample holds: png, webp or jpg")
    try:
        with Image.open(io.BytesIO(data), formats=[format_]) as image:
            frames, mode, size = getattr(image, "n_frames", 1), image.mode, image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, *_PILLOW_ERRORS) as error:
        raise BadSample(f"{name} has no header of a {format_}: {type(error).__name__}") from None
    if frames != 1 or mode not in ("RGB", "L"):
        raise BadSample(f"{name} has {frames} frames of mode {mode} where one of RGB or L is wanted")
    return size


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _opencv_pixels(name: str, data: bytes) -> Pixels:
    import cv2

    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    level = cv2.utils.logging.setLogLevel(_SILENT)  # OpenCV would log a line for each broken file; we raise
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadSample(f"{name} cannot be decoded: {error.err}") from None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise BadSample(f"{name} cannot be decoded")
    rgb: Pixels = pixels
    return rgb


def _pillow_pixels(name: str, data: bytes, mode: str) -> Pixels:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # checks all checksums of a PNG; decoding checks only some
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert(mode))
    except _PILLOW_ERRORS as error:
        raise BadSample(f"{name} cannot be decoded: {type(error).__name__}: {error}") from None
