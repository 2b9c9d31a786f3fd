"""Natural scene statistics for NIQE and BRISQUE: contrast-normalised luminance and fitted generalised Gaussians."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import gamma

from facerefs.schemas.arrays import Float32s, Float64s

_OFFSETS_PX = np.arange(-3, 4)
_WINDOW = np.exp(-(_OFFSETS_PX**2) / (2 * (7 / 6) ** 2))
_WINDOW /= _WINDOW.sum()
_SHAPES = np.arange(0.2, 10.001, 0.001)  # the shapes that a fit chooses from, as in the code of both papers


@dataclass(frozen=True, eq=False)
class AsymmetricGaussians:
    """Asymmetric generalised Gaussian distributions (AGGD; Mittal et al. 2013, eq. 4), (N,); NaN if a side is empty."""

    shape: Float64s  # 0.2 to 10; 2 is the Gaussian, 1 the Laplacian
    left: Float64s  # root mean square of the values below 0
    right: Float64s  # root mean square of the values above 0

    @property
    def scale(self) -> Float64s:
        """The factor that turns the root mean square of a side into its beta (eq. 5 and 6)."""
        scale: Float64s = np.sqrt(gamma(1 / self.shape) / gamma(3 / self.shape))
        return scale

    @property
    def mean(self) -> Float64s:
        """The mean of each fitted distribution (eq. 8)."""
        mean: Float64s = (self.right - self.left) * self.scale * gamma(2 / self.shape) / gamma(1 / self.shape)
        return mean


def normalise_contrast(luma: Float32s) -> Float32s:
    """Contrast-normalised luminance: (luma - local mean) / (local deviation + 1) (Mittal et al. 2013, eq. 1 to 3).

    luma: (H, W) float32, 0 to 255. The 7x7 window replicates the edge. Flat areas give 0: the mean is rounded to
    float32, since otherwise their sign, which the fits count, would be that of a rounding error.
    """
    mean = _smooth(luma)
    deviation = np.sqrt(np.abs(_smooth(luma * luma) - mean * mean))
    normal: Float32s = (luma - mean) / (deviation + 1)
    return normal


def fit_aggd(values: Float32s) -> AsymmetricGaussians:
    """The AGGD fitted to each row of values (N, M) float32, by moments (Lasmar et al. 2009).

    Values of exactly 0 are on neither side. Without a fit, `shape` is 0.2 and a side is NaN.
    """
    size = np.abs(values)
    squares = np.einsum("ij,ij->i", values, values, dtype=np.float64)
    signed = np.einsum(
        "ij,ij->i", values, size, dtype=np.float64
    )  # squares of the right less those of the left
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt((squares - signed) / 2 / np.count_nonzero(values < 0, axis=1))
        right = np.sqrt((squares + signed) / 2 / np.count_nonzero(values > 0, axis=1))
        skew = left / right
        moments = size.mean(axis=1, dtype=np.float64) ** 2 / (squares / values.shape[1])
        moments *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return AsymmetricGaussians(_shape_with(moments), left, right)


def _smooth(luma: Float32s) -> Float32s:
    smooth = cv2.sepFilter2D(luma, cv2.CV_64F, _WINDOW, _WINDOW, borderType=cv2.BORDER_REPLICATE)
    return smooth.astype(np.float32)


def _shape_with(moments: Float64s) -> Float64s:
    """The shapes whose ratio of squared mean magnitude to mean square is nearest; the smallest shape for NaN."""
    shapes: Float64s = _SHAPES[np.where(np.isnan(moments), 0, np.searchsorted(_between(), moments))]
    return shapes


@functools.cache
def _between() -> Float64s:
    """The ratios halfway between those of neighbouring shapes, in ascending order."""
    ratios = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
    between: Float64s = (ratios[1:] + ratios[:-1]) / 2
    return between
