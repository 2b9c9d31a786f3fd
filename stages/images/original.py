"""A photo's own pixels: as the file has them, with its bits and its colours, turned upright."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facerefs.stages.images.decode import DecodedPhoto, sniff, upright

_EXIF_ORIENTATION = 274
_RGB_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "RGBa"})
_TURNS: dict[int, tuple[int, bool]] = {  # EXIF 2.32: quarters to the left, then mirrored left to right
    2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False),
}  # fmt: skip
_ROUNDED = 1  # level of 8 bits, between readers that reduce 16 bits in different ways

Levels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class OriginalPhoto:
    """Pixels (H, W, 3) RGB and alpha (H, W), None if it is opaque, uint8 or uint16; upright.

    profile: the ICC profile of the pixels; None means sRGB.
    """

    pixels: Levels
    alpha: Levels | None
    profile: bytes | None


def original_of(data: bytes, decoded: DecodedPhoto) -> OriginalPhoto:
    """The own pixels of a photo that `decode` accepted.

    Of colours that are not RGB (CMYK, grey with a profile) those of `decoded`, in sRGB. 16 bits are kept where OpenCV
    reads the same picture as Pillow, else 8 are used.
    """
    with Image.open(io.BytesIO(data), formats=[sniff(data)]) as image:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        image.load()
        mode, turned = image.mode, upright(image)
        profile = image.info.get("icc_profile") if decoded.profile else None
        if mode == "CMYK" or (profile and mode not in _RGB_MODES):
            return OriginalPhoto(decoded.pixels, decoded.alpha, None)
        if decoded.bits > 8:
            deep = _deep(data, orientation if isinstance(orientation, int) else 1)
            if deep is not None and _is_same(deep, decoded, turned):
                return OriginalPhoto(*deep, profile)
        if decoded.alpha is None:
            pixels = np.array(turned.convert("RGB")) if mode in _RGB_MODES else decoded.pixels
            return OriginalPhoto(pixels, None, profile)
        rgba = np.array(turned.convert("RGBA"))
        return OriginalPhoto(np.ascontiguousarray(rgba[..., :3]), rgba[..., 3].copy(), profile)


def _deep(data: bytes, orientation: int) -> tuple[Levels, Levels | None] | None:
    """RGB and alpha in 16 bits, upright; None if OpenCV reads none."""
    import cv2

    try:
        read: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if read is None or read.dtype != np.uint16:
        return None
    if read.ndim == 2:
        read = np.repeat(read[..., None], 3, axis=2)
    quarters, mirrored = _TURNS.get(orientation, (0, False))
    turned = np.rot90(read, quarters)
    turned = turned[:, ::-1] if mirrored else turned
    alpha = np.ascontiguousarray(turned[..., 3]) if turned.shape[2] == 4 else None
    opaque = alpha is None or int(alpha.min()) == np.iinfo(np.uint16).max
    return np.ascontiguousarray(turned[..., 2::-1]), None if opaque else alpha


def _is_same(deep: tuple[Levels, Levels | None], decoded: DecodedPhoto, image: Image.Image) -> bool:
    pixels, alpha = deep
    if pixels.shape != decoded.pixels.shape or (alpha is None) != (decoded.alpha is None):
        return False
    shown = decoded.pixels if image.mode.startswith("I") else np.asarray(image.convert("RGBA"))[..., :3]
    return int(np.abs((pixels >> 8).astype(np.int16) - shown).max()) <= _ROUNDED
