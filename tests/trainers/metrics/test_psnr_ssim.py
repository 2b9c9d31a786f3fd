"""PSNR and SSIM are those of basicsr and scikit-image on the saved images."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from facerefs.trainers.metrics.psnr_ssim import psnr, quantise_uint8, ssim
from tests.stages.degrade.basicsr_oracle import degradations
from tests.stages.degrade.oracle import needs_basicsr

figures = pytest.mark.parametrize("figure", [psnr, ssim])


def _images() -> tuple[Tensor, Tensor]:
    """Faces, and the same with noise of differing strength that leaves the range."""
    photo = torch.from_numpy(skimage.data.astronaut()[:96, 170:250].copy()).permute(2, 0, 1) / 127.5 - 1
    generator = torch.Generator().manual_seed(2)
    truth = torch.stack([photo, photo.flip(2), photo.flip(0)]) + 0.01
    strength = torch.tensor([0.01, 0.1, 0.5])[:, None, None, None]
    return truth + strength * torch.randn(truth.shape, generator=generator), truth


def _saved(images: Tensor) -> list[NDArray[np.uint8]]:
    """As a file has them: (H, W, 3)."""
    return [
        np.clip(np.round((image.permute(1, 2, 0).double().numpy() + 1) / 2 * 255), 0, 255).astype(np.uint8)
        for image in images
    ]


def test_psnr_is_that_of_scikit_image() -> None:
    restored, truth = _images()
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(_saved(restored), _saved(truth), strict=True)]
    found = psnr(restored, truth)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    assert found[0] > found[1] > found[2]


def test_ssim_is_that_of_scikit_image() -> None:
    restored, truth = _images()
    expected = [
        structural_similarity(
            a,
            b,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for a, b in zip(_saved(restored), _saved(truth), strict=True)
    ]
    found = ssim(restored, truth)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


@needs_basicsr
def test_both_are_those_of_basicsr() -> None:
    degradations()  # makes basicsr importable
    from basicsr.metrics import calculate_psnr, calculate_ssim

    restored, truth = _images()
    pairs = list(zip(_saved(restored), _saved(truth), strict=True))
    assert psnr(restored, truth).tolist() == pytest.approx(
        [calculate_psnr(*pair, 0) for pair in pairs], abs=1e-9
    )
    assert ssim(restored, truth).tolist() == pytest.approx(
        [calculate_ssim(*pair, 0) for pair in pairs], abs=1e-9
    )


def test_equal_images_have_infinite_psnr_and_an_ssim_of_one() -> None:
    _, truth = _images()
    assert (psnr(truth, truth + 1e-4) == math.inf).all()  # less than half a level
    assert torch.allclose(ssim(truth, truth), torch.ones(3, dtype=torch.float64), atol=1e-12)


@figures
def test_an_image_that_is_not_a_number_has_a_figure_that_is_none(
    figure: Callable[[Tensor, Tensor], Tensor],
) -> None:
    restored, truth = _images()
    restored[1, 0, 50, 40] = math.nan
    assert figure(restored, truth).isnan().tolist() == [False, True, False]


def test_every_level_comes_back_from_single_precision() -> None:
    stored = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise_uint8(stored.float() / 255 * 2 - 1), stored.double())
    assert quantise_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_images_below_the_window_are_refused() -> None:
    assert ssim(torch.zeros(1, 3, 11, 11), torch.zeros(1, 3, 11, 11)).tolist() == pytest.approx([1])
    with pytest.raises(ValueError, match=r"at least 11 px, not \(10, 12\)"):
        ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))
