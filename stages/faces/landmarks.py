"""The 68 points of iBUG 300-W as a mirror shows them."""

import numpy as np

from facerefs.schemas.arrays import Float32s

MIRRORED_68 = np.array(  # which point stands where, once left and right are exchanged
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


def mirrored(points: Float32s, last: Float32s) -> Float32s:
    """Points float32 (N, 68, 2) of images whose last pixel centre is at x = `last` (N,), in the mirror images."""
    turned = points[:, MIRRORED_68]
    turned[:, :, 0] = last[:, None] - turned[:, :, 0]
    return turned
