"""Give skin a fine texture of its own: noise that is as strong as the texture which it replaces."""

import cv2
import numpy as np

from facerefs.schemas.arrays import Float64s

_LUMA = np.array([0.299, 0.587, 0.114])
_FINE = 2.5 / 512  # sigma that separates fine texture from the rest, in sides of the photo
_AROUND = 2.0  # sigmas over which the strength of the texture is measured
_EDGE = 12 / 255  # strength from which on detail is hair, a mole or a contour, and stays


def new_grain(pixels: Float64s, mask: Float64s, grain: float, seed: int) -> Float64s:
    """Pixels (S, S, 3), 0 to 1, in which a share `grain` of the fine texture within `mask` (S, S) is noise.

    The sum of both has the strength that the texture had in that place. So a network cannot restore the target by
    copying these pixels, as it cannot from another photo.
    """
    size_px = pixels.shape[0]
    sigma_px = max(0.5, _FINE * size_px)
    luma = pixels @ _LUMA
    fine = luma - _blurred(luma, sigma_px)
    strength = np.sqrt(_blurred(fine * fine, _AROUND * sigma_px))
    noise = _noise(seed, size_px)
    noise -= _blurred(noise, sigma_px)
    noise /= noise.std()
    squared = (strength / _EDGE) ** 2
    share = grain * mask / (1 + squared * squared)
    kept = 1 - share
    changed: Float64s = pixels + (np.sqrt(1 - kept * kept) * strength * noise - share * fine)[..., None]
    return changed.clip(0, 1)


def _noise(seed: int, size_px: int) -> Float64s:
    """Noise (size_px, size_px), nearly normal: sums of four 16-bit numbers, which are the same on every machine."""
    words = np.random.Philox(key=seed).random_raw(size_px * size_px)
    sums = words.view("<u2").reshape(size_px, size_px, 4).sum(-1, dtype=np.int64)
    return np.asarray(sums - 2 * 65_535, np.float64)


def _blurred(field: Float64s, sigma_px: float) -> Float64s:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float64)
