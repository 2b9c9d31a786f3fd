"""A soft mask of the face in its aligned square."""

import numpy as np

from facerefs.schemas.arrays import Float32s

_FEATHER = 0.035  # standard deviation of the soft border, as a share of the square's side
_RAMP = 0.06  # within this share of the side, the mask falls to 0 at the square's border
_SHRINK = 0.97  # of the hull about its centre, so that the soft border ends near the contour
_HARDLY = 1 / 255  # what changes no level of 8 bits is nothing


def face_mask(landmarks: Float32s, size_px: int) -> Float32s:
    """The weight (S, S), 0 to 1, of the restored face: the hull of the landmarks and the forehead, softened.

    landmarks: (68, 2) in pixels of the square. It is 0 at the border of the square.
    """
    import torch

    from facerefs.stages.engines.parsing.hull import face_hull

    centre = landmarks.mean(axis=0)
    points = torch.from_numpy(np.asarray(centre + (landmarks - centre) * _SHRINK, np.float32))[None]
    hull = face_hull(points, size_px, size_px, feather_px=_FEATHER * size_px)[0, 0].numpy()
    mask = np.asarray(hull * _border_ramp(size_px), np.float32)
    mask[mask < _HARDLY] = 0
    return mask


def _border_ramp(size_px: int) -> Float32s:
    at = np.arange(size_px, dtype=np.float32)
    depth = np.minimum(at, size_px - 1 - at) / max(1.0, _RAMP * size_px)
    along = np.clip(depth, 0, 1)
    smooth = along * along * (3 - 2 * along)
    return np.asarray(np.minimum(smooth[:, None], smooth[None, :]), np.float32)
