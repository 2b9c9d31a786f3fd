"""68 landmarks of a plain frontal face, for tests of geometry."""

import numpy as np
import torch
from torch import Tensor


def frontal_face(size_px: int) -> Tensor:
    """Landmarks (1, 68, 2) of an upright, symmetrical face in a square crop, float64."""
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.column_stack([0.5 + 0.28 * np.cos(angles), 0.48 + 0.4 * np.sin(angles)])
    brow = np.column_stack([np.linspace(0, 0.18, 5), [0, -0.02, -0.03, -0.02, -0.01]])
    bridge = np.column_stack([np.full(4, 0.5), np.linspace(0.46, 0.58, 4)])
    nostrils = np.column_stack([np.linspace(0.44, 0.56, 5), [0.6, 0.61, 0.62, 0.61, 0.6]])
    eye = _ellipse(6, 0.05, 0.02)
    lips = np.concatenate([_ellipse(12, 0.1, 0.04), _ellipse(8, 0.08, 0.01)])
    parts = [
        jaw,
        _at(brow, 0.26, 0.4),
        _at(brow, 0.56, 0.4),
        bridge,
        nostrils,
        _at(eye, 0.36, 0.46),
        _at(eye, 0.64, 0.46),
        _at(lips, 0.5, 0.72),
    ]
    return torch.tensor(np.concatenate(parts) * size_px)[None]


def _at(part: np.ndarray, x: float, y: float) -> np.ndarray:
    return part + np.array([x, y])


def _ellipse(count: int, across: float, down: float) -> np.ndarray:
    angles = np.pi + np.arange(count) * 2 * np.pi / count
    return np.column_stack([across * np.cos(angles), down * np.sin(angles)])
