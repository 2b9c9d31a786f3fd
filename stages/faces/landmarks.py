"""The 68 points of iBUG 300-W in a mirrored image."""

import numpy as np

from facerefs.schemas.arrays import Float32s

MIRRORED_68 = np.array(  # for each point, the index of its mirror image
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # ridge of the nose
        *range(35, 30, -1),  # nostrils
        *(45, 44, 43, 42, 47, 46),  # the eyes
        *(39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
        *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
    ]
)


def mirror_landmarks(points: Float32s, last: Float32s) -> Float32s:
    """Landmarks (N, 68, 2) float32 in the mirrored images; `last` (N,) is the x of each image's last pixel centre."""
    mirrored = points[:, MIRRORED_68]
    mirrored[:, :, 0] = last[:, None] - mirrored[:, :, 0]
    return mirrored
