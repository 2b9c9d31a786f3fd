"""The landmarks of a mirrored face."""

import numpy as np

from facerefs.stages.faces.landmarks import MIRRORED_68, mirror_landmarks


def test_left_and_right_are_exchanged_and_the_middle_stays() -> None:
    pairs = {
        0: 16,
        17: 26,
        21: 22,
        31: 35,
        36: 45,
        39: 42,
        37: 44,
        40: 47,
        48: 54,
        50: 52,
        59: 55,
        60: 64,
        67: 65,
    }
    for left, right in pairs.items():
        assert (MIRRORED_68[left], MIRRORED_68[right]) == (right, left)
    assert [point for point in range(68) if MIRRORED_68[point] == point] == [
        8,
        27,
        28,
        29,
        30,
        33,
        51,
        57,
        62,
        66,
    ]
    assert (MIRRORED_68[MIRRORED_68] == np.arange(68)).all()


def test_the_first_pixel_becomes_the_last_and_mirroring_twice_changes_nothing() -> None:
    points = np.random.default_rng(0).uniform(0, 9, (2, 68, 2)).astype(np.float32)
    points[0, 36] = 0, 5
    last = np.array([9, 19], np.float32)
    assert mirror_landmarks(points, last)[0, 45].tolist() == [9, 5]
    np.testing.assert_allclose(mirror_landmarks(mirror_landmarks(points, last), last), points, atol=1e-5)
