"""Relight a face: low-order shading of its surface, brightness, warmth."""

import math

import cv2
import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.synthesise.field import NODES
from facerefs.stages.synthesise.parameters import Synthesis

_MIN_SHADING, _MAX_SHADING = 0.5, 1.7
_SMOOTH_NODES = 2.5  # blur of the surface before shading: its small folds are not those of a real face
_WARMTH = np.array([0.12, 0.0, -0.15])  # change of red, green, blue
_HEAD_MM = (28.0, 60.0)  # range of heights over which the shading of the head fades in


def shading(height: Float64s, synthesis: Synthesis, size_px: int, px_per_mm: float) -> Float64s:
    """Brightness factors (NODES, NODES) of an added light; 1 where the surface faces the camera or is not the head.

    height: of the surface towards the camera, in px, at the nodes. By Lambert's law; surfaces that face away get
    darker.
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
    factors: Float64s = (1 + synthesis.light_strength * head * lit).clip(_MIN_SHADING, _MAX_SHADING)
    return factors


def exposure(synthesis: Synthesis) -> Float64s:
    """Factors (3,) of red, green and blue for the whole photo."""
    return np.asarray(synthesis.gain * (1 + synthesis.warmth * _WARMTH), np.float64)


def apply_brightness(pixels: Float64s, factors: Float64s) -> Float64s:
    """Pixels, 0 to 1, times factors; bright values approach white and are not clipped."""
    return np.asarray(pixels * factors / (1 + (factors - 1).clip(0) * pixels * pixels), np.float64)
