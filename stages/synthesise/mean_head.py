"""The mean head: 3D points on the surface of a face, in mm."""

import numpy as np

from facerefs.schemas.arrays import Float64s

# The mean of 200 synthetic heads (stages.synthetic_people): x to the photo's right, y up from the line between the
# eyes, z to the camera from the plane of the ears. The photo's left half and the middle line, as iBUG 300-W points
# 0-8, 17-21, 27-33, 36-41, 48-51, 57-62, 66, 67. Choice: jaw points 5 to 8 are moved forward, since synthetic jaws
# have edges.
_LANDMARKS = """
-70.2 4.0 18.2  -68.8 -14.5 33.9  -66.2 -32.8 40.0  -61.8 -50.9 39.0  -57.5 -69.0 31.3
-50.3 -86.0 34.0  -34.8 -95.4 50.0  -18.2 -103.6 67.0  0.0 -106.8 75.0
-53.2 17.7 69.2  -43.2 24.9 79.3  -33.1 26.1 84.9  -23.0 24.7 88.8  -13.0 19.6 91.1
0.0 2.8 89.2  0.0 -9.9 97.3  0.0 -22.5 104.8  0.0 -35.2 116.3
-13.7 -44.0 97.3  -7.2 -45.6 95.8  0.0 -46.8 94.7
-44.9 0.7 70.0  -36.2 6.5 74.5  -26.0 6.5 77.6  -17.2 -0.8 80.6  -26.5 -3.1 78.9  -36.5 -3.2 75.9
-24.5 -66.5 86.8  -15.2 -63.2 93.7  -6.1 -61.1 94.8  0.0 -61.7 95.2
0.0 -75.5 92.8  -6.1 -75.1 92.8  -15.2 -72.7 92.1
-21.0 -66.6 90.0  -7.3 -66.8 96.0  0.0 -66.8 96.6  0.0 -66.8 96.6  -7.3 -66.8 96.0
"""
# More points of the same surface: forehead, temple, beside the nose, cheeks, beneath the mouth.
_BETWEEN = """
0.0 35.0 89.0  -25.0 34.0 86.2  -50.0 28.0 72.1  0.0 60.0 87.2  -30.0 57.0 83.1  -58.0 46.0 60.2  0.0 84.0 73.7
-34.0 79.0 70.8  -66.0 12.0 41.6  -14.0 -12.0 88.5  -17.0 -28.0 93.1  -33.0 -20.0 86.4  -52.0 -14.0 70.8
-40.0 -40.0 82.0  -58.0 -34.0 60.8  -34.0 -62.0 81.3  0.0 -90.0 91.5
"""
_LEFT = [*range(9), *range(17, 22), *range(27, 34), *range(36, 42), *range(48, 52), *range(57, 63), 66, 67]
_THEIR_MIRROR_IMAGES = [
    *[*range(16, 7, -1), *range(26, 21, -1), *range(27, 31), 35, 34, 33, 45, 44, 43, 42, 47, 46],
    *[54, 53, 52, 51, 57, 56, 55, 64, 63, 62, 66, 65],
]
_HALF_AXES_MM = np.array([72.0, 120.0, 92.0])  # of the ellipsoid that gives the normal of each point
_OTHER_SIDE = np.array([-1, 1, 1])
_DOWN_AND_AWAY = np.array([1, -1, -1])


def _points(text: str) -> Float64s:
    return np.array(text.split(), np.float64).reshape(-1, 3)


def _surface() -> Float64s:
    left, between = _points(_LANDMARKS), _points(_BETWEEN)
    landmarks = np.empty((68, 3))
    landmarks[_LEFT] = left
    landmarks[_THEIR_MIRROR_IMAGES] = left * _OTHER_SIDE
    right = between[between[:, 0] < 0] * _OTHER_SIDE
    surface: Float64s = np.concatenate([landmarks, between, right]) * _DOWN_AND_AWAY
    return surface


SURFACE = _surface()
"""Points (n, 3) in mm: right, down, away from the camera, from the middle of the ears; the 68 landmarks first."""
NORMALS = SURFACE / _HALF_AXES_MM**2 / np.linalg.norm(SURFACE / _HALF_AXES_MM**2, axis=1, keepdims=True)
"""Outward unit normals (n, 3) of SURFACE."""
