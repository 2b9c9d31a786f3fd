"""Resizing against OpenCV and MATLAB's rules."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.operations import Resize, ResizeMode
from facerefs.stages.degrade.apply_theta import degrade, resize_back
from facerefs.stages.degrade.operations.padded_batch import pad_batch
from tests.stages.degrade.oracle import FLOAT, MODES, PHOTO, batch, image, matlab_resize, needs_basicsr
from tests.stages.degrade.thetas import SIDES

SIZES = [(97, 97), (640, 640), (171, 33), (33, 640), (640, 33), (1, 1), (256, 128), (512, 512), (513, 511)]

GENTLE = FLOAT / 2 + np.float32(0.25)  # what a cubic overshoots stays within [0, 1]


def _resized(photo: np.ndarray, width: int, height: int, mode: ResizeMode, dtype: torch.dtype) -> np.ndarray:
    return image(degrade(batch(photo, dtype=dtype), [(Resize(width, height, mode),)]).pixels[0])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_resizing_is_that_of_opencv(mode: ResizeMode, size: tuple[int, int]) -> None:
    expected = cv2.resize(GENTLE.astype(np.float64), size, interpolation=MODES[mode])
    for dtype in (torch.float64, torch.float32):  # OpenCV's cubic weights are of single precision
        np.testing.assert_allclose(_resized(GENTLE, *size, mode, dtype), expected, atol=2e-5)


@settings(max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(sorted(MODES)))
def test_resizing_is_that_of_opencv_from_any_size_to_any(
    width: int, height: int, out_w: int, out_h: int, mode: ResizeMode
) -> None:
    """One axis may grow while the other shrinks: `area` then is another filter along both."""
    photo = GENTLE[100 : 100 + height, 180 : 180 + width]
    expected = cv2.resize(photo, (out_w, out_h), interpolation=MODES[mode])
    np.testing.assert_allclose(_resized(photo, out_w, out_h, mode, torch.float64), expected, atol=1e-5)


def test_area_is_that_of_opencv_where_an_old_pixel_begins_with_a_new_one() -> None:
    for old, new in [(6, 34), (9, 51), (14, 58), (22, 62), (30, 62), (12, 48)]:
        photo = GENTLE[100 : 100 + old, 180:181]
        expected = cv2.resize(photo, (1, new), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(_resized(photo, 1, new, "area", torch.float64), expected, atol=1e-5)


@needs_basicsr
@pytest.mark.parametrize("scale", [8, 16, 32, 64, 0.5, 0.25])
def test_bicubic_is_that_of_matlab_up_to_the_border(scale: float) -> None:
    photo = GENTLE[:64, :96] if scale < 1 else GENTLE
    height, width = int(photo.shape[0] / scale), int(photo.shape[1] / scale)
    expected = matlab_resize(photo, 1 / scale)
    for dtype in (torch.float64, torch.float32):
        got = _resized(photo, width, height, "bicubic_antialias", dtype)
        np.testing.assert_allclose(got, expected, atol=5e-6)


@needs_basicsr
@settings(max_examples=30)
@given(st.integers(8, 70), st.integers(8, 70))  # basicsr fails for some sizes below 4
def test_bicubic_is_that_of_matlab_for_odd_sizes(side: int, out: int) -> None:
    photo = GENTLE[100 : 100 + side, 180 : 180 + side]
    expected = matlab_resize(photo, out / side)
    if expected.shape[0] == out:  # it rounds up what a floating product leaves
        got = _resized(photo, out, out, "bicubic_antialias", torch.float64)
        np.testing.assert_allclose(got, expected, atol=5e-6)


def test_faces_come_back_bilinear_each_from_its_own_size() -> None:
    small = [np.ascontiguousarray(PHOTO[:h, :w]) for h, w in ((64, 64), (17, 90), (128, 3))]
    padded = pad_batch(small)
    with_floats = type(padded)(padded.pixels.double() / 255, padded.sizes)
    for got, face in zip(resize_back(with_floats, 96, 128), small, strict=True):
        expected = cv2.resize(face.astype(np.float32) / 255, (128, 96), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(image(got), expected, atol=1e-6)
