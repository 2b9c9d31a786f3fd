"""Synthesised references against the true geometry of synthetic people."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.synthesised import patch_correlation
from facerefs.schemas.arrays import Float64s
from facerefs.stages.faces.geometry import apply_transform as through
from facerefs.stages.faces.geometry import ffhq_transform, pose, warp
from facerefs.stages.faces.landmarks import MIRRORED_68
from facerefs.stages.synthesise.parameters import Synthesis, draw
from facerefs.stages.synthesise.reference import synthesise_mask, synthesise_reference
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import View, render
from tests.stages.synthesise.faces import landmarks_of

SIDE_PX = 128
FACE = slice(17, 68)  # of the landmarks: all but the contour, which rendered heads cut off at an edge
NOSE_TIP = 30


@cache
def photo(number: int = 0) -> tuple[NDArray[np.uint8], Float64s]:
    found = render(draw_person(5, number), View(), SIDE_PX)
    transform = ffhq_transform(found.landmarks, SIDE_PX)
    return warp(found.image, transform, SIDE_PX).pixels, through(transform, found.landmarks)


def px_apart(one: Float64s, other: Float64s) -> float:
    """Mean distance, in px of a face of 512."""
    return float(np.hypot(*(one - other)[FACE].T).mean() * 512 / SIDE_PX)


@pytest.mark.parametrize("mirrored", [0, 1])
def test_a_mask_moves_as_the_pixels_do(mirrored: int) -> None:
    """A white patch of the photo is then where the mask of the patch says."""
    _, landmarks = photo()
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    mask[30:90, 40:100] = 255
    synthesis = Synthesis(yaw_deg=8, pitch_deg=4, smile=0.5, mirrored=mirrored)
    painted, _ = synthesise_reference(np.repeat(mask[..., None], 3, 2), landmarks, synthesis)
    moved = synthesise_mask(mask, landmarks, synthesis)
    assert ((painted[..., 0] > 127) == (moved == 255)).mean() > 0.995
    assert (mask != moved).mean() > 0.015
    assert np.array_equal(synthesise_mask(mask, landmarks, Synthesis()), mask)


def test_nothing_changed_gives_the_target_back() -> None:
    pixels, landmarks = photo()
    made, moved = synthesise_reference(pixels, landmarks, Synthesis())
    assert np.array_equal(made, pixels)
    np.testing.assert_allclose(moved, landmarks, atol=1e-3)


@pytest.mark.parametrize(
    ("yaw_deg", "pitch_deg"), [(10.0, 0.0), (-12.0, 0.0), (0.0, 7.0), (0.0, -7.0), (-9.0, 5.0), (8.0, 6.0)]
)
@pytest.mark.parametrize("number", range(3))
def test_landmarks_are_those_of_the_person_in_that_pose(
    number: int, yaw_deg: float, pitch_deg: float
) -> None:
    person, view = draw_person(5, number), View(yaw_deg=4, pitch_deg=-2, smile=0.2 * number)
    before = landmarks_of(person, view, SIDE_PX)
    posed = replace(view, yaw_deg=view.yaw_deg + yaw_deg, pitch_deg=view.pitch_deg + pitch_deg)
    truth = landmarks_of(person, posed, SIDE_PX)
    blank = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    _, found = synthesise_reference(blank, before, Synthesis(yaw_deg=yaw_deg, pitch_deg=pitch_deg))
    assert px_apart(found, truth) < 0.5 * px_apart(before, truth)
    assert px_apart(found, truth) < 2.5


def test_positive_angles_look_right_and_up_by_about_as_much_as_is_asked_for() -> None:
    pixels, landmarks = photo()
    before = pose(landmarks)
    _, right = synthesise_reference(pixels, landmarks, Synthesis(yaw_deg=12))
    _, up = synthesise_reference(pixels, landmarks, Synthesis(pitch_deg=9))
    assert pose(right).yaw - before.yaw == pytest.approx(12, abs=2)
    assert pose(up).pitch - before.pitch == pytest.approx(9, abs=2)
    assert right[NOSE_TIP, 0] - landmarks[NOSE_TIP, 0] > 0.02 * SIDE_PX
    assert up[NOSE_TIP, 1] - landmarks[NOSE_TIP, 1] < -0.02 * SIDE_PX


def test_the_pixels_go_where_the_landmarks_say() -> None:
    """A dot painted on each of some landmarks is found again at the new ones."""
    pixels, landmarks = photo()
    for point in (30, 36, 45, 48, 54, 8):
        dark = np.zeros_like(pixels)
        cv2.circle(dark, tuple(np.rint(landmarks[point]).astype(int)), 2, (255, 255, 255), -1)
        off = np.rint(landmarks[point]) - landmarks[point]
        made, moved = synthesise_reference(dark, landmarks, Synthesis(yaw_deg=-11, pitch_deg=6, smile=0.5))
        weights = made[..., 0].astype(float)
        y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
        centre = np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()
        assert np.hypot(*(centre - off - moved[point])) < 1.0


def test_a_face_that_is_turned_far_turns_back_instead() -> None:
    landmarks = landmarks_of(draw_person(5, 0), View(yaw_deg=20), SIDE_PX)
    blank = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    _, further = synthesise_reference(blank, landmarks, Synthesis(yaw_deg=14))
    assert -11 < pose(further).yaw - pose(landmarks).yaw < -4


@pytest.mark.parametrize("more_deg", [5, -5, 14, -14])
def test_no_face_is_turned_away_beyond_what_it_was(more_deg: float) -> None:
    landmarks = landmarks_of(draw_person(5, 0), View(yaw_deg=30), SIDE_PX)
    blank = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    _, moved = synthesise_reference(blank, landmarks, Synthesis(yaw_deg=more_deg))
    assert pose(moved).yaw < pose(landmarks).yaw - 1


def test_a_smile_lifts_the_corners_of_the_mouth_apart() -> None:
    pixels, landmarks = photo()
    _, smiling = synthesise_reference(pixels, landmarks, Synthesis(smile=1))
    _, sad = synthesise_reference(pixels, landmarks, Synthesis(smile=-1))
    assert (smiling[[48, 54], 1] < sad[[48, 54], 1] - 2).all()
    assert smiling[54, 0] - smiling[48, 0] > sad[54, 0] - sad[48, 0] + 2


def test_brows_go_up_and_down_and_the_eyes_hardly_with_them() -> None:
    pixels, landmarks = photo()
    _, up = synthesise_reference(pixels, landmarks, Synthesis(brows=1))
    _, down = synthesise_reference(pixels, landmarks, Synthesis(brows=-1))
    moved = down[:, 1] - up[:, 1]
    assert (moved[17:27] > 2).all()
    assert (moved[36:48] < 0.5 * moved[17:27].mean()).all()


def test_a_mirrored_reference_is_that_of_the_mirror_image() -> None:
    pixels, landmarks = photo()
    other_side = landmarks[MIRRORED_68] * [-1, 1] + [SIDE_PX - 1, 0]
    drawn = replace(draw(0, "face", 0), mirrored=0)
    expected = synthesise_reference(np.ascontiguousarray(pixels[:, ::-1]), other_side, drawn)
    made, moved = synthesise_reference(pixels, landmarks, replace(drawn, mirrored=1))
    assert np.array_equal(made, expected[0])
    np.testing.assert_allclose(moved, expected[1], atol=1e-3)


def test_grain_replaces_the_fine_texture_of_skin_by_one_as_strong() -> None:
    pixels, landmarks = photo()
    rng = np.random.default_rng(0)
    pixels = np.clip(pixels + rng.normal(0, 4, pixels.shape[:2])[..., None], 0, 255).astype(np.uint8)
    x, y = np.rint(landmarks[[2, 31]].mean(0)).astype(int)

    def fine(image: NDArray[np.uint8]) -> Float64s:
        cheek = image[y - 6 : y + 6, x - 6 : x + 6].astype(float).mean(-1)
        return cheek - cv2.GaussianBlur(cheek, (0, 0), 0.6)

    made = [synthesise_reference(pixels, landmarks, Synthesis(grain=1, grain_seed=s))[0] for s in (0, 1)]
    for one, other in ((made[0], pixels), (made[0], made[1])):
        assert 0.6 < fine(one).std() / fine(other).std() < 1.6
        assert np.corrcoef(fine(one).ravel(), fine(other).ravel())[0, 1] < 0.4
    assert np.array_equal(made[0][:12], pixels[:12])
    x, y = np.rint(landmarks[36:42].mean(0)).astype(int)
    assert np.abs(made[0][y, x].astype(int) - pixels[y, x]).max() <= 2


def test_a_reference_carries_little_of_its_targets_detail() -> None:
    """On rendered people, whose second photos have 0.74 and strangers 0.52."""
    found = render(draw_person(5, 0), View(), 512)
    transform = ffhq_transform(found.landmarks, 512)
    pixels, points = warp(found.image, transform, 512).pixels, through(transform, found.landmarks)
    landmarks = points.astype(np.float32)
    made = [synthesise_reference(pixels, points, draw(0, "face", number))[0] for number in range(4)]
    assert patch_correlation(pixels, pixels, landmarks) == pytest.approx(1, abs=1e-3)
    assert np.mean([patch_correlation(pixels, one, landmarks) for one in made]) < 0.65


def test_the_reference_is_aligned_as_every_face_is() -> None:
    pixels, landmarks = photo(1)
    _, moved = synthesise_reference(pixels, landmarks, draw(0, "face", 0))
    np.testing.assert_allclose(ffhq_transform(moved, SIDE_PX), [[1, 0, 0], [0, 1, 0]], atol=1e-4)


def test_the_light_comes_from_where_it_is_said_to() -> None:
    pixels, landmarks = photo()
    cheeks = [tuple(np.rint(landmarks[[i, j]].mean(0)).astype(int)) for i, j in ((2, 31), (14, 35))]

    def brightness(synthesis: Synthesis) -> Float64s:
        made, _ = synthesise_reference(pixels, landmarks, synthesis)
        soft = cv2.GaussianBlur(made, (0, 0), 3).mean(-1)
        return np.array([soft[y, x] for x, y in cheeks])

    plain = brightness(Synthesis())
    right = brightness(Synthesis(light_azimuth_deg=70, light_strength=0.7)) / plain
    left = brightness(Synthesis(light_azimuth_deg=-70, light_strength=0.7)) / plain
    assert right[1] > right[0] + 0.1
    assert left[0] > left[1] + 0.1
    assert (brightness(Synthesis(gain=1.3)) > plain).all()


def test_warmth_adds_red_and_takes_blue() -> None:
    pixels, landmarks = photo()
    colour = pixels.mean((0, 1))
    red, _, blue = synthesise_reference(pixels, landmarks, Synthesis(warmth=1))[0].mean((0, 1)) - colour
    assert red > 3
    assert blue < -3


def test_ageing_changes_the_detail_of_the_skin_and_nothing_around_it() -> None:
    pixels, landmarks = photo()
    rng = np.random.default_rng(0)
    pixels = np.clip(pixels + rng.normal(0, 4, pixels.shape[:2])[..., None], 0, 255).astype(np.uint8)
    x, y = np.rint(landmarks[[2, 31]].mean(0)).astype(int)

    def cheek(image: NDArray[np.uint8]) -> float:
        return float(np.abs(cv2.Laplacian(image[y - 6 : y + 6, x - 6 : x + 6].astype(np.float32), -1)).mean())

    old = synthesise_reference(pixels, landmarks, Synthesis(ageing=1))[0]
    young = synthesise_reference(pixels, landmarks, Synthesis(ageing=-1))[0]
    assert cheek(old) > 1.4 * cheek(pixels) > 2 * cheek(young)
    assert np.array_equal(old[:12], pixels[:12])
    x, y = np.rint(landmarks[36:42].mean(0)).astype(int)
    assert np.abs(old[y, x].astype(int) - pixels[y, x]).max() <= 2


@settings(max_examples=20, deadline=None)
@given(
    st.builds(
        Synthesis,
        **{name: st.floats(*bounds) for name, bounds in Synthesis.BOUNDS.items()},
        **{name: st.integers(kind.low, kind.high) for name, kind in Synthesis.WHOLE.items()},
    ),
    st.sampled_from([0, 1]),
)
def test_any_synthesis_gives_a_face_and_the_same_one_again(synthesis: Synthesis, number: int) -> None:
    pixels, landmarks = photo(number)
    made, moved = synthesise_reference(pixels, landmarks, synthesis)
    assert made.shape == pixels.shape
    assert made.dtype == np.uint8
    assert (np.abs(moved - landmarks) < 0.25 * SIDE_PX).all()
    again, _ = synthesise_reference(pixels.copy(), landmarks.copy(), synthesis)
    assert np.array_equal(made, again)


def test_threads_do_not_change_a_byte() -> None:
    pixels, landmarks = photo()
    before = cv2.getNumThreads()
    try:
        made = []
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            made.append(synthesise_reference(pixels, landmarks, draw(0, "face", 1))[0])
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(*made)


_HASHED = """
import hashlib, numpy as np
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import View
from facerefs.stages.synthesise.parameters import draw
from facerefs.stages.synthesise.reference import synthesise_reference
from tests.stages.synthesise.faces import landmarks_of
pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
points = landmarks_of(draw_person(5, 0), View(), 128).round(3)
print(hashlib.sha256(synthesise_reference(pixels, points, draw(0, "face", 0))[0].tobytes()).hexdigest())
"""


def test_a_processor_with_fewer_instructions_gives_the_same_bytes() -> None:
    def made(**processor: str) -> str:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _HASHED],
            env={**os.environ, **processor},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    old = {"OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,AVX", "OPENBLAS_CORETYPE": "Nehalem"}
    assert made(**old) == made()


@pytest.mark.parametrize(
    "landmarks",
    [
        np.zeros((68, 2)),
        np.full((68, 2), np.nan),
        np.full((68, 2), 1e30),
        np.zeros((5, 2)),
        np.stack([np.arange(68.0), np.arange(68.0)], 1),
    ],
)
def test_landmarks_of_no_face_are_refused(landmarks: Float64s) -> None:
    with pytest.raises(ValueError, match="the landmarks"):
        synthesise_reference(np.zeros((64, 64, 3), np.uint8), landmarks, Synthesis(yaw_deg=5))
