"""Noise against NumPy, SciPy and basicsr, and that it is a pure function of its seed."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare, kstest, poisson

from facerefs.schemas.operations import Noise, PoissonNoise, Resize
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.apply_theta import degrade
from facerefs.stages.degrade.operations.philox import random_words
from tests.stages.degrade import oracle
from tests.stages.degrade.basicsr_oracle import degradations
from tests.stages.degrade.oracle import FLOAT, batch, image, needs_basicsr

EVEN_GRAY = np.full((64, 64, 3), 0.5, np.float32)
SEEDS = [0, 1, 7, 2**32 - 1, 2**32, 2**53 - 1]


def _noise(photo: NDArray[np.float32], operation: Noise | PoissonNoise) -> NDArray[np.float64]:
    """What was added, 0-255."""
    return (image(degrade(batch(photo, dtype=torch.float64), [(operation,)]).pixels[0]) - photo) * 255


@pytest.mark.parametrize("seed", SEEDS)
def test_random_words_are_those_of_numpys_philox(seed: int) -> None:
    """On a GPU our own code makes them; this is the same code on the CPU."""
    words = random_words(torch.tensor([5, seed]), [3, 1000])[3:].flatten().numpy().view(np.uint64)
    np.testing.assert_array_equal(words, np.random.Philox(key=seed).random_raw(4000))


@pytest.mark.parametrize("shape", [(64, 64, 3), (7, 3, 3), (1, 1, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("seed", SEEDS[::3])
def test_noise_is_box_and_mullers_of_numpys_numbers(shape: tuple[int, ...], gray: bool, seed: int) -> None:
    photo = np.full(shape, 0.5, np.float32)
    expected = oracle.normal(seed, shape, gray)
    expected = expected[..., None] if gray else expected[..., ::-1]  # from BGR
    np.testing.assert_allclose(_noise(photo, Noise(9.0, gray, seed)) / 9 - expected, 0, atol=1e-9)


def test_noise_is_standard_normal() -> None:
    photo = np.full((100, 200, 3), 0.5, np.float32)
    series = [_noise(photo, Noise(9.0, True, seed))[..., 0].ravel() / 9 for seed in range(50)]
    # One seed may well look odd; over many seeds, p-values are uniform.
    assert kstest([kstest(drawn, "norm").pvalue for drawn in series], "uniform").pvalue > 0.01
    assert abs(np.corrcoef(np.stack(series)) - np.eye(50)).max() < 0.04
    assert abs(np.corrcoef(series[0][:-1], series[0][1:])[0, 1]) < 0.04
    assert np.array_equal(_noise(photo[:1, :7], Noise(9.0, True, 5))[0, :, 0] / 9, series[5][:7])


def test_noise_has_its_sigma_is_clipped_and_gray_only_if_asked() -> None:
    colour, gray = _noise(EVEN_GRAY, Noise(12.0, False, 3)), _noise(EVEN_GRAY, Noise(12.0, True, 3))
    assert colour.std() == pytest.approx(12, rel=0.03)
    assert not np.array_equal(colour[..., 0], colour[..., 1])
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    extreme = degrade(batch(EVEN_GRAY), [(Noise(255.0, False, 3),)]).pixels
    assert (extreme.min(), extreme.max()) == (0, 1)


@pytest.mark.parametrize("level", [0, 1, 5, 40, 128, 254, 255])
def test_shot_noise_has_the_distribution_of_photons(level: int) -> None:
    """Unless clipped: so dark levels are brightened by less noise, on top of the darkest of white noise."""
    photo = np.full((96, 96, 3), level / 255, np.float32)
    scale = 0.01  # little enough to be clipped at neither end but for levels 0 and 255
    mean = level / 255 * 256
    noise = _noise(photo, PoissonNoise(scale, False, 11)) / scale / 255
    photons = (noise + level / 255) * 256
    if level == 255:
        photons = photons[noise < -1e-6]  # what is brighter than white is clipped
        assert len(photons) == pytest.approx(photo.size * poisson.cdf(255, mean), rel=0.03)
        return
    assert np.abs(photons - photons.round()).max() < 1e-3
    if level == 0:
        assert not photons.any()
        return
    counts = photons.round().astype(int).ravel()
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / counts.size))
    assert counts.var() == pytest.approx(mean, rel=4 * np.sqrt((2 + 1 / mean) / counts.size))
    ends = np.unique(poisson.ppf(np.linspace(0.05, 0.95, 19), mean))
    cells = np.bincount(np.searchsorted(ends, counts), minlength=len(ends) + 1)
    probability = np.diff(np.concatenate([[0], poisson.cdf(ends, mean), [1]]))
    assert chisquare(cells, probability * counts.size).pvalue > 1e-4


@needs_basicsr
@pytest.mark.parametrize("gray", [False, True])
def test_shot_noise_is_the_poisson_quantile_of_each_pixels_uniform_number(gray: bool) -> None:
    photo, operation = FLOAT[100:260, 100:300], PoissonNoise(1.7, gray, 5)
    got = image(degrade(batch(photo, dtype=torch.float64), [(operation,)]).pixels[0])
    expected = oracle.opencv_sequence(photo, (operation,))
    # In single precision, OpenCV's luma may round to another level.
    assert np.mean(np.abs(got - expected) > 1e-5) < (0.002 if gray else 1e-9)


@needs_basicsr
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_noise_has_the_moments_of_basicsrs_own(kind: str, gray: bool) -> None:
    """On a real photo, whose levels are more than 128, drawn by NumPy as basicsr does."""
    np.random.seed(0)  # noqa: NPY002 (it is what basicsr draws from)
    photo = 0.2 + 0.6 * FLOAT
    add = getattr(degradations(), f"add_{kind}_noise")
    theirs = add(np.ascontiguousarray(photo[..., ::-1]), 15 if kind == "gaussian" else 2.0, gray_noise=gray)
    theirs = theirs[..., ::-1] - photo
    ours: NDArray[np.float64] = _noise(photo, Noise(15.0, gray, 1)) / 255
    if kind == "poisson":
        ours = _noise(photo, PoissonNoise(2.0, gray, 1)) / 255
    bands = (photo.mean(2) * 6).astype(int)
    for band in np.unique(bands):
        one, other = theirs[bands == band], ours[bands == band]
        assert other.mean() == pytest.approx(one.mean(), abs=5 * one.std() / np.sqrt(len(one) / 2))
        assert other.std() == pytest.approx(one.std(), rel=5 / np.sqrt(len(one)) + 0.01)
    assert np.corrcoef(ours[..., 0].ravel(), ours[..., 2].ravel())[0, 1] == pytest.approx(
        float(gray), abs=0.02
    )


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize(
    "noise", [lambda gray: Noise(20.0, gray, 8), lambda gray: PoissonNoise(2.0, gray, 8)]
)
def test_noise_does_not_depend_on_the_padding(noise: object, gray: bool) -> None:
    """A smaller image among larger ones gets the noise that it gets alone, and so does each of the others."""
    assert callable(noise)
    sizes = [(40, 33), (7, 9), (64, 64), (1, 1)]
    thetas: list[Theta] = [(Resize(w, h, "bilinear"), noise(gray)) for w, h in sizes]
    images = batch(*[FLOAT[:64, :64]] * 4, dtype=torch.float64)
    together = degrade(images, thetas).pixels
    for got, one, theta, (w, h) in zip(together, images, thetas, sizes, strict=True):
        np.testing.assert_allclose(got[:, :h, :w], degrade(one[None], [theta]).pixels[0], atol=1e-12)
