"""A published degraded image as the file that a sample holds."""

import hashlib

from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import DEGRADED, MAX_IMAGE_BYTES, MAX_SIDE_PX
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode
from facerefs.stages.images.encode import encode_pixels

_LIMITS = DecodeLimits(max_bytes=MAX_IMAGE_BYTES, max_pixels=MAX_SIDE_PX**2, min_side_px=1)


class DegradedError(Exception):
    """Why a published degraded image cannot be used, and the reject reason."""

    def __init__(self, reject: Reject, detail: str) -> None:
        super().__init__(detail)
        self.reject = reject


def given_file(data: bytes | None, sha256: str, side_px: int) -> tuple[str, bytes]:
    """The name and the bytes of the degraded face: a PNG with the pixels of the image.

    data: the published file, None if it could not be read. sha256: of it when the list was read. side_px: of the ground
    truth; the image must be square, and as large or a whole number of times smaller, so that it is known where each of
    its pixels belongs. Raises DegradedError.
    """
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        raise DegradedError(Reject.CHANGED, "the published degraded image is gone or has changed")
    try:
        image = decode(data, _LIMITS)
    except DecodeError as error:
        raise DegradedError(Reject.BAD_DEGRADED, f"{error.reject}: {error.detail}") from None
    if image.bits > 8 or image.alpha is not None or image.profile:
        what = "16 bits a channel, transparency or a colour profile"
        raise DegradedError(Reject.BAD_DEGRADED, f"it has {what}, and would be converted")
    if not fits(image.width, image.height, side_px):
        size = f"{image.width} x {image.height} px"
        why = f"it has {size}; a square of {side_px} px or a whole number of times fewer is wanted"
        raise DegradedError(Reject.BAD_DEGRADED, why)
    return DEGRADED.name("png"), encode_pixels(image.pixels, "png", 100)


def fits(width: int, height: int, side_px: int) -> bool:
    """Whether a degraded image of this size is square, and as large as the ground truth or a whole number smaller."""
    return width == height and 0 < width <= side_px and side_px % width == 0
