"""NIQE, a score of how unnatural an image looks (Mittal, Soundararajan and Bovik, "Completely Blind", 2013)."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from facerefs.schemas.arrays import Float32s, Float64s, UInt8Image
from facerefs.stages.quality.basicsr import niqe_model_file
from facerefs.stages.quality.natural_scene import fit_aggd, normalise_contrast

_BLOCK_PX = 96
_SHIFTS_PX = (
    (0, 1),
    (1, 0),
    (1, 1),
    (1, -1),
)  # (down, right): the neighbour that each pixel is multiplied with
_LUMA_OF_RGB = np.array([[65.481, 128.553, 24.966]])  # ITU-R BT.601, 16 to 235
_HALVING = (
    np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
)  # bicubic (a = -1/2), antialiased, at half a pixel


def niqe(image: UInt8Image) -> float | None:
    """The NIQE score (eq. 10) of an image (H, W, 3); lower is more natural, good photos have 2 to 5.

    None if it is undefined, since fewer than two blocks of 96 px have texture. Equal to basicsr's `calculate_niqe`,
    whose model of natural images is used, and to the authors' MATLAB code, except that the half-size image is exact
    here and rounded to float32 there: the score differs by 0.001 (by more beside large flat areas).
    Raises BasicsrMissingError if basicsr is not installed.
    """
    natural = _natural()
    luma = _whole_blocks(_luma(image))
    if luma.size < 2 * _BLOCK_PX**2:
        return None
    features = np.hstack([_features(luma, _BLOCK_PX), _features(_halved(luma), _BLOCK_PX // 2)])
    textured = features[~np.isnan(features).any(axis=1)]
    if len(textured) < 2:
        return None
    away = natural.mean - np.nanmean(features, axis=0)  # of all blocks, as in the authors' code
    covariance = (natural.covariance + np.cov(textured, rowvar=False)) / 2
    return float(np.sqrt(away @ np.linalg.pinv(covariance) @ away))


@dataclass(frozen=True, eq=False)
class _Natural:
    mean: Float64s  # (36,) features of natural images
    covariance: Float64s  # (36, 36)


@functools.cache
def _natural() -> _Natural:
    with np.load(niqe_model_file(), allow_pickle=False) as file:
        return _Natural(file["mu_pris_param"][0], file["cov_pris_param"])


def _luma(image: UInt8Image) -> Float32s:
    """Luma rounded to integers, as float32; intermediate rounding is that of basicsr, so that ties are equal."""
    unit = (image.astype(np.float32) / np.float32(255)).astype(np.float64)
    luma = (cv2.transform(unit, _LUMA_OF_RGB) + 16) / 255
    whole: Float32s = np.round(luma.astype(np.float32) * np.float32(255))
    return whole


def _whole_blocks(luma: Float32s) -> Float32s:
    height, width = (side // _BLOCK_PX * _BLOCK_PX for side in luma.shape)
    return luma[:height, :width]


def _halved(luma: Float32s) -> Float32s:
    """Half the size by MATLAB's imresize(luma, 0.5), computed exactly."""
    border = cv2.BORDER_REFLECT
    smooth = cv2.sepFilter2D(luma, cv2.CV_64F, _HALVING, _HALVING, anchor=(3, 3), borderType=border)
    return smooth[::2, ::2].astype(np.float32)


def _features(luma: Float32s, side_px: int) -> Float64s:
    """The 18 features of each block (N, 18), NaN where a block has no texture."""
    blocks = _blocks(normalise_contrast(luma), side_px)
    own = fit_aggd(blocks.reshape(len(blocks), -1))
    features = [own.shape, own.scale * (own.left + own.right) / 2]
    for shift in _SHIFTS_PX:
        product = blocks * np.roll(blocks, shift, axis=(1, 2))
        pairs = fit_aggd(product.reshape(len(blocks), -1))
        features += [pairs.shape, pairs.mean, pairs.scale * pairs.left, pairs.scale * pairs.right]
    return np.stack(features, axis=1)


def _blocks(image: Float32s, side_px: int) -> Float32s:
    rows, columns = (side // side_px for side in image.shape)
    return image.reshape(rows, side_px, columns, side_px).swapaxes(1, 2).reshape(-1, side_px, side_px)
