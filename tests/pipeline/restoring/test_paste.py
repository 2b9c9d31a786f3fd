"""A face that is cropped and pasted back changes nothing outside of it, and hardly anything inside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.pipeline.restoring.pasting.grain import grain_of
from facerefs.pipeline.restoring.pasting.paste import Patch, blend, patch_of
from facerefs.schemas.arrays import UInt8Image
from facerefs.stages.faces.geometry import apply_transform, ffhq_transform, warp
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view

FACE = render(draw_person(5, 0), draw_view(5, 0, 0), 400)
POINTS = np.asarray(FACE.landmarks, np.float32)


def pasted(photo: UInt8Image, size_px: int, points: np.ndarray = POINTS, change: int = 0) -> Patch:
    """A restorer that gives back what it gets, or that shifts its levels."""
    transform = ffhq_transform(points, size_px)
    square = warp(photo, transform, size_px).pixels
    made = np.clip(square.astype(int) + change, 0, 255).astype(np.uint8)
    patch = patch_of(photo, made, square, transform, apply_transform(transform, points).astype(np.float32))
    assert patch is not None
    return patch


@pytest.mark.parametrize("size_px", [256, 512])
def test_an_identity_gives_back_the_photo(size_px: int) -> None:
    patch = pasted(FACE.image, size_px)
    whole = blend(FACE.image, patch)
    weight = np.zeros(FACE.image.shape[:2], np.float32)
    weight[patch.rows, patch.columns] = patch.weight
    assert np.array_equal(whole[weight == 0], FACE.image[weight == 0])
    assert 0.1 < (weight > 0.5).mean() < 0.7
    difference = np.abs(whole.astype(int) - FACE.image)[weight > 0]
    assert difference.mean() < (1.2 if size_px == 256 else 1.0)  # smaller than the face in the photo
    assert patch.grain == 0


def test_only_pixels_of_the_aligned_square_change_and_strength_0_changes_none() -> None:
    noise = np.random.default_rng(0).integers(0, 256, FACE.image.shape, np.uint8)
    transform = ffhq_transform(POINTS, 128)
    patch = pasted(noise, 128, change=60)
    changed = np.argwhere((blend(noise, patch) != noise).any(axis=2))[:, ::-1]
    inside = apply_transform(transform, changed)
    assert inside.min() > 0
    assert inside.max() < 127
    assert np.array_equal(blend(noise, patch, 0.0), noise)


def test_16_bits_stay_outside_of_the_face() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, FACE.image.shape, np.uint16)
    patch = pasted((deep >> 8).astype(np.uint8), 256)
    whole = blend(deep, patch)
    weight = np.zeros(deep.shape[:2], np.float32)
    weight[patch.rows, patch.columns] = patch.weight
    assert whole.dtype == np.uint16
    assert np.array_equal(whole[weight == 0], deep[weight == 0])


def test_a_colour_cast_of_the_model_is_undone_and_a_grey_photo_stays_grey() -> None:
    patch = pasted(FACE.image, 256, change=30)
    there = FACE.image[patch.rows, patch.columns][patch.weight > 0.9].astype(float)
    assert abs(patch.pixels[patch.weight > 0.9].mean() - there.mean()) < 4
    grey = np.repeat(FACE.image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    whole = blend(grey, pasted(grey, 256, change=30))
    assert np.array_equal(whole[..., 0], whole[..., 1])
    assert np.array_equal(whole[..., 1], whole[..., 2])


def test_a_smooth_face_gets_the_grain_of_its_photo() -> None:
    noise = np.random.default_rng(0).normal(0, 8, FACE.image.shape[:2])[..., None]
    noisy = np.clip(FACE.image + noise, 0, 255).astype(np.uint8)
    transform = ffhq_transform(POINTS, 256)
    before, smooth = (warp(photo, transform, 256).pixels for photo in (noisy, FACE.image))
    landmarks = apply_transform(transform, POINTS).astype(np.float32)
    patch = patch_of(noisy, smooth, before, transform, landmarks)
    assert patch is not None
    there = noisy[patch.rows, patch.columns].astype(np.float32)
    assert grain_of(patch.pixels, patch.weight) == pytest.approx(grain_of(there, patch.weight), rel=0.2)
    assert 6 < patch.grain < 10
    without = patch_of(noisy, smooth, before, transform, landmarks, with_grain=False)
    assert without is not None
    assert without.grain == 0
    assert grain_of(without.pixels, without.weight) < 2


def test_a_face_smaller_than_the_models_is_reduced_without_aliasing() -> None:
    """A pattern of single pixels in a square 8 times as large becomes its mean, and no pattern of larger ones."""
    small = np.full((64, 64, 3), 128, np.uint8)
    points = POINTS * (64 / 400)
    transform = ffhq_transform(points, 512)
    checks = ((np.indices((512, 512)).sum(axis=0) % 2) * 255).astype(np.uint8)
    square = np.repeat(checks[..., None], 3, axis=2)
    landmarks = apply_transform(transform, points).astype(np.float32)
    patch = patch_of(small, square, warp(small, transform, 512).pixels, transform, landmarks)
    assert patch is not None
    assert patch.pixels[patch.weight > 0.5].std() < 2


@settings(max_examples=15, deadline=None)
@given(st.floats(-3.2, 3.2), st.floats(0.05, 3), st.floats(-300, 700), st.floats(-300, 700))
def test_a_face_anywhere_is_pasted_or_said_to_be_outside(
    angle: float, scale: float, x: float, y: float
) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = ((POINTS - 200) @ turn.T * scale + [x, y]).astype(np.float32)
    photo = FACE.image
    transform = ffhq_transform(points, 64)
    square = warp(photo, transform, 64).pixels
    patch = patch_of(photo, square, square, transform, apply_transform(transform, points).astype(np.float32))
    if patch is not None:
        assert blend(photo, patch).shape == photo.shape
        assert patch.pixels.shape[:2] == patch.weight.shape
        assert np.isfinite(patch.pixels).all()
