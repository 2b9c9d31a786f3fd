"""Another light on a face: low-order shading from its surface, brightness, warmth."""

import math

import cv2
import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.synthesise.field import NODES
from facerefs.stages.synthesise.parameters import Synthesis

_LEAST, _MOST = 0.5, 1.7  # of shading
_SMOOTH_NODES = 2.5  # of the surface that is lit: a mean head has no business with the folds of this one
_WARMTH = np.array([0.12, 0.0, -0.15])  # red up and blue down
_HEAD_MM = (28.0, 60.0)  # height over which the photo becomes head


def shading(height: Float64s, synthesis: Synthesis, size_px: int, px_per_mm: float) -> Float64s:
    """Brightness factors (NODES, NODES) of an added light, 1 where a surface faces the camera or is no head.

    height: of the surface towards the camera, px, at the nodes. Lambert's law; what faces away is darkened.
    """
    smooth = cv2.GaussianBlur(height, (0, 0), _SMOOTH_NODES, borderType=cv2.BORDER_REPLICATE)
    down, right = np.gradient(np.asarray(smooth, np.float64), size_px / NODES)
    azimuth, elevation = (
        math.radians(synthesis.light_azimuth_deg),
        math.radians(synthesis.light_elevation_deg),
    )
    towards = math.cos(azimuth) * math.cos(elevation)
    lit = -right * math.sin(azimuth) * math.cos(elevation) + down * math.sin(elevation) + towards
    lit = lit / np.sqrt(1 + right**2 + down**2) - towards
    low, high = _HEAD_MM
    head = np.asarray((smooth / px_per_mm - low) / (high - low), np.float64).clip(0, 1)
    factors: Float64s = (1 + synthesis.light_strength * head * lit).clip(_LEAST, _MOST)
    return factors


def exposure(synthesis: Synthesis) -> Float64s:
    """Factors (3,) of red, green and blue over the whole photo."""
    return np.asarray(synthesis.gain * (1 + synthesis.warmth * _WARMTH), np.float64)


def brightened(pixels: Float64s, factors: Float64s) -> Float64s:
    """Pixels, 0 to 1, times factors; brighter ones approach white and are not cut off."""
    return np.asarray(pixels * factors / (1 + (factors - 1).clip(0) * pixels * pixels), np.float64)
