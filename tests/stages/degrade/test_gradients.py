"""Gradients: of each operation against finite differences, and of whole thetas."""

from functools import partial
from unittest import mock

import pytest
import torch

from facerefs.schemas.operations import (
    OPERATIONS,
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    Mirror,
    MotionBlur,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Resize,
    Saturation,
    SincBlur,
)
from facerefs.stages.degrade import apply_operation
from facerefs.stages.degrade.apply_theta import degrade, degrade_and_resize_back
from facerefs.stages.degrade.operations.padded_batch import sizes_of
from facerefs.stages.degrade.operations.soft_jpeg import soft_jpeg
from facerefs.stages.degrade.recipes import RECIPES, draw
from tests.stages.degrade.oracle import FLOAT, batch


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Values from 0.3 to 0.7: nothing is clipped by mild operations."""
    generator = torch.Generator().manual_seed(seed)
    return 0.3 + 0.4 * torch.rand(*shape, dtype=torch.float64, generator=generator)


SMOOTH: list[Operation] = [
    Mirror(),
    Blur(7, 2.0, 1.0, 0.5),
    GeneralisedBlur(5, 2.0, 1.0, 0.5, 2.0),
    PlateauBlur(5, 2.0, 1.0, 0.5, 2.0),
    SincBlur(7, 1.5),
    MotionBlur(7, 5.0, 0.3),
    *[Resize(4, 7, mode) for mode in ("bilinear", "bicubic", "area", "bicubic_antialias")],
    *[Resize(9, 3, mode) for mode in ("bilinear", "bicubic", "area", "bicubic_antialias")],
    Noise(5.0, False, 1),
    Noise(5.0, True, 1),
    ColourShift(10.0, -20.0, 5.0),
    Brightness(1.2),
    Contrast(1.3),
    Saturation(1.3),
    Hue(0.1),
    Gray(),
]


def test_every_operation_is_tried_here() -> None:
    """JPEG and the two kinds of noise have tests of their own."""
    assert {type(one) for one in SMOOTH} | {Jpeg, PoissonNoise} == set(OPERATIONS.values())


@pytest.mark.parametrize("operation", SMOOTH, ids=str)
def test_the_gradient_of_an_operation_is_that_of_finite_differences(operation: Operation) -> None:
    """In a batch with another operation, so that choosing and merging have theirs, too."""
    images = _random(2, 3, 6, 5).requires_grad_()
    other = (Resize(3, 4, "area"),)
    assert torch.autograd.gradcheck(lambda x: degrade(x, [(operation,), other]).pixels, images)


@pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
def test_the_gradient_of_jpeg_is_that_of_jpeg_without_rounding(chroma: str) -> None:
    sizes, quality = sizes_of([(9, 10), (4, 3)]), torch.tensor([90, 60])
    images = _random(2, 3, 9, 10).requires_grad_()
    smooth = partial(soft_jpeg, sizes=sizes, quality=quality, chroma=chroma, rounding=False)
    assert torch.autograd.gradcheck(smooth, images, fast_mode=True)
    weights = _random(2, 3, 9, 10, seed=1)
    rounded = soft_jpeg(images, sizes, quality, chroma)
    (one,) = torch.autograd.grad((rounded * weights).sum(), images)
    (other,) = torch.autograd.grad((smooth(images) * weights).sum(), images)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("operation", [Noise(120.0, False, 1), PoissonNoise(9.0, False, 1)], ids=str)
def test_through_noise_the_gradient_passes_where_nothing_is_clipped(operation: Operation) -> None:
    images = _random(1, 3, 16, 16).requires_grad_()
    noisy = degrade(images, [(operation,)]).pixels
    (gradient,) = torch.autograd.grad(noisy.sum(), images)
    inside = (noisy > 0) & (noisy < 1)
    assert 0.2 < inside.double().mean() < 1
    assert torch.equal(gradient, inside.double())


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_gradient_of_a_whole_theta_is_that_of_the_chain_without_rounding(recipe: str) -> None:
    """Shot noise apart, which is no function of the image to a gradient.

    The photos are pale, since brightened ones are clipped, with and without rounding at other pixels; and no two
    channels are equal, where hue has a corner.
    """
    photos = 0.3 + 0.25 * batch(*[FLOAT[60:220:2, 150:310:2]] * 3, dtype=torch.float64)
    photos = photos + 0.02 * _random(3, 3, 80, 80, seed=3)
    drawn = [draw(RECIPES[recipe], seed, 80) for seed in range(3)]
    thetas = [tuple(op for op in theta if not isinstance(op, PoissonNoise)) for theta in drawn]
    weights = _random(3, 3, 80, 80, seed=1)
    way = _random(3, 3, 80, 80, seed=2) - 0.5

    def loss(images: torch.Tensor) -> torch.Tensor:
        return (degrade_and_resize_back(images, thetas) * weights).sum((1, 2, 3))

    images = photos.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(images).sum(), images)
    assert gradient.isfinite().all()
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()
    with mock.patch.object(apply_operation, "soft_jpeg", partial(soft_jpeg, rounding=False)):
        small = 1e-5
        slope = (loss(photos + small * way) - loss(photos - small * way)) / (2 * small)
    torch.testing.assert_close((gradient * way).sum((1, 2, 3)), slope, rtol=0.05, atol=0.02)
