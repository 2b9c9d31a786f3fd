"""Age in the texture of the skin: its fine detail made stronger or weaker."""

import cv2
import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.synthesise.field import enlarged

_LUMA = np.array([0.299, 0.587, 0.114])
_MASK_SIDE = 128
_BARE = [
    slice(17, 22),
    slice(22, 27),
    slice(36, 42),
    slice(42, 48),
    slice(48, 60),
]  # brows, eyes, mouth: no skin
_AROUND = 5  # mask pixels that are left free around them, and over which the mask fades
_RADIUS = 1 / 60  # of the guided filter, in sides of the photo
_EDGE = 18 / 255  # contrast from which on something is an edge, not texture
_ROUGHER, _SMOOTHER = 0.8, 0.75  # by how much detail is gained or lost at most
_WRINKLE = 1.2  # dark detail gains that much more, as wrinkles do
_YELLOWER = np.array([0.0, -0.01, -0.05])  # of the colours


def skin_mask(skin: Float64s, size_px: int) -> Float64s:
    """Where skin is, 0 to 1, (size_px, size_px). skin: points (n, 2) of a face, landmarks first."""
    mask = np.zeros((_MASK_SIDE, _MASK_SIDE), np.uint8)
    at = np.rint(skin * _MASK_SIDE / size_px).clip(-_MASK_SIDE, 2 * _MASK_SIDE).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(at), 1)
    for part in _BARE:
        cv2.fillConvexPoly(mask, cv2.convexHull(at[part]), 0)
        cv2.polylines(mask, [at[part]], False, 0, _AROUND)
    soft = cv2.blur(mask.astype(np.float64), (_AROUND, _AROUND), borderType=cv2.BORDER_REPLICATE)
    return enlarged(np.asarray(soft, np.float64), size_px).clip(0, 1)


def aged(pixels: Float64s, mask: Float64s, ageing: float) -> Float64s:
    """Pixels (S, S, 3), 0 to 1, with rougher (ageing up to 1) or smoother skin (down to -1) where `mask` (S, S) says.

    Detail is what a guided filter (He et al. 2013, with the luma as its own guide) takes away: it leaves edges alone.
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
