"""BRISQUE: how distorted an image looks (Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment", 2012)."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facerefs.schemas.arrays import Float32s, Float64s
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.quality.natural_scene import fit, normalised

# Least and greatest of each feature in training, from the authors' release: a feature scales to -1 to 1 by them.
_LEAST = np.hstack(
    [
        [0.336999, 0.019667],
        [0.23, -0.125959, 0.000167, 0.000616, 0.231, -0.125873, 0.000165, 0.0006],
        [0.241, -0.128814, 0.000179, 0.000386, 0.243, -0.13308, 0.000182, 0.000421],
        [0.436998, 0.016929],
        [0.247, -0.200231, 0.000104, 0.000834, 0.257, -0.200017, 0.000112, 0.000876],
        [0.257, -0.155072, 0.000112, 0.000356, 0.258, -0.154374, 0.000117, 0.000351],
    ]
)
_GREATEST = np.hstack(
    [
        [9.999411, 0.807472],
        [1.644021, 0.202917, 0.712384, 0.468672, 1.644021, 0.169548, 0.713132, 0.467896],
        [1.553016, 0.101368, 0.687324, 0.533087, 1.554016, 0.101, 0.689177, 0.533133],
        [3.639918, 0.800955],
        [1.096995, 0.175286, 0.755547, 0.39927, 1.095995, 0.155928, 0.751488, 0.402398],
        [1.041992, 0.093209, 0.623516, 0.532925, 1.042992, 0.093714, 0.621958, 0.534484],
    ]
)


def brisque(image: npt.NDArray[np.uint8]) -> float | None:
    """BRISQUE of an image uint8 (H, W, 3) RGB: 0 is undistorted, 100 ruined; sharp photos go below 0 (no clamp).

    None where it is undefined: an image without texture. The model is the authors' own, trained on LIVE.
    Raises MissingWeights if the package brisque, which brings the model's file, is not there.
    """
    model = _model()
    scaled = -1 + 2 * (features(image) - _LEAST) / (_GREATEST - _LEAST)
    if np.isnan(scaled).any():
        return None
    distances = np.square(model.vectors - scaled).sum(axis=1)
    return float(model.weights @ np.exp(-model.gamma * distances) - model.rho)


def features(image: npt.NDArray[np.uint8]) -> Float64s:
    """The features (36,) float64 of an image uint8 (H, W, 3) RGB of at least 2x2, full size first; NaN where flat.

    As the authors' C++ release and OpenCV's QualityBRISQUE: grey levels of BT.601, edges continued outward, the
    half size by OpenCV's bicubic without antialiasing. The model was trained on these.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size_px = (luma.shape[1] // 2, luma.shape[0] // 2)
    half = cv2.resize(luma, size_px, interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)
    return np.hstack([_features(luma), _features(half)])


def _features(luma: Float32s) -> Float64s:
    normal = normalised(luma)
    own = fit(normal.reshape(1, -1))
    found = [own.shape, (own.left**2 + own.right**2) / 2]
    for rows, columns in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        pairs = fit((normal * _moved(normal, rows, columns)).reshape(1, -1))
        found += [pairs.shape, pairs.mean, pairs.left**2, pairs.right**2]
    return np.concatenate(found)


def _moved(image: Float32s, rows: int, columns: int) -> Float32s:
    """At each pixel its neighbour, that many rows below and columns to the right; 0 outside."""
    height, width = image.shape
    padded = np.pad(image, 1)
    return padded[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]


@dataclass(frozen=True, eq=False)
class _Model:
    """A support vector regression with a Gaussian kernel."""

    weights: Float64s  # (V,)
    vectors: Float64s  # (V, 36), scaled features
    gamma: float
    rho: float


@functools.cache
def _model() -> _Model:
    """The model from its file in the text format of LIBSVM: a header, then a weight and index:value pairs a line."""
    header, _, body = _model_file().read_text(encoding="ascii").partition("SV\n")
    said = dict(line.split(maxsplit=1) for line in header.splitlines())
    lines = [line.split() for line in body.splitlines()]
    vectors = np.zeros((len(lines), len(_LEAST)))
    for row, line in enumerate(lines):
        for pair in line[1:]:
            index, _, value = pair.partition(":")
            vectors[row, int(index) - 1] = float(value)
    weights = np.array([float(line[0]) for line in lines])
    return _Model(weights, vectors, float(said["gamma"]), float(said["rho"]))


def _model_file() -> Path:
    """The file is read without importing the package, whose own code needs a compiler and an older NumPy."""
    package = importlib.util.find_spec("brisque")
    for folder in (package.submodule_search_locations or []) if package else []:
        file = Path(folder, "models", "svm.txt")
        if file.is_file():
            return file
    raise MissingWeights("BRISQUE's trained model is not there: `pip install --no-deps brisque`")
