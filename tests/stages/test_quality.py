"""Sharpness falls with blur whatever the crop's size; NIQE tells a photo from its ruin."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.data import astronaut

from stages import quality


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


def test_a_flat_crop_has_no_sharpness_and_no_niqe() -> None:
    flat = np.full((512, 512, 3), 128, dtype=np.uint8)
    assert quality.sharpness(flat) == 0
    assert quality.niqe(flat) is None


def test_niqe_prefers_the_photo_to_its_noisy_copy() -> None:
    clean = np.asarray(portrait())
    noise = np.random.default_rng(0).normal(0, 40, clean.shape)
    noisy = (clean + noise).clip(0, 255).astype(np.uint8)
    photo, ruin = quality.niqe(clean), quality.niqe(noisy)
    assert photo is not None
    assert ruin is not None
    assert photo < ruin
