"""A 3D head model fitted to the 68 landmarks of a face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float64s
from facerefs.stages.synthesise.mean_head import NORMALS, SURFACE

_RIGID = [
    8,
    17,
    21,
    22,
    26,
    27,
    28,
    29,
    30,
    31,
    33,
    35,
    36,
    39,
    42,
    45,
    48,
    54,
]  # landmarks that the pose is fitted to
_MIN_SPREAD = 1e-3  # of a face's projection: its smaller singular value by its larger one
_NEAR = 1e-3  # keeps a weight finite where a point is at a landmark
_EDGE_ON = 0.4  # minimum cosine between line of sight and normal of a visible point
# Minimum depth of the contour landmarks in front of the ears, and the extra depth where the contour is on a cheek.
_CONTOUR_MM, _CHEEK_MM = 25.0, 40.0
# The outline of a head with hair, from jaw to jaw over the top (choice): half axes about the projected centre of the
# head, and its depth.
_OUTLINE_MM = np.array([95.0, 135.0, -10.0])
_ALONG_OUTLINE = np.radians(np.linspace(55, 305, 16))  # from straight down


@dataclass(frozen=True)
class PosedHead:
    """A head in pixels of its photo: x right, y down, z away from the camera, measured from the plane of the ears.

    skin: points (n, 3) on its surface, the 68 landmarks first. outline: points (m, 3) around it. rotation (3, 3) and
    px_per_mm: the pose and the scale of the mean head.
    """

    skin: Float64s
    outline: Float64s
    rotation: Float64s
    px_per_mm: float

    def visible(self) -> NDArray[np.bool_]:
        """Whether each point of the skin (n,) faces the camera; landmarks always count as visible."""
        visible: NDArray[np.bool_] = NORMALS @ self.rotation[2] < -_EDGE_ON
        visible[:68] = True
        return visible


def fit_head(landmarks: Float64s) -> PosedHead:
    """The mean head fitted to landmarks (68, 2): posed by scaled orthography, then each landmark moved to its place.

    Other points move with their neighbours. Raises ValueError if the landmarks do not span a face.
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
    return PosedHead(skin, around * _OUTLINE_MM * scale + shift, rotation, scale)


def _pose(landmarks: Float64s) -> tuple[Float64s, float]:
    """Rotation (3, 3) and px per mm, by DeMenthon and Davis (IJCV 1995), as `facerefs.stages.faces.geometry.pose`.

    Only points that expressions hardly move are used.
    """
    model, seen = SURFACE[_RIGID], landmarks[_RIGID]
    affine = np.linalg.lstsq(model - model.mean(0), seen - seen.mean(0), rcond=None)[0].T
    left, stretch, right = np.linalg.svd(affine, full_matrices=False)
    if not stretch[1] > _MIN_SPREAD * stretch[0] > 0:
        raise ValueError("the landmarks do not span a face")
    across, down = left @ right
    return np.stack([across, down, np.cross(across, down)]), float(stretch.mean())
