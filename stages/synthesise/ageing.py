"""Change the age of skin: make its fine texture stronger or weaker."""

import cv2
import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.synthesise.field import upsample

_LUMA = np.array([0.299, 0.587, 0.114])
_MASK_SIDE = 128
_BARE = [
    slice(17, 22),
    slice(22, 27),
    slice(36, 42),
    slice(42, 48),
    slice(48, 60),
]  # landmarks of brows, eyes and mouth, which are not skin
_AROUND = 5  # mask pixels around them that are left out, and over which the mask fades
_RADIUS = 1 / 60  # of the guided filter, in sides of the photo
_EDGE = 18 / 255  # contrast from which on a change is an edge, not texture
_ROUGHER, _SMOOTHER = 0.8, 0.75  # maximum gain and loss of detail
_WRINKLE = 1.2  # extra gain of dark detail, as in wrinkles
_YELLOWER = np.array([0.0, -0.01, -0.05])  # change of the colours (red, green, blue)


def skin_mask(skin: Float64s, size_px: int) -> Float64s:
    """The mask of skin (size_px, size_px), 0 to 1. skin: points (n, 2) of a face, landmarks first."""
    mask = np.zeros((_MASK_SIDE, _MASK_SIDE), np.uint8)
    at = np.rint(skin * _MASK_SIDE / size_px).clip(-_MASK_SIDE, 2 * _MASK_SIDE).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(at), 1)
    for part in _BARE:
        cv2.fillConvexPoly(mask, cv2.convexHull(at[part]), 0)
        cv2.polylines(mask, [at[part]], False, 0, _AROUND)
    soft = cv2.blur(mask.astype(np.float64), (_AROUND, _AROUND), borderType=cv2.BORDER_REPLICATE)
    return upsample(np.asarray(soft, np.float64), size_px).clip(0, 1)


def age_skin(pixels: Float64s, mask: Float64s, ageing: float) -> Float64s:
    """Pixels (S, S, 3), 0 to 1, with rougher (ageing up to 1) or smoother skin (down to -1) within `mask` (S, S).

    Detail is what a guided filter (He et al. 2013, guided by the luma itself) removes: the filter keeps edges.
    """
    luma = pixels @ _LUMA
    detail = luma - _guided(luma, max(1, round(luma.shape[0] * _RADIUS)))
    if ageing > 0:
        more = np.where(detail < 0, _WRINKLE, 1) * (_ROUGHER * ageing) * detail
    else:
        more = _SMOOTHER * ageing * detail
    mask = mask[..., None]
    changed: Float64s = pixels * (1 + ageing * mask * _YELLOWER) + mask * more[..., None]
    return changed.clip(0, 1)


def _guided(luma: Float64s, radius: int) -> Float64s:
    side = 2 * radius + 1

    def mean(field: Float64s) -> Float64s:
        return np.asarray(cv2.blur(field, (side, side), borderType=cv2.BORDER_REFLECT), np.float64)

    middle = mean(luma)
    variance = (mean(luma * luma) - middle * middle).clip(0)
    share = variance / (variance + _EDGE**2)
    found: Float64s = mean(share) * luma + mean((1 - share) * middle)
    return found
