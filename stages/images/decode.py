"""Decodes untrusted bytes to upright sRGB pixels, or gives a reject reason.

What a photo may cost is bounded before a pixel is decoded: its bytes, its format (by content, never by name), and its
number of pixels by the header. Pillow decodes; its errors are of many classes, listed in `_PILLOW_ERRORS`.
"""

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from PIL import Image, ImageCms, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile

from facerefs.schemas.reject import Reject

PILLOW_PIXELS = 178_956_970  # Pillow's own hard limit, twice Image.MAX_IMAGE_PIXELS as it comes


@dataclass(frozen=True)
class DecodeLimits:
    """The limits of what is accepted as a photo."""

    max_bytes: Annotated[int, Ge(1)] = 64 * 2**20
    max_pixels: Annotated[int, Ge(1), Le(PILLOW_PIXELS)] = 80_000_000
    min_side_px: Annotated[int, Ge(1)] = 64


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A photo: uint8 (H, W, 3) sRGB pixels, upright, writable; its format as Pillow names it; and what they lack.

    alpha: uint8 (H, W), upright; None if the photo is opaque. profile: the name of the colour profile from which the
    colours were converted, empty if none was. bits: per channel, in the file.
    """

    pixels: npt.NDArray[np.uint8]
    format: str
    alpha: npt.NDArray[np.uint8] | None = None
    profile: str = ""
    bits: int = 8

    @property
    def width(self) -> int:
        """Pixels from left to right, after EXIF orientation."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom, after EXIF orientation."""
        return int(self.pixels.shape[0])


class DecodeError(Exception):
    """Why bytes are not accepted as a photo: the reject reason, and the decoder's message."""

    def __init__(self, reject: Reject, detail: str) -> None:
        super().__init__(f"{reject.sentence}: {detail}")
        self.reject = reject
        self.detail = detail


# What Pillow's readers raise for broken files: its documented OSError, SyntaxError and ValueError, and what
# escapes from the parsing below them (struct and zlib, indices and keys from the file, sizes that overflow).
_PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, AssertionError, LookupError),
    *(ArithmeticError, EOFError, RuntimeError, MemoryError, struct.error, zlib.error),
)

