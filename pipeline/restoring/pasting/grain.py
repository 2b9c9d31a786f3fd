"""Give a restored face the grain of the photo."""

import math

import numpy as np

from facerefs.schemas.arrays import Float32s

_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NORM = 6.0  # the kernel's root of the sum of squares
_QUANTILE = 0.25  # of absolute responses: flat parts count, texture does not
_TO_SIGMA = 1 / 0.3186  # from that quantile to a standard deviation, for normal noise
_BLOCKS = (4, 2, 1)
_UNSEEN = 1.0  # levels; resampling alone takes 0.6 of the finest grain
_MOST = 20.0  # levels; more is no grain
_INSIDE = 0.5  # weight of the mask from which a pixel counts as face
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def grain_of(pixels: Float32s, mask: Float32s) -> float:
    """The standard deviation of the noise of the masked part, in levels of 255.

    pixels: (H, W, 3) in 0 to 255; mask: (H, W). J. Immerkaer, "Fast noise variance estimation" (1996), with a low
    quantile instead of the mean, so that edges and texture do not count as noise. 0 if the part is too small to tell.
    """
    import cv2

    inside = mask > _INSIDE
    if inside.sum() < 64:  # 8x8 px
        return 0.0
    luma = np.asarray(pixels, np.float32) @ _LUMA
    response = np.abs(np.asarray(cv2.filter2D(luma, cv2.CV_32F, _KERNEL)))[inside]
    return float(np.quantile(response, _QUANTILE)) * _TO_SIGMA / _NORM


def match_grain(patch: Float32s, before: Float32s, mask: Float32s, seed: int) -> tuple[Float32s, float]:
    """The patch (H, W, 3) with as much grain as the photo has there, and how much was added in levels of 255.

    Both in 0 to 255, in pixels of the photo. Grain is compared in pixels and in blocks of 2 and 4, since that of an
    enlarged or compressed photo is coarse; that of the face counts only as far as its surroundings have it. It is only
    added: a patch that has as much already stays as it is. Sharp hair all around a face is still taken for grain.
    """
    rng = np.random.default_rng(seed)
    added = 0.0
    for block in _BLOCKS:
        here = _reduced(mask, block)
        photo = _reduced(before, block)
        wanted = grain_of(photo, here)
        if (mask == 0).any():
            wanted = min(
                wanted, grain_of(photo, 1 - here)
            )  # skin has texture that the surroundings may not have
        own = grain_of(_reduced(patch, block), here)
        lacking = wanted**2 - own**2
        if lacking <= _UNSEEN**2:
            continue
        sigma = min(_MOST, math.sqrt(lacking))
        noise = rng.normal(0, sigma, here.shape).astype(np.float32)
        patch = np.asarray(patch + _enlarged(noise, patch.shape[1], patch.shape[0])[..., None], np.float32)
        added += sigma**2
    return patch, math.sqrt(added)


def _reduced(pixels: Float32s, block: int) -> Float32s:
    import cv2

    height, width = pixels.shape[:2]
    size = max(1, width // block), max(1, height // block)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(noise: Float32s, width: int, height: int) -> Float32s:
    import cv2

    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
