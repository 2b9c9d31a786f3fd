"""Whole recipes: `degrade` against basicsr's kernels and noise, OpenCV, MATLAB's rules and libjpeg, step by step."""

import cv2
import numpy as np
import pytest

from facerefs.schemas.operations import Jpeg, PoissonNoise
from facerefs.stages.degrade.apply_theta import degrade, degrade_and_resize_back, degrade_exactly
from facerefs.stages.degrade.recipes import RECIPES, derive_seed, draw
from tests.stages.degrade.oracle import FLOAT, batch, image, needs_basicsr, opencv_sequence, psnr

# At least so many dB between `degrade` in single precision and the others' result, small and as networks are fed:
# for any recipe, and for those that hold more. What is lost are single coefficients of JPEG that round the other way.
ANY_RECIPE_DB = (39, 40)
LOWEST_DB = {
    "gfpgan": (48, 49),
    "gfpgan_colour": (48, 49),
    "rdfr": (48, 49),
    "posevaried": (42, 43),
    "refine": (40, 41),
    "bicubic": (100, 100),
    "bicubic_x8": (100, 100),
    "bicubic_x16": (100, 100),
}
DRAWS = 6


@needs_basicsr
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_gives_the_pixels_of_basicsr_and_opencv(recipe: str) -> None:
    drawn = [draw(RECIPES[recipe], derive_seed(1, "parity", number), 512) for number in range(DRAWS)]
    images = batch(*[FLOAT] * DRAWS)
    full = degrade_and_resize_back(images, drawn)
    made = degrade(images, drawn)
    for theta, exact, soft, (height, width), fed in zip(
        drawn, degrade_exactly(images, drawn), made.pixels, made.sizes.shapes, full, strict=True
    ):
        theirs = opencv_sequence(FLOAT, theta)
        levels = (theirs * 255).round().clip(0, 255)
        # In single precision a pixel may round the other way before JPEG, and change its block a little.
        assert np.mean(exact.image != levels) < 0.1
        assert psnr(exact.image / 255, levels / 255) > 50
        low_db, full_db = LOWEST_DB.get(recipe, ANY_RECIPE_DB)
        assert psnr(image(soft[:, :height, :width]), theirs) > low_db
        assert psnr(image(fed), cv2.resize(theirs, (512, 512), interpolation=cv2.INTER_LINEAR)) > full_db


def test_every_floor_is_that_of_a_recipe() -> None:
    assert LOWEST_DB.keys() <= RECIPES.keys()


@needs_basicsr
@pytest.mark.parametrize("recipe", RECIPES)
def test_without_jpeg_only_single_precision_differs(recipe: str) -> None:
    for number in range(DRAWS):
        theta = draw(RECIPES[recipe], derive_seed(1, "parity", number), 512)
        before = tuple(operation for operation in theta if not isinstance(operation, Jpeg))
        made = degrade(batch(FLOAT), [before]).pixels[0]
        # Shot noise counts photons: where rounding moves a pixel over the edge to the next count, it is one more.
        counted = any(isinstance(operation, PoissonNoise) for operation in before)
        assert psnr(image(made), opencv_sequence(FLOAT, before)) > (70 if counted else 90)