_MAGIC = {  # the formats that we accept, as Pillow names them, by their first bytes
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "AVIF": rb"....ftyp(avif|avis|mif1)",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"II\*\0|MM\0\*",
}
_UPRIGHT = {  # EXIF 2.32, tag 274
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 274
_GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_TRANSPARENT = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_COLOUR_MODES = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"}) | _TRANSPARENT | _GREY_16
_PROBE = np.stack(np.meshgrid(*[np.arange(0, 256, 51, dtype=np.uint8)] * 3), axis=-1).reshape(6, 36, 3)
_PROFILE_TOLERANCE = 2  # levels of 255: a profile that changes no colour by more is sRGB by another name


def decode(data: bytes, limits: DecodeLimits) -> DecodedPhoto:
    """Decode a photo: JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF of one frame -> `DecodedPhoto`.

    EXIF orientation is applied, an embedded ICC profile is converted to sRGB (a broken one is ignored),
    transparency is composited on white, 16-bit grey is scaled to 8 bits. A JPEG that carries further pictures
    (MPO, as many phones write it) gives its first. Of TIFF only what Pillow reads without libtiff is accepted
    (uncompressed, PackBits): few photos come otherwise, and libtiff writes what it finds broken to stderr.

    Raises DecodeError, and nothing else, whatever the bytes are.
    """
    if not data:
        raise DecodeError(Reject.EMPTY, "0 bytes")
    if len(data) > limits.max_bytes:
        raise DecodeError(Reject.TOO_MANY_BYTES, f"{len(data)} bytes, at most {limits.max_bytes}")
    format_ = sniff(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken metadata, and of large images, which _check refuses
        try:
            image = _open(data, format_)
            _check(image, limits)
            bits = _bits(image)
            pixels, alpha, profile = _to_srgb(image)
        except Image.DecompressionBombError as error:
            raise DecodeError(Reject.TOO_MANY_PIXELS, str(error)) from error
        except _PILLOW_ERRORS as error:
            raise DecodeError(_reject_reason(error), f"{type(error).__name__}: {error}") from error
    return DecodedPhoto(pixels, image.format or format_, alpha, profile, bits)


def sniff(data: bytes) -> str:
    """The image format by the first bytes, as Pillow names it. Raises DecodeError for any other format."""
    for format_, magic in _MAGIC.items():
        if re.match(magic, data, re.DOTALL) and (format_ != "AVIF" or features.check("avif")):
            return format_
    raise DecodeError(Reject.NOT_AN_IMAGE, f"begins with {data[:16]!r}")


def _open(data: bytes, format_: str) -> Image.Image:
    promised = int.from_bytes(data[4:8], "little") + 8 if format_ == "WEBP" else 0
    if promised > len(data):
        raise DecodeError(Reject.TRUNCATED, f"{len(data)} bytes of {promised}")
    try:
        return Image.open(io.BytesIO(data), formats=[format_])
    except UnidentifiedImageError as error:
        raise DecodeError(Reject.CORRUPT, f"begins like {format_}, but its header cannot be read") from error


def _check(image: Image.Image, limits: DecodeLimits) -> None:
    """Raise DecodeError for what the header alone shows; nothing is decoded yet."""
    width, height = image.size
    size = f"{width}x{height} pixels"
    if width * height > limits.max_pixels:
        raise DecodeError(Reject.TOO_MANY_PIXELS, f"{size}, at most {limits.max_pixels}")
    if min(width, height) < limits.min_side_px:
        raise DecodeError(Reject.TOO_SMALL, f"{size}, each side at least {limits.min_side_px}")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise DecodeError(Reject.ANIMATED, f"several frames in a {image.format}")
    if isinstance(image, ImageFile) and any(tile.codec_name == "libtiff" for tile in image.tile):
        raise DecodeError(Reject.NOT_AN_IMAGE, f"a TIFF compressed by {image.info.get('compression')}")
    if image.mode not in _COLOUR_MODES:
        raise DecodeError(Reject.NOT_AN_IMAGE, f"pixels of mode {image.mode} have no agreed colour")


def _bits(image: Image.Image) -> int:
    """Bits per channel, before the pixels are loaded: Pillow reads 16-bit colours as 8-bit ones."""
    raw_modes = str([tile.args for tile in image.tile]) if isinstance(image, ImageFile) else ""
    return 16 if image.mode in _GREY_16 or ";16" in raw_modes else 8


def _to_srgb(image: Image.Image) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, str]:
    """The pixels in sRGB, the alpha channel if any pixel is transparent, and the name of the profile, if used."""
    image.load()
    turned = upright(image)
    profile = image.info.get("icc_profile")
    opaque, alpha = _without_alpha(turned)
    srgb, profile_name = _by_profile(opaque, profile)
    return np.array(srgb if srgb.mode == "RGB" else srgb.convert("RGB")), alpha, profile_name


def upright(image: Image.Image) -> Image.Image:
    """The image turned by its EXIF orientation; read after loading, since the TIFF reader applies it itself then."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except _PILLOW_ERRORS:
        return image  # the metadata is broken, not the pixels
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _without_alpha(image: Image.Image) -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
    """The image in mode L, RGB or CMYK, on white where it is transparent, and its alpha, None if it is opaque."""
    if image.mode in _GREY_16:
        levels = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8)), None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = np.array(rgba.getchannel("A"))
        white = Image.new("RGBA", image.size, "white")
        on_white = Image.alpha_composite(white, rgba).convert("RGB")
        return on_white, None if alpha.min() == 255 else alpha
    if image.mode == "1":
        return image.convert("L"), None
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB"), None


def _by_profile(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """The image in sRGB by its embedded ICC profile, and the profile's name.

    The image itself, and no name, if there is no profile, or one that is invalid, does not fit the image or does not
    change its colours.
    """
    if not profile:
        return image, ""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        to_srgb = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        if image.mode == "RGB" and _is_neutral(to_srgb):
            return image, ""
        converted = ImageCms.applyTransform(image, to_srgb)
        return (image, "") if converted is None else (converted, _profile_name(source))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image, ""  # other programs ignore such a profile, too


def _profile_name(profile: ImageCms.ImageCmsProfile) -> str:
    try:
        name = ImageCms.getProfileDescription(profile)
    except ImageCms.PyCMSError:
        name = ""
    return " ".join(name.split()) or "without a name"


def _is_neutral(transform: ImageCms.ImageCmsTransform) -> bool:
    changed = ImageCms.applyTransform(Image.fromarray(_PROBE), transform)
    return int(np.abs(np.asarray(changed).astype(int) - _PROBE).max()) <= _PROFILE_TOLERANCE


def _reject_reason(error: BaseException) -> Reject:
    is_truncated = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return Reject.TRUNCATED if is_truncated else Reject.CORRUPT
