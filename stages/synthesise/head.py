"""A head in three dimensions, laid over the 68 landmarks of a face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float64s
from facerefs.stages.synthesise.mean_head import NORMALS, SURFACE

_RIGID = [8, 17, 21, 22, 26, 27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45, 48, 54]  # that the pose is fitted to
_LEAST_SPREAD = 1e-3  # of a face's projection: its smaller stretch by its larger one
_NEAR = 1e-3  # keeps a weight finite where a point lies on a landmark
_EDGE_ON = 0.4  # cosine between the line of sight and the normal of a point, from which on it is seen
# How far ahead the landmarks of the contour are at least, and how much further where a cheek is what one sees there.
_CONTOUR_MM, _CHEEK_MM = 25.0, 40.0
# Where a head with hair ends in a photo, from jaw to jaw over the top (choice): half axes about the projected middle of
# the head, and how far away.
_OUTLINE_MM = np.array([95.0, 135.0, -10.0])
_ALONG_OUTLINE = np.radians(np.linspace(55, 305, 16))  # from straight down


@dataclass(frozen=True)
class Head:
    """A head in the pixels of its photo, right, down and away from the camera, the depth from the plane of the ears.

    `skin` (n, 3) are points on its surface, the 68 landmarks first; `outline` (m, 3) lie around it. `rotation` (3, 3)
    took the mean head to it, `px_per_mm` is its scale.
    """

    skin: Float64s
    outline: Float64s
    rotation: Float64s
    px_per_mm: float

    def seen(self) -> NDArray[np.bool_]:
        """Which points of the skin (n,) face the camera; landmarks count as such."""
        seen: NDArray[np.bool_] = NORMALS @ self.rotation[2] < -_EDGE_ON
        seen[:68] = True
        return seen


def head_over(landmarks: Float64s) -> Head:
    """The mean head over landmarks (68, 2): posed by scaled orthography, and each landmark where it is.

    Points without a landmark move with their neighbours. Raises ValueError where landmarks do not span a face.
    """
    rotation, scale = _pose(landmarks)
    middle = rotation @ SURFACE[_RIGID].mean(0) * scale
    shift = np.array([*(landmarks[_RIGID].mean(0) - middle[:2]), 0.0])
    skin = SURFACE @ rotation.T * scale + shift
    rest = landmarks - skin[:68, :2]
    gaps = ((skin[68:, None, :2] - skin[None, :68, :2]) ** 2).sum(-1) / scale**2
    weights = 1 / (gaps + _NEAR) ** 2
    skin[68:, :2] += weights @ rest / weights.sum(1, keepdims=True)
    skin[:68, :2] = landmarks
    ahead_mm = _CONTOUR_MM + _CHEEK_MM * np.maximum(0, np.sign(SURFACE[:17, 0]) * rotation[2, 0])
    skin[:17, 2] = np.minimum(skin[:17, 2], -ahead_mm * scale)
    around = np.stack([np.sin(_ALONG_OUTLINE), np.cos(_ALONG_OUTLINE), np.ones_like(_ALONG_OUTLINE)], 1)
    return Head(skin, around * _OUTLINE_MM * scale + shift, rotation, scale)


def _pose(landmarks: Float64s) -> tuple[Float64s, float]:
    """Rotation (3, 3) and px per mm: DeMenthon and Davis, IJCV 1995, as `facerefs.stages.faces.geometry.pose`.

    By points that expressions hardly move.
    """
    model, seen = SURFACE[_RIGID], landmarks[_RIGID]
    affine = np.linalg.lstsq(model - model.mean(0), seen - seen.mean(0), rcond=None)[0].T
    left, stretch, right = np.linalg.svd(affine, full_matrices=False)
    if not stretch[1] > _LEAST_SPREAD * stretch[0] > 0:
        raise ValueError("the landmarks do not span a face")
    across, down = left @ right
    return np.stack([across, down, np.cross(across, down)]), float(stretch.mean())
