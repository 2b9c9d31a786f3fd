"""Colour operations against torchvision, OpenCV and arithmetic."""

import cv2
import numpy as np
import pytest
import torch

from facerefs.schemas.operations import (
    Brightness,
    ColourShift,
    Contrast,
    Gray,
    Hue,
    Jpeg,
    Mirror,
    Operation,
    Resize,
    Saturation,
)
from facerefs.stages.degrade.apply_theta import degrade, degrade_exactly
from tests.stages.degrade.oracle import FLOAT, PHOTO, batch, image, needs_basicsr, opencv_sequence

SMALL = FLOAT[60:220, 150:290]


@needs_basicsr
@pytest.mark.parametrize(
    ("operation", "tolerance"),
    [
        *[(Brightness(factor), 1e-6) for factor in (0.0, 0.5, 1.0, 1.5, 4.0)],
        # torchvision's luma is 0.2989, 0.587, 0.114: its sum is 0.9999.
        *[(Contrast(factor), 2e-4 * max(1, factor)) for factor in (0.0, 0.5, 1.0, 1.5, 4.0)],
        *[(Saturation(factor), 2e-4 * max(1, factor)) for factor in (0.0, 0.5, 1.0, 1.5, 4.0)],
        *[(Hue(turn), 2e-6) for turn in (-0.5, -0.1, 0.0, 0.05, 0.1, 1 / 3, 0.5)],
    ],
    ids=str,
)
def test_colours_are_those_of_torchvision(operation: Operation, tolerance: float) -> None:
    expected = opencv_sequence(SMALL, (operation,))
    for dtype in (torch.float32, torch.float64):
        got = image(degrade(batch(SMALL, dtype=dtype), [(operation,)]).pixels[0])
        np.testing.assert_allclose(got, expected, atol=tolerance)


def test_hue_of_pure_colours_and_of_grays_is_turned_as_it_should_be() -> None:
    colours = np.array([[[1, 0, 0], [0, 1, 0], [1, 1, 0], [0.5, 0.5, 0.5], [0, 0, 0], [1, 1, 1]]], np.float32)
    got = image(degrade(batch(colours), [(Hue(1 / 3),)]).pixels[0])[0]
    expected = [[0, 1, 0], [0, 0, 1], [0, 1, 1], [0.5, 0.5, 0.5], [0, 0, 0], [1, 1, 1]]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_contrast_sees_only_what_belongs_to_the_image() -> None:
    """The mean of a small image among large ones is its own."""
    thetas = [(Resize(30, 20, "area"), Contrast(0.4)), (Contrast(0.4),)]
    small, _ = degrade(batch(SMALL, SMALL, dtype=torch.float64), thetas).pixels
    alone = degrade(batch(SMALL, dtype=torch.float64), thetas[:1]).pixels[0]
    np.testing.assert_allclose(small[:, :20, :30], alone, atol=1e-12)


def test_colour_shifts_rgb_in_this_order_and_gray_is_luma() -> None:
    (shifted,) = degrade_exactly(batch(FLOAT), [(ColourShift(red=20.0, green=0.0, blue=-30.0),)])
    np.testing.assert_array_equal(shifted.image, np.clip(PHOTO + np.array([20, 0, -30]), 0, 255))
    (gray,) = degrade_exactly(batch(FLOAT), [(Gray(),)])
    luma = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    assert np.abs(gray.image.astype(int) - luma[..., None]).max() <= 1


def test_mirror_exchanges_left_and_right_of_each_image_in_its_own_size() -> None:
    (mirrored,) = degrade_exactly(batch(SMALL), [(Mirror(),)])
    np.testing.assert_array_equal(mirrored.image, (SMALL[:, ::-1] * 255).round())
    resize = Resize(30, 20, "bilinear")
    turned, _ = degrade(batch(SMALL, SMALL), [(resize, Mirror()), ()]).pixels
    straight = degrade(batch(SMALL), [(resize,)]).pixels[0]
    torch.testing.assert_close(turned[:, :20, :30], straight.flip(2))


def test_colour_before_jpeg_is_close_to_gfpgan_which_has_it_after() -> None:
    shift = ColourShift(red=15.0, green=-10.0, blue=-18.0)
    before = (Resize(97, 97, "bilinear"), shift, Jpeg(71, "4:2:0"))
    after = (Resize(97, 97, "bilinear"), Jpeg(71, "4:2:0"), shift)
    ours, theirs = degrade_exactly(batch(FLOAT, FLOAT), [before, after])
    assert cv2.PSNR(ours.image, theirs.image) > 34
