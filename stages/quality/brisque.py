"""BRISQUE, a score of distortion (Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment", 2012)."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facerefs.schemas.arrays import Float32s, Float64s, UInt8Image
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.quality.natural_scene import fit_aggd, normalise_contrast

# Minimum and maximum of each feature in training, from the authors' release: they scale a feature to -1 to 1.
_MIN = np.hstack(
    [
        [0.336999, 0.019667],
        [0.23, -0.125959, 0.000167, 0.000616, 0.231, -0.125873, 0.000165, 0.0006],
        [0.241, -0.128814, 0.000179, 0.000386, 0.243, -0.13308, 0.000182, 0.000421],
        [0.436998, 0.016929],
        [0.247, -0.200231, 0.000104, 0.000834, 0.257, -0.200017, 0.000112, 0.000876],
        [0.257, -0.155072, 0.000112, 0.000356, 0.258, -0.154374, 0.000117, 0.000351],
    ]
)
_MAX = np.hstack(
    [
        [9.999411, 0.807472],
        [1.644021, 0.202917, 0.712384, 0.468672, 1.644021, 0.169548, 0.713132, 0.467896],
        [1.553016, 0.101368, 0.687324, 0.533087, 1.554016, 0.101, 0.689177, 0.533133],
        [3.639918, 0.800955],
        [1.096995, 0.175286, 0.755547, 0.39927, 1.095995, 0.155928, 0.751488, 0.402398],
        [1.041992, 0.093209, 0.623516, 0.532925, 1.042992, 0.093714, 0.621958, 0.534484],
    ]
)


def brisque(image: UInt8Image) -> float | None:
    """The BRISQUE score of an image (H, W, 3): 0 is undistorted, 100 very distorted; sharp photos go below 0.

    None if it is undefined, for an image without texture. The model is the authors' own, trained on LIVE.
    Raises MissingWeights if the package brisque, which brings the model's file, is not installed.
    """
    model = _model()
    scaled = -1 + 2 * (features(image) - _MIN) / (_MAX - _MIN)
    if np.isnan(scaled).any():
        return None
    distances = np.square(model.vectors - scaled).sum(axis=1)
    return float(model.weights @ np.exp(-model.gamma * distances) - model.rho)


def features(image: UInt8Image) -> Float64s:
    """The features (36,) float64 of an image (H, W, 3) of at least 2x2, those at full size first; NaN where it is flat.

    As in the authors' C++ release and OpenCV's QualityBRISQUE, on which the model was trained: grey levels of BT.601,
    edges replicated, half the size by OpenCV's bicubic without antialiasing.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size_px = (luma.shape[1] // 2, luma.shape[0] // 2)
    half = cv2.resize(luma, size_px, interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)
    return np.hstack([_features(luma), _features(half)])


def _features(luma: Float32s) -> Float64s:
    normal = normalise_contrast(luma)
    own = fit_aggd(normal.reshape(1, -1))
    found = [own.shape, (own.left**2 + own.right**2) / 2]
    for rows, columns in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        pairs = fit_aggd((normal * _shifted(normal, rows, columns)).reshape(1, -1))
        found += [pairs.shape, pairs.mean, pairs.left**2, pairs.right**2]
    return np.concatenate(found)


def _shifted(image: Float32s, rows: int, columns: int) -> Float32s:
    """The image shifted: at each pixel its neighbour, so many rows below and columns to the right; 0 outside."""
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
    """The model from its file in LIBSVM's text format: a header, then in each line a weight and index:value pairs."""
    header, _, body = _model_file().read_text(encoding="ascii").partition("SV\n")
    fields = dict(line.split(maxsplit=1) for line in header.splitlines())
    lines = [line.split() for line in body.splitlines()]
    vectors = np.zeros((len(lines), len(_MIN)))
    for row, line in enumerate(lines):
        for pair in line[1:]:
            index, _, value = pair.partition(":")
            vectors[row, int(index) - 1] = float(value)
    weights = np.array([float(line[0]) for line in lines])
    return _Model(weights, vectors, float(fields["gamma"]), float(fields["rho"]))


def _model_file() -> Path:
    """The path of the model file. The package is not imported, since its code needs a compiler and an older NumPy."""
    package = importlib.util.find_spec("brisque")
    for folder in (package.submodule_search_locations or []) if package else []:
        file = Path(folder, "models", "svm.txt")
        if file.is_file():
            return file
    raise MissingWeights("BRISQUE's trained model is not there: `pip install --no-deps brisque`")
