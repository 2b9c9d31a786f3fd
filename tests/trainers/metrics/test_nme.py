"""The error of landmarks, and how strongly a theta smears."""

import math

import numpy as np
import pytest
import torch

from facerefs.schemas.operations import Blur, Jpeg, MotionBlur, Noise, PlateauBlur, Resize, SincBlur
from facerefs.stages.degrade.apply_theta import degrade
from facerefs.stages.degrade.recipes import RECIPES, draw
from facerefs.trainers.metrics.nme import BINS, by_strength, nme, strength
from facerefs.trainers.models.common.tiny import REFINE_256


def test_the_error_is_the_mean_distance_over_that_of_the_outer_eye_corners() -> None:
    rng = np.random.default_rng(0)
    found, truth = (rng.uniform(0, 64, (3, 68, 2)) for _ in range(2))

    literal = []
    for one, other in zip(found, truth, strict=True):
        distances = [math.dist(a, b) for a, b in zip(one, other, strict=True)]
        literal.append(sum(distances) / 68 / math.dist(other[36], other[45]))

    assert nme(torch.tensor(found), torch.tensor(truth)).tolist() == pytest.approx(literal)


def test_strength_is_the_spread_of_a_dot_that_was_blurred() -> None:
    """The engine's own picture of a dot, in which the variance is measured."""
    theta = (Blur(21, 3.0, 1.5, 0.4), MotionBlur(9, 7.0, 1.0), PlateauBlur(7, 1.0, 1.0, 0.0, 1.5))
    dot = torch.zeros(1, 3, 65, 65, dtype=torch.float64)
    dot[..., 32, 32] = 1
    image = degrade(dot, [theta]).pixels[0, 0]
    place = torch.arange(65).double() - 32
    variance = ((image.sum(0) + image.sum(1)) * place**2).sum() / 2 / image.sum()

    assert strength([theta], 65).item() == pytest.approx(variance.item() ** 0.5 / 65, rel=1e-3)


def test_coarse_pixels_smear_by_half_their_side_and_blur_counts_in_pixels_of_its_time() -> None:
    blur = Blur(41, 2.0, 2.0, 0.0)
    small = Resize(128, 128, "area")

    coarse, after, before = strength([(small,), (small, blur), (blur, small)], 512).tolist()

    assert coarse == pytest.approx(2 / 512)
    assert after == pytest.approx(math.hypot(2, 8) / 512, rel=1e-3)
    assert before == pytest.approx(math.hypot(2, 2) / 512, rel=1e-3)


def test_what_does_not_smear_has_no_strength() -> None:
    theta = (Resize(1024, 1024, "area"), SincBlur(21, 1.5), Noise(20.0, False, 1), Jpeg(10, "4:2:0"))

    assert strength([theta, ()], 512).tolist() == [0.0, 0.0]


def test_severe_recipes_are_stronger_and_sizes_do_not_matter() -> None:
    medians = {
        name: strength([draw(RECIPES[name], seed, 512) for seed in range(60)], 512).median().item()
        for name in ("gfpgan", "refine")
    }

    assert 0.005 < medians["gfpgan"] < 0.015 < 0.02 < medians["refine"]
    assert strength([(Resize(16, 16, "area"),)], 64) == strength([(Resize(16, 16, "area"),)], 512)


def test_refine_at_256_px_is_as_strong_as_refine_at_512() -> None:
    whole = strength([draw(RECIPES["refine"], seed, 512) for seed in range(20)], 512)
    reduced = strength([draw(REFINE_256, seed, 256) for seed in range(20)], 256)

    torch.testing.assert_close(reduced, whole, atol=0.001, rtol=0)


def test_every_sample_is_in_one_bin() -> None:
    bins = by_strength(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 0.01, 0.0299, 9.0]))

    assert list(bins) == list(BINS)
    assert [values.nansum().item() for values in bins.values()] == [1.0, 2.0, 3.0, 4.0]
    assert sum(int((~values.isnan()).sum()) for values in bins.values()) == 4
