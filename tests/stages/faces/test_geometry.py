"""Alignment, warp and pose: against FFHQ's published recipe, under moves of the photo, on real faces."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facerefs.stages.faces import geometry
from facerefs.stages.synthetic_people.render import draw_person, draw_view, render
from facerefs.stages.synthetic_people.view import View

MEAN_FACE = render(draw_person(0, 0), View(), 64).landmarks.astype(np.float64) * 8
IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


@st.composite
def similarities(draw: st.DrawFn) -> np.ndarray:
    angle = draw(st.floats(-math.pi, math.pi))
    scale = math.exp(draw(st.floats(-2, 2)))
    x, y = draw(st.floats(-500, 500)), draw(st.floats(-500, 500))
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


@st.composite
def faces(draw: st.DrawFn) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return MEAN_FACE + rng.normal(0, 4, (68, 2))


def quad_of_ffhq(landmarks: np.ndarray) -> np.ndarray:
    """The corners as FFHQ defines them: upper left, lower left, lower right, upper right."""
    left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    eyes, eye_to_eye = (left + right) * 0.5, right - left
    eye_to_mouth = (landmarks[48] + landmarks[54]) * 0.5 - eyes
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eyes + eye_to_mouth * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


@given(faces(), st.sampled_from([512, 1024]))
def test_the_crop_is_the_square_of_ffhq(landmarks: np.ndarray, size_px: int) -> None:
    corners = geometry.apply_transform(geometry.ffhq_transform(landmarks, size_px), quad_of_ffhq(landmarks))
    low, high = -0.5, size_px - 0.5
    np.testing.assert_allclose(corners, [[low, low], [low, high], [high, high], [high, low]], atol=1e-6)


@given(faces(), similarities())
def test_alignment_undoes_any_similarity(landmarks: np.ndarray, move: np.ndarray) -> None:
    moved = geometry.apply_transform(move, landmarks)
    aligned = geometry.apply_transform(geometry.ffhq_transform(landmarks, 512), landmarks)
    np.testing.assert_allclose(
        geometry.apply_transform(geometry.ffhq_transform(moved, 512), moved), aligned, atol=1e-6
    )


@given(faces(), similarities())
def test_a_transform_and_its_inverse_cancel(points: np.ndarray, move: np.ndarray) -> None:
    back = geometry.invert(move)
    np.testing.assert_allclose(
        geometry.apply_transform(back, geometry.apply_transform(move, points)), points, atol=1e-6
    )
    np.testing.assert_allclose(geometry.compose(back, move), IDENTITY, atol=1e-9)


@given(faces(), similarities())
def test_a_similarity_is_found_from_its_points(points: np.ndarray, move: np.ndarray) -> None:
    found = geometry.similarity_between(points, geometry.apply_transform(move, points))
    np.testing.assert_allclose(found, move, atol=1e-6)


def test_landmarks_that_span_no_face_are_refused() -> None:
    with pytest.raises(ValueError, match="do not span a face"):
        geometry.ffhq_transform(np.full((68, 2), 7.0), 512)
    with pytest.raises(ValueError, match="do not span a face"):
        geometry.ffhq_transform(np.full((68, 2), np.nan), 512)


def test_the_warp_at_scale_1_is_the_photo() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    crop = geometry.warp(photo, [[1, 0, -7], [0, 1, -9]], 64)
    np.testing.assert_array_equal(crop.pixels, photo[9:73, 7:71])
    assert crop.outside == 0


def waves(width: int, height: int, cycles_per_px: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    grey = 127.5 + 100 * np.sin(2 * np.pi * cycles_per_px * (x + 0.3 * y))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


@settings(max_examples=20, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(0.3, 1.7))
def test_the_warp_takes_pixels_where_the_transform_says(angle: float, scale: float) -> None:
    photo = waves(600, 600, 0.01)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    rotation = np.array([[c, -s], [s, c]])
    transform = np.column_stack([rotation, 31.5 - rotation @ [290, 310]])
    grid = np.stack(np.meshgrid(np.arange(64), np.arange(64)), axis=-1)
    x, y = np.moveaxis(geometry.apply_transform(geometry.invert(transform), grid), -1, 0)
    truth = 127.5 + 100 * np.sin(2 * np.pi * 0.01 * (x + 0.3 * y))
    crop = geometry.warp(photo, transform, 64).pixels[..., 0]
    assert np.abs(crop - truth).max() < 2.5
    assert abs((crop - truth).mean()) < 0.25  # levels; cut off instead of rounded it would be 0.5


@pytest.mark.parametrize("scale", [0.12, 0.3, 0.45])
def test_what_is_too_fine_for_the_crop_becomes_grey_not_moire(scale: float) -> None:
    photo = waves(800, 800, 0.46)
    crop = geometry.warp(photo, [[scale, 0, 32 - scale * 400], [0, scale, 32 - scale * 400]], 64).pixels
    assert crop.std() < 4


@pytest.mark.parametrize("scale", [0.2, 0.34, 0.6, 0.85, 1.0, 1.7])
def test_the_warp_agrees_with_a_spline_at_four_times_its_resolution(scale: float) -> None:
    """SciPy's quintic spline, sampled four times as finely, and Pillow's Lanczos filter on floats."""
    from scipy import ndimage

    photo = render(draw_person(3, 1), draw_view(3, 1, 0), 256).image
    if scale < 0.5:
        photo = np.asarray(Image.fromarray(photo).resize((640, 640), Image.Resampling.BICUBIC))
    c, s = scale * math.cos(0.2), scale * math.sin(0.2)
    rotation = np.array([[c, -s], [s, c]])
    transform = np.column_stack([rotation, 31.5 - rotation @ (np.array(photo.shape[:2]) / 2)])
    times, margin, size_px = 4, 4, 64
    fine = (np.arange((size_px + 2 * margin) * times) + 0.5) / times - margin - 0.5
    x, y = np.moveaxis(
        geometry.apply_transform(geometry.invert(transform), np.stack(np.meshgrid(fine, fine), -1)), -1, 0
    )
    large = ndimage.map_coordinates(photo[..., 1].astype(np.float32), [y, x], order=5, mode="mirror")
    edge = margin * times
    box = (edge, edge, len(fine) - edge, len(fine) - edge)
    truth = np.asarray(Image.fromarray(large).resize((size_px, size_px), Image.Resampling.LANCZOS, box))
    off = geometry.warp(photo, transform, size_px).pixels[..., 1] - truth.clip(0, 255)
    assert np.abs(off).mean() < 1.2
    assert np.abs(off).max() < 30


@settings(max_examples=20, deadline=None)
@given(st.integers(-60, 60), st.integers(-60, 60))
def test_the_share_outside_is_the_uncovered_area(dx: int, dy: int) -> None:
    photo = np.full((100, 100, 3), 200, dtype=np.uint8)
    crop = geometry.warp(photo, [[1, 0, dx], [0, 1, dy]], 100)
    assert crop.outside == pytest.approx(1 - (100 - abs(dx)) * (100 - abs(dy)) / 1e4, abs=1e-6)
    assert (crop.pixels == 200).all()  # no black border


def test_photo_pixels_beside_the_border_stay_as_they_are() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    crop = geometry.warp(photo, [[1, 0, 40], [0, 1, 0]], 100)
    np.testing.assert_array_equal(crop.pixels[:, 40:], photo[:, :60])
    far, near = crop.pixels[:, :5].astype(float), crop.pixels[:, 35:40].astype(float)
    assert far.std() < near.std() / 4  # the filling fades


def test_the_filling_fades_to_the_median_of_the_visible_part() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    crop = geometry.warp(photo, [[1, 0, 60], [0, 1, 0]], 100).pixels
    expected = np.median(photo[:, :40].reshape(-1, 3), axis=0)
    np.testing.assert_allclose(crop[:, :20], np.broadcast_to(expected, (100, 20, 3)), atol=1)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2)])
@pytest.mark.parametrize("shift", [0.0, 5000.0, -5000.0])
def test_any_photo_can_be_warped_from_anywhere(size: tuple[int, int], shift: float) -> None:
    crop = geometry.warp(np.full((*size, 3), 9, np.uint8), [[0.7, 0.1, shift], [-0.1, 0.7, shift]], 64)
    assert (crop.pixels == 9).all()
    assert (crop.outside == 1) == (shift != 0)


@settings(max_examples=50)
@given(faces(), similarities())
def test_turning_the_photo_changes_the_roll_only(landmarks: np.ndarray, move: np.ndarray) -> None:
    before, after = geometry.pose(landmarks), geometry.pose(geometry.apply_transform(move, landmarks))
    assert (after.yaw, after.pitch) == pytest.approx((before.yaw, before.pitch), abs=1e-5)
    turn = math.degrees(math.atan2(move[1, 0], move[0, 0]))
    assert math.remainder(after.roll - before.roll - turn, 360) == pytest.approx(0, abs=1e-5)


@given(faces())
def test_the_mirror_image_looks_the_other_way(landmarks: np.ndarray) -> None:
    mirror = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    mirror += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    mirror += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    before, after = geometry.pose(landmarks), geometry.pose(landmarks[mirror] * [-1, 1])
    assert (after.yaw, after.pitch, after.roll) == pytest.approx(
        (-before.yaw, before.pitch, -before.roll), abs=1e-6
    )


def test_pose_follows_the_truth_of_synthetic_people() -> None:
    truth, found = [], []
    for view_index in range(10):
        view = draw_view(5, view_index % 3, view_index)
        pose = geometry.pose(render(draw_person(5, view_index % 3), view, 64).landmarks)
        truth.append((view.yaw_deg, view.pitch_deg, view.roll_deg))
        found.append((pose.yaw, pose.pitch, pose.roll))
    off = np.array(found) - np.array(truth)
    assert np.abs(off[:, 0]).max() < 12
    assert np.abs(off[:, 1] - off[:, 1].mean()).max() < 12  # heads differ from the mean head
    assert np.abs(off[:, 2]).max() < 5
    assert np.corrcoef(np.array(truth)[:, 0], np.array(found)[:, 0])[0, 1] > 0.95
    assert np.corrcoef(np.array(truth)[:, 1], np.array(found)[:, 1])[0, 1] > 0.6


@pytest.mark.shared
def test_real_faces_land_where_another_tool_puts_them(shared_faces: Path) -> None:
    """Nine web photos, aligned by ASFFNet's tool from other landmarks; SIFT tells how far off we are."""
    from facerefs.stages.engines.dlib import Dlib68, HogDetector

    detector, landmarker = HogDetector(1024), Dlib68()
    shifts = []
    for raw in sorted((shared_faces / "ffhq_alignment" / "raw").iterdir()):
        photo = np.asarray(Image.open(raw).convert("RGB"))
        points = landmarker.landmarks(photo, detector.detect(photo)[0].box)
        ours = geometry.warp(photo, geometry.ffhq_transform(points, 512), 512).pixels
        theirs = np.asarray(Image.open(raw.parents[1] / "aligned" / f"{raw.stem}.png").convert("RGB"))
        to_theirs = registration(ours, theirs)
        face = np.loadtxt(raw.parents[1] / "landmarks" / f"{raw.stem}.png.txt")
        shifts.append(np.hypot(*(geometry.apply_transform(to_theirs, face) - face).T).mean())
    assert np.mean(shifts) < 5.5
    assert np.median(shifts) < 5
    assert np.max(shifts) < 12  # a profile, on which the landmark engines disagree


def registration(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    import cv2

    sift = cv2.SIFT_create()
    (keys, features), (other_keys, other_features) = (
        sift.detectAndCompute(image, None) for image in (ours, theirs)
    )
    pairs = [
        best
        for best, second in cv2.BFMatcher().knnMatch(features, other_features, k=2)
        if best.distance < 0.7 * second.distance
    ]
    source = np.float32([keys[pair.queryIdx].pt for pair in pairs])
    target = np.float32([other_keys[pair.trainIdx].pt for pair in pairs])
    return cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=1.5)[0]
