"""Interpolate scattered points by a thin-plate spline, on a coarse grid over the photo."""

import cv2
import numpy as np

from facerefs.schemas.arrays import Float64s

NODES = 64
"""Nodes along each side of the photo: the centres of as many squares."""


_SMOOTHING = 1e-5  # choice: points a few pixels apart, such as those of closed lips, are fitted less exactly


def spline_at_nodes(points: Float64s, values: Float64s, size_px: int) -> Float64s:
    """The thin-plate spline through values (n, c) at points (n, 2), evaluated at the nodes: (NODES, NODES, c).

    Bookstein, "Principal warps", 1989: of all functions through the points the one that bends least. In double
    precision, so that processors differ by about 1e-12 only. Raises ValueError if points coincide.
    """
    at = (np.arange(NODES) + 0.5) * size_px / NODES - 0.5
    nodes = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    count = len(points)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _bending(points, points, size_px) + _SMOOTHING * np.eye(count)
    system[:count, count:] = _affine(points, size_px)
    system[count:, :count] = system[:count, count:].T
    try:
        weights = np.linalg.solve(system, np.vstack([values, np.zeros((3, values.shape[1]))]))
    except np.linalg.LinAlgError:
        raise ValueError("the landmarks do not span a face") from None
    found = _bending(nodes, points, size_px) @ weights[:count] + _affine(nodes, size_px) @ weights[count:]
    return np.asarray(found.reshape(NODES, NODES, -1), np.float64)


def upsample(field: Float64s, size_px: int) -> Float64s:
    """A field on a square grid (n, n[, c]) at all pixels: (size_px, size_px[, c]), by cubic interpolation."""
    return np.asarray(cv2.resize(field, (size_px, size_px), interpolation=cv2.INTER_CUBIC), np.float64)


def _bending(a: Float64s, b: Float64s, size_px: int) -> Float64s:
    """The spline kernel r^2 log r^2 (len(a), len(b)), with distances r in sides of the photo."""
    squared = ((a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2) / size_px**2
    return np.asarray(squared * np.log(np.maximum(squared, 1e-30)), np.float64)


def _affine(points: Float64s, size_px: int) -> Float64s:
    return np.column_stack([np.ones(len(points)), points / size_px])
