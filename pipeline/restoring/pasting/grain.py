"""Give a restored face the grain of the photo."""

import math

import numpy as np

from facerefs.schemas.arrays import Float32s

_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NORM = 6.0  # the kernel's root of the sum of squares
_TO_SIGMA = 1.4826  # from the median of absolute values to a standard deviation
_MOST = 20.0  # levels; more is no grain
_INSIDE = 0.5  # weight of the mask from which a pixel counts as face
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def grain_of(pixels: Float32s, mask: Float32s) -> float:
    """The standard deviation of the noise of the masked part, in levels of 255.

    pixels: (H, W, 3) in 0 to 255; mask: (H, W). J. Immerkaer, "Fast noise variance estimation" (1996), with the
    median instead of the mean, so that edges of the face do not count as noise. 0 if the part is too small to tell.
    """
    import cv2

    inside = mask > _INSIDE
    if inside.sum() < 64:  # 8x8 px
        return 0.0
    luma = np.asarray(pixels, np.float32) @ _LUMA
    response = np.abs(np.asarray(cv2.filter2D(luma, cv2.CV_32F, _KERNEL)))[inside]
    return float(np.median(response)) * _TO_SIGMA / _NORM


def match_grain(patch: Float32s, before: Float32s, mask: Float32s, seed: int) -> tuple[Float32s, float]:
    """The patch (H, W, 3) with as much grain as the photo has there, and how much was added in levels of 255.

    Both in 0 to 255, in pixels of the photo. Noise is only added: a patch that is as noisy already stays as it is.
    """
    lacking = grain_of(before, mask) ** 2 - grain_of(patch, mask) ** 2
    if lacking <= 1:  # one level is not seen, and resampling alone takes 0.6
        return patch, 0.0
    sigma = min(_MOST, math.sqrt(lacking))
    noise = np.random.default_rng(seed).normal(0, sigma, patch.shape[:2]).astype(np.float32)
    return np.asarray(patch + noise[..., None], np.float32), sigma
