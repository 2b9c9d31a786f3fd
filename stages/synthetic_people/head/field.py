"""The grid of a head surface (radius from the vertical axis over height and angle), and functions on it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""An array of float32, unless stated otherwise."""

TOP_MM, BOTTOM_MM = 175.0, -225.0
COLUMNS, ROWS = 561, 401
THETA = np.linspace(-np.pi, np.pi, COLUMNS, dtype=np.float32)[None, :]
HEIGHT = np.linspace(TOP_MM, BOTTOM_MM, ROWS, dtype=np.float32)[:, None]


def smoothstep(low: float | Array, high: float | Array, value: Array) -> Array:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def sample_grid(grid: Array, theta: Array, height: Array) -> Array:
    """Bilinear values of a grid (ROWS, COLUMNS[, C]) at angles from -pi to pi and heights in mm."""
    column = (theta + np.float32(np.pi)) * np.float32((COLUMNS - 1) / (2 * np.pi))
    row = (np.float32(TOP_MM) - height) * np.float32((ROWS - 1) / (TOP_MM - BOTTOM_MM))
    return cv2.remap(grid, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def polar(x: Array, z: Array) -> tuple[Array, Array]:
    """Distance from the axis, and angle from -pi to pi, 0 in front and positive to the right of the photo."""
    rho, turned = cv2.cartToPolar(-z, -x)
    return rho, turned - np.float32(np.pi)


def depth_at(radius: Array, x: Array, y: Array) -> Array:
    """Depth z in mm of the front surface at frontal places (x, y) in mm, by fixed-point iteration."""
    x, y = np.atleast_2d(x).astype(np.float32), np.atleast_2d(y).astype(np.float32)
    z = np.full_like(x, 60.0)
    for _ in range(12):
        _, theta = polar(x, z)
        rho = sample_grid(radius, theta, y)
        z = 0.5 * z + 0.5 * np.sqrt(np.maximum(rho * rho - x * x, 25.0))
    return z


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]) -> Array:
    """Smooth noise of unit variance, (rows, columns), with features of `cell` = (rows, columns) pixels."""
    coarse = rng.standard_normal(
        (max(2, round(shape[0] / cell[0])) + 1, max(2, round(shape[1] / cell[1])) + 1)
    )
    fine = cv2.resize(coarse.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine / (fine.std() + 1e-6), np.float32)
