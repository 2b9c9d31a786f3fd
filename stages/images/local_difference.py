"""Where two photos differ: small grey versions compared place by place, after their tones are matched.

Hashes of whole photos say little about a small place. Two people before one patterned wall have nearly the same hash;
a copy of a photo, however it was resized, re-encoded or toned, differs nowhere.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from facerefs.schemas.arrays import Float32s

THUMBNAIL_PX = 24

_GAP = 3.0  # as for the hashes: box-averaged to at least this many times the size before the Lanczos filter
_WINDOW_PX = 3
_MOST_CONTRAST = 50.0  # grey levels: before a wall of black and white a person would hardly count
_PAIRS_PER_BLOCK = 1024


def thumbnail(image: npt.NDArray[np.uint8]) -> bytes:
    """The grey image at 24 x 24 pixels, 576 bytes, row by row. image: uint8 (H, W, 3) RGB."""
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    grey = Image.fromarray(image).convert("L")
    return grey.resize(size, Image.Resampling.LANCZOS, reducing_gap=_GAP).tobytes()


def local_difference(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Float32s:
    """How much the two thumbnails of each pair differ where they differ most, as a share of the other's contrast.

    one, other: uint8 (N, 24, 24) -> float32 (N,): the mean difference within the worst window of 3 x 3 pixels, over
    the standard deviation of the other, or over 50 where that is less. The tones of one are first matched to the
    other's by a cubic curve. Real photos resized, re-encoded or grey: mostly below 0.08; two people before one wall:
    from 0.13 on.
    """
    starts = range(0, len(one), _PAIRS_PER_BLOCK)
    blocks = [_block(one[at : at + _PAIRS_PER_BLOCK], other[at : at + _PAIRS_PER_BLOCK]) for at in starts]
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _block(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Float32s:
    a, b = (thumbnails.reshape(len(one), -1).astype(np.float64) for thumbnails in (one, other))
    a = (a - a.mean(axis=1, keepdims=True)) / np.maximum(a.std(axis=1, keepdims=True), 1)
    powers = np.stack([a**0, a, a**2, a**3], axis=1)
    # A flat thumbnail has no curve of its own: the ridge makes it the other's mean.
    normal = powers @ powers.transpose(0, 2, 1) + 1e-3 * np.eye(4)
    curve = np.linalg.solve(normal, powers @ b[:, :, None])
    contrast = np.clip(b.std(axis=1, keepdims=True), 1, _MOST_CONTRAST)
    apart = np.abs(b - (curve.transpose(0, 2, 1) @ powers)[:, 0]) / contrast
    window = (_WINDOW_PX, _WINDOW_PX)
    squares = apart.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)
    windows = np.lib.stride_tricks.sliding_window_view(squares, window, axis=(1, 2))
    return np.asarray(windows.mean(axis=(3, 4)).max(axis=(1, 2)), np.float32)
