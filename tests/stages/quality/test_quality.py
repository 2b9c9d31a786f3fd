"""Sharpness falls with blur whatever the crop's size; NIQE and BRISQUE are taken at 512x512."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.data import astronaut

from facerefs.stages.quality import quality

needs_niqe = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None, reason="basicsr is not installed"
)
needs_brisque = pytest.mark.skipif(
    importlib.util.find_spec("brisque") is None, reason="the package brisque is not installed"
)
NIQE = pytest.param(quality.niqe, marks=needs_niqe, id="niqe")
BRISQUE = pytest.param(quality.brisque, marks=needs_brisque, id="brisque")


def portrait(size_px: int = 512) -> Image.Image:
    """A real face with shoulders, sharp."""
    return Image.fromarray(astronaut()[:256, 96:352]).resize((size_px, size_px), Image.Resampling.LANCZOS)


def test_sharpness_falls_with_every_step_of_blur() -> None:
    blurred = [portrait().filter(ImageFilter.GaussianBlur(sigma)) for sigma in (0, 1, 2, 4, 8)]
    figures = [quality.sharpness(np.asarray(image)) for image in blurred]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 20 * figures[-1]


def test_sharpness_is_that_of_the_middle_half_by_definition() -> None:
    from scipy.ndimage import laplace

    crop = np.asarray(portrait())
    grey = np.asarray(Image.fromarray(crop).convert("L"), dtype=float)
    assert quality.sharpness(crop) == pytest.approx(laplace(grey)[128:384, 128:384].var())
    framed = crop.copy()
    framed[:100], framed[:, :100], framed[-100:], framed[:, -100:] = 0, 255, 0, 255
    assert quality.sharpness(framed) == quality.sharpness(crop)


def test_sharpness_compares_across_crop_sizes() -> None:
    small, large = np.asarray(portrait(512)), np.asarray(portrait(1024))
    assert quality.sharpness(large) == pytest.approx(quality.sharpness(small), rel=0.15)


def test_a_flat_crop_has_no_sharpness() -> None:
    assert quality.sharpness(np.full((512, 512, 3), 128, dtype=np.uint8)) == 0


@pytest.mark.parametrize("measure", [NIQE, BRISQUE])
def test_a_flat_crop_has_neither_niqe_nor_brisque(measure: Callable[[np.ndarray], float | None]) -> None:
    assert measure(np.full((512, 512, 3), 128, dtype=np.uint8)) is None


@pytest.mark.parametrize("measure", [NIQE, BRISQUE])
def test_a_photo_is_better_than_its_noisy_copy(measure: Callable[[np.ndarray], float | None]) -> None:
    clean = np.asarray(portrait())
    noise = np.random.default_rng(0).normal(0, 40, clean.shape)
    noisy = (clean + noise).clip(0, 255).astype(np.uint8)
    photo, ruin = measure(clean), measure(noisy)
    assert photo is not None
    assert ruin is not None
    assert photo < ruin


@pytest.mark.parametrize("measure", [NIQE, BRISQUE])
def test_the_figures_of_a_large_crop_are_those_of_it_at_512(measure: Callable[[np.ndarray], float]) -> None:
    large = portrait(1024)
    small = large.resize((512, 512), Image.Resampling.LANCZOS)
    assert measure(np.asarray(large)) == measure(np.asarray(small))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("measure", "limit"),
    [
        pytest.param(quality.niqe, 6.0, marks=needs_niqe),
        pytest.param(quality.brisque, 40.0, marks=needs_brisque),
    ],
)
def test_sharp_real_faces_pass_and_their_degraded_copies_fail(
    measure: Callable[[np.ndarray], float | None], limit: float, shared_faces: Path
) -> None:
    photos = [
        Image.open(path).convert("RGB") for path in sorted(shared_faces.glob("aligned512/*/*.png"))[::8]
    ]
    ruins = [photo.filter(ImageFilter.GaussianBlur(6)) for photo in photos]
    assert all(figure is not None and figure < limit for figure in map(measure, map(np.asarray, photos)))
    assert all(figure is not None and figure > limit for figure in map(measure, map(np.asarray, ruins)))
