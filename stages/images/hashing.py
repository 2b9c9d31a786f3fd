"""Perceptual hashes: bits that stay almost the same when a photo is resized, re-encoded or toned.

The pHash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), as
imagehash defines it: which of the 8x8 lowest unnormalised DCT-II coefficients of the 32x32 grey image exceed
their median. Two choices are ours. The median is that of the 63 AC coefficients, so that brightness does not
move it; the DC bit stays, as elsewhere, and is 1 but for a black image. And the transform is in integers, so
that every machine gives the same hash for the same pixels, and a flat image has AC coefficients of 0.

Different portraits with the same framing may have nearly the same 64-bit hash. The detail hash, the signs of the 16x16
lowest coefficients, tells copies from those; the hash of the mirror image follows from it by flipping bits.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE_PX = 32
_FREQUENCIES = 8
_DETAIL_FREQUENCIES = 16
_GAP = 3.0  # large images are box-averaged to at least this many times 32x32 before the Lanczos filter

_FREQUENCY = np.arange(_DETAIL_FREQUENCIES)
_COSINES: npt.NDArray[np.int64] = np.rint(
    2**14 * np.cos(np.pi * _FREQUENCY[:, None] * (2 * np.arange(_SIDE_PX) + 1) / (2 * _SIDE_PX))
).astype(np.int64)
MIRRORED_DETAIL = bytes([0b01010101] * 32)
"""The bits of a detail hash that are flipped in the hash of the mirror image."""

_MIRROR_SIGNS = np.where(
    _FREQUENCY[:_FREQUENCIES] % 2 == 1, -1, 1
)  # a mirror image negates the odd horizontal frequencies


def perceptual_hashes(image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Hashes of an image and of its left-right mirror image, for the cost of one: 64 bits each, in [0, 2**64).

    image: uint8 (H, W) grey or (H, W, 3) RGB. Raises ValueError for any other, and for an image without pixels.
    """
    coefficients = _coefficients(image)
    return _bits(coefficients), _bits(coefficients * _MIRROR_SIGNS)


def detail_hash(image: npt.NDArray[np.uint8]) -> bytes:
    """Hash an image in more detail -> 32 bytes, one bit per coefficient, row by row. As `perceptual_hashes`."""
    return np.packbits(_coefficients(image, _DETAIL_FREQUENCIES).ravel() > 0).tobytes()


def _coefficients(image: npt.NDArray[np.uint8], frequencies: int = _FREQUENCIES) -> npt.NDArray[np.int64]:
    if image.dtype != np.uint8 or image.size == 0 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(f"expected uint8 (H, W) or (H, W, 3), got {image.dtype} {image.shape}")
    grey = Image.fromarray(image).convert("L")
    small = grey.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=_GAP)
    pixels = np.asarray(small, dtype=np.int64)
    cosines = _COSINES[:frequencies]
    return cosines @ pixels @ cosines.T


def _bits(coefficients: npt.NDArray[np.int64]) -> int:
    flat = coefficients.ravel()
    median = int(np.median(flat[1:]))  # of an odd number of whole numbers: exact
    return int.from_bytes(np.packbits(flat > median).tobytes(), "big")
