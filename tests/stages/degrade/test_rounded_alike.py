"""Pixels that are computed in single precision, and in double where rounding asks for it: those of double precision."""

import numpy as np
import pytest
import torch

from facerefs.schemas.operations import Jpeg
from facerefs.stages.degrade import rounded_alike
from facerefs.stages.degrade.apply_operation import apply_step
from facerefs.stages.degrade.program import ProgramStep, compile_thetas
from facerefs.stages.degrade.recipes import RECIPES, derive_seed, draw
from facerefs.stages.degrade.rounded_alike import begins_with_blur_and_noise, blurred_with_noise
from tests.stages.degrade.oracle import FLOAT, batch

CASES = [
    (recipe, seed, side)
    for recipe in ("gfpgan", "severe", "posevaried")
    for seed, side in enumerate((512, 256, 251, 64, 33, 16))
]


def steps_of(recipe: str, seed: int, side: int) -> tuple[ProgramStep, ...]:
    theta = draw(RECIPES[recipe], derive_seed(5, recipe, seed), side)
    (group,) = compile_thetas([theta], side, side).groups
    return group.steps


def rounded(image: torch.Tensor) -> np.ndarray:
    return (image * 255).round().numpy()


def in_double_precision(image: torch.Tensor, blur: ProgramStep, noise: ProgramStep) -> torch.Tensor:
    return apply_step(noise, apply_step(blur, image.double()))


@pytest.mark.parametrize(("recipe", "seed", "side"), CASES)
def test_pixels_are_those_of_double_precision(recipe: str, seed: int, side: int) -> None:
    image = batch(FLOAT[:side, -side:])
    steps = steps_of(recipe, seed, side)
    assert begins_with_blur_and_noise(steps)
    exact = in_double_precision(image, *steps[:2])
    made = blurred_with_noise(image, *steps[:2])
    np.testing.assert_array_equal(rounded(made), rounded(exact))
    assert (made - exact).abs().max() < 1e-6  # single precision is never off by half of its margin


def test_a_pixel_close_to_a_half_is_computed_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    image, (blur, noise, _) = batch(FLOAT[:64, :64]), steps_of("severe", 0, 64)
    exact = in_double_precision(image, blur, noise)
    assert (blurred_with_noise(image, blur, noise) - exact).abs().max() > 1e-9
    monkeypatch.setattr(rounded_alike, "_MARGIN", 1.0)  # all pixels are close to a half
    assert (blurred_with_noise(image, blur, noise) - exact).abs().max() < 1e-13


def test_where_many_pixels_are_close_to_a_half_all_is_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    image, (blur, noise, _) = batch(FLOAT), steps_of("gfpgan", 0, 512)
    monkeypatch.setattr(rounded_alike, "_MARGIN", 1.0)
    assert torch.equal(blurred_with_noise(image, blur, noise), in_double_precision(image, blur, noise))


def test_where_single_precision_is_too_far_off_all_is_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    image, (blur, noise, _) = batch(FLOAT), steps_of("gfpgan", 0, 512)
    monkeypatch.setattr(rounded_alike, "resized", lambda step, images, _: apply_step(step, images) + 1e-4)
    made = blurred_with_noise(image, blur, noise)
    assert torch.equal(made, in_double_precision(image, blur, noise))


def test_only_what_is_rounded_next_is_computed_so() -> None:
    steps = steps_of("gfpgan", 0, 64)
    assert [step.kind.operation for step in steps][-1] is Jpeg
    assert begins_with_blur_and_noise(steps[:2])
    assert not begins_with_blur_and_noise(steps[:1])
    assert not begins_with_blur_and_noise(steps[1:])
    assert not begins_with_blur_and_noise([*steps[:2], steps[1]])
    assert not any(begins_with_blur_and_noise(steps_of("bicubic", seed, 64)) for seed in range(3))
