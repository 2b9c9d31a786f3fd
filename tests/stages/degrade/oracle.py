"""An independent implementation of theta, by OpenCV, libjpeg, basicsr, torchvision, SciPy and NumPy."""

import importlib.util
from unittest import mock

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from scipy.stats import poisson

from facerefs.schemas.operations import (
    AnyBlur,
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
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.operations.kernels import motion_kernels
from tests.stages.degrade.basicsr_oracle import degradations

Floats = NDArray[np.floating]

needs_basicsr = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None,
    reason="basicsr is not installed (it needs Python 3.12 or older)",
)
PHOTO = skimage.data.astronaut()  # (512, 512, 3) RGB
FLOAT = PHOTO.astype(np.float32) / 255
MODES = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def batch(*images: Floats, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(H, W, 3) images to (B, 3, H, W)."""
    return torch.from_numpy(np.stack(images)).to(dtype).permute(0, 3, 1, 2).contiguous()


def image(pixels: torch.Tensor) -> NDArray[np.float64]:
    """(3, H, W) to (H, W, 3)."""
    return pixels.detach().permute(1, 2, 0).double().numpy()


def psnr(one: Floats | torch.Tensor, other: Floats | torch.Tensor) -> float:
    """In dB, of values in [0, 1]; 200 at most."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(-10 * np.log10(max(np.mean(difference**2), 1e-20)))


def opencv_sequence(photo: Floats, theta: Theta) -> Floats:
    """The image after theta, by other libraries, step by step, in BGR and float32 as basicsr's loaders run.

    photo: (H, W, 3) RGB in [0, 1]. The random numbers are theta's, taken from NumPy's Philox. Returns RGB,
    clipped at the end only.
    """
    bgr = np.ascontiguousarray(photo[..., ::-1], np.float32)
    for operation in theta:
        bgr = np.ascontiguousarray(_step(bgr, operation), np.float32)
    return bgr[..., ::-1].clip(0, 1)


def _step(bgr: Floats, operation: Operation) -> Floats:
    match operation:
        case Blur() | GeneralisedBlur() | PlateauBlur() | SincBlur() | MotionBlur():
            return cv2.filter2D(bgr, -1, kernel(operation)).reshape(bgr.shape)
        case Resize(width, height, "bicubic_antialias"):
            return matlab_resize(bgr, width / bgr.shape[1])
        case Resize(width, height, mode):
            return cv2.resize(bgr, (width, height), interpolation=MODES[mode]).reshape(height, width, 3)
        case Noise(sigma, gray, seed):
            drawn = normal(seed, bgr.shape, gray)
            with mock.patch("numpy.random.randn", lambda *shape: drawn.reshape(shape)):
                return degradations().add_gaussian_noise(bgr, sigma, gray_noise=gray)
        case PoissonNoise(scale, gray, seed):
            drawn = uniform(seed, bgr.shape, gray)
            quantile = lambda mean: poisson.ppf(drawn.reshape(mean.shape), mean)  # noqa: E731
            with (
                mock.patch("numpy.random.poisson", quantile),
                mock.patch(
                    "numpy.unique", return_value=range(256)
                ),  # 256 photons, whatever the image's levels
            ):
                return degradations().add_poisson_noise(bgr, scale, gray_noise=gray)
        case Jpeg(quality, "4:2:0"):
            return degradations().add_jpg_compression(bgr, quality)
        case Jpeg(quality, _):
            full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
            _, data = cv2.imencode(".jpg", bgr.clip(0, 1) * 255, [cv2.IMWRITE_JPEG_QUALITY, quality, *full])
            return np.float32(cv2.imdecode(data, cv2.IMREAD_COLOR)) / 255
        case ColourShift(red, green, blue):
            return np.clip(bgr + np.array([blue, green, red], np.float32) / 255, 0, 1)
        case Gray():
            return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)[..., None].repeat(3, axis=2)
        case Mirror():
            return bgr[:, ::-1]
    return _torchvision(bgr, operation)


def _torchvision(bgr: Floats, operation: Operation) -> Floats:
    degradations()  # makes torchvision importable
    from torchvision.transforms import functional

    change = {
        Brightness: functional.adjust_brightness,
        Contrast: functional.adjust_contrast,
        Saturation: functional.adjust_saturation,
        Hue: functional.adjust_hue,
    }[type(operation)]
    (number,) = vars(operation).values()
    return image(change(batch(bgr[..., ::-1])[0], number))[..., ::-1]


def kernel(blur: AnyBlur) -> Floats:
    """The kernel of a blur by basicsr; that of a motion blur by us, since basicsr has none."""
    match blur:
        case Blur(taps, x, y, angle):
            return degradations().bivariate_Gaussian(taps, x, y, angle, isotropic=False)
        case GeneralisedBlur(taps, x, y, angle, beta):
            return degradations().bivariate_generalized_Gaussian(taps, x, y, angle, beta, isotropic=False)
        case PlateauBlur(taps, x, y, angle, beta):
            return degradations().bivariate_plateau(taps, x, y, angle, beta, isotropic=False)
        case SincBlur(taps, cutoff):
            with np.errstate(invalid="ignore"):  # it divides 0 by 0 in the middle, and mends that
                return degradations().circular_lowpass_kernel(cutoff, taps)
        case MotionBlur(taps, length, angle):
            numbers = torch.tensor([[length], [angle]], dtype=torch.float64)
            return motion_kernels(taps // 2, torch.tensor([taps]), *numbers)[0].numpy()


def matlab_resize(photo: Floats, scale: float) -> Floats:
    """MATLAB's imresize by basicsr."""
    degradations()  # makes basicsr importable
    from basicsr.utils.matlab_functions import imresize

    return imresize(photo, scale)


def uniform(seed: int, shape: tuple[int, ...], gray: bool) -> NDArray[np.float64]:
    """The uniform numbers of a seed for a BGR image (h, w, 3), or (h, w) if gray, by NumPy's Philox alone."""
    height, width, channels = shape
    count = height * width * (1 if gray else channels)
    words = np.random.Philox(key=seed).random_raw(4 * -(-count // 8)).view("<u4")
    numbers = (words + 0.5) / 2**32
    return _laid_out(numbers[:count], height, width, gray)


def normal(seed: int, shape: tuple[int, ...], gray: bool) -> NDArray[np.float64]:
    """The normal numbers of a seed, by Box and Muller (1958); shapes as `uniform`."""
    height, width, channels = shape
    count = height * width * (1 if gray else channels)
    words = np.random.Philox(key=seed).random_raw(4 * -(-count // 8)).view("<u4")
    one, other = ((words + 0.5) / 2**32).reshape(-1, 2).T
    turned = np.sqrt(-2 * np.log(one)) * np.exp(2j * np.pi * other)
    return _laid_out(np.stack([turned.real, turned.imag], 1).ravel()[:count], height, width, gray)


def _laid_out(numbers: NDArray[np.float64], height: int, width: int, gray: bool) -> NDArray[np.float64]:
    if gray:
        return numbers.reshape(height, width)
    return numbers.reshape(3, height, width).transpose(1, 2, 0)[..., ::-1]
