"""Blurs against OpenCV and basicsr."""

import math

import cv2
import numpy as np
import pytest
import torch

from facerefs.schemas.operations import (
    AnyBlur,
    Blur,
    GeneralisedBlur,
    MotionBlur,
    PlateauBlur,
    Resize,
    SincBlur,
)
from facerefs.stages.degrade.apply_theta import degrade
from facerefs.stages.degrade.operations import kernels
from tests.stages.degrade.oracle import FLOAT, batch, image, kernel, needs_basicsr

GAUSSIANS = [(3.1, 1.2, 0.7), (0.1, 0.1, 0.0), (10.0, 9.0, -2.0), (0.5, 8.0, 3.0)]
BLURS: list[AnyBlur] = [
    *[Blur(41, *numbers) for numbers in GAUSSIANS],
    Blur(1, 2.0, 3.0, 0.4),
    Blur(7, 3.0, 3.0, 0.0),
    GeneralisedBlur(21, 2.5, 1.0, 0.3, 0.5),
    GeneralisedBlur(13, 1.5, 3.0, -1.0, 4.0),
    PlateauBlur(21, 2.5, 1.0, 0.3, 1.0),
    PlateauBlur(9, 1.5, 3.0, -1.0, 2.0),
    SincBlur(21, math.pi / 3),
    SincBlur(7, math.pi),
    SincBlur(1, 1.0),
    MotionBlur(31, 22.5, 0.5),
]


def _kernel(blur: AnyBlur, taps_of_the_largest: int = 41) -> torch.Tensor:
    make = {
        Blur: kernels.gaussian_kernels,
        GeneralisedBlur: kernels.generalised_kernels,
        PlateauBlur: kernels.plateau_kernels,
        SincBlur: kernels.sinc_kernels,
        MotionBlur: kernels.motion_kernels,
    }[type(blur)]
    taps, *numbers = vars(blur).values()
    columns = torch.tensor(numbers, dtype=torch.float64)[:, None]
    return make(taps_of_the_largest // 2, torch.tensor([taps]), *columns)[0]


@needs_basicsr
@pytest.mark.parametrize("blur", BLURS[:-1], ids=str)
def test_kernels_are_those_of_basicsr_in_the_middle_of_the_largest(blur: AnyBlur) -> None:
    edge = (41 - blur.taps) // 2
    tolerance = 5e-7 if isinstance(blur, SincBlur) else 1e-14  # torch's Bessel function errs by 4.5e-7
    np.testing.assert_allclose(_kernel(blur), np.pad(kernel(blur), edge), atol=tolerance)


@pytest.mark.parametrize("blur", BLURS, ids=str)
def test_kernels_sum_to_one(blur: AnyBlur) -> None:
    assert float(_kernel(blur).sum()) == pytest.approx(1)
    assert not _kernel(blur).isnan().any()


def test_a_flat_motion_kernel_is_a_mean_of_neighbours() -> None:
    seven, one = kernels.motion_kernels(4, torch.tensor([9, 9]), torch.tensor([7.0, 1.0]), torch.zeros(2))
    assert seven[4].tolist() == pytest.approx([0] + [1 / 7] * 7 + [0])
    assert seven.sum() == seven[4].sum()
    assert one[4, 4] == one.sum() == 1


def test_a_motion_kernel_lies_along_its_angle() -> None:
    made = _kernel(MotionBlur(41, 31.0, math.radians(30)))
    offset = torch.arange(41.0) - 20
    xx, yy = (made * offset**2).sum(), (made.T * offset**2).sum()
    xy = (made * offset[None, :] * offset[:, None]).sum()
    assert 0.5 * math.degrees(math.atan2(2 * xy, xx - yy)) == pytest.approx(30, abs=1)


@needs_basicsr
@pytest.mark.parametrize("size", [(512, 512), (33, 7), (9, 13), (2, 1), (1, 1)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 3e-6)], ids=str)
def test_blur_is_that_of_opencv_with_its_mirrored_borders(
    size: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    """Even where the kernel is many times as large as the image."""
    photo = FLOAT[: size[0], : size[1]]
    blurs = BLURS[::3] if size == (512, 512) else BLURS
    blurred = degrade(batch(*[photo] * len(blurs), dtype=dtype), [(blur,) for blur in blurs]).pixels
    for got, blur in zip(blurred, blurs, strict=True):
        expected = cv2.filter2D(photo.astype(np.float64), -1, kernel(blur), borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(image(got), expected.reshape(photo.shape), atol=tolerance)


def test_a_dot_becomes_the_kernel() -> None:
    """And angles turn from x towards y, which points down."""
    dot = np.zeros((41, 41, 3), np.float32)
    dot[20, 20] = 1
    got = image(degrade(batch(dot, dtype=torch.float64), [(Blur(21, 5.0, 1.0, 0.5),)]).pixels[0])[..., 0]
    np.testing.assert_allclose(got[10:31, 10:31], _kernel(Blur(21, 5.0, 1.0, 0.5), 21), atol=1e-12)
    assert got[22, 24] > 10 * got[18, 24]


@needs_basicsr
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area", "bicubic_antialias"])
@pytest.mark.parametrize(
    "blur", [Blur(41, 3.0, 3.0, 1.0), Blur(21, 0.1, 9.0, 0.0), Blur(3, 1.0, 4.0, 0.0)], ids=str
)
def test_a_blur_along_the_axes_before_a_resize_is_both_after_each_other(mode: str, blur: Blur) -> None:
    """`degrade` does both at once; a mirror between them, and one after, keeps them apart."""
    from facerefs.schemas.operations import Mirror

    for size in [(37, 53), (60, 60), (5, 7)]:
        photo, resize = FLOAT[: size[0], : size[1]], Resize(out_w=19, out_h=23, mode=mode)
        thetas = [(blur, resize), (blur, Mirror(), resize, Mirror())]
        together, apart = degrade(batch(photo, photo, dtype=torch.float64), thetas).pixels
        np.testing.assert_allclose(together, apart, atol=1e-12)
