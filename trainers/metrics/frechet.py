"""The Fréchet distance of two sets of features, as Gaussians: FID if they are Inception's (Heusel et al. 2017)."""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, Float64s


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean (D,) and covariance (D, D) of features."""

    mean: Float64s
    covariance: Float64s


def gaussian_of(features: Float32s | Float64s) -> Gaussian:
    """Mean and unbiased covariance of features (N, D), in float64. Raises ValueError for fewer than two."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 images, not {len(features)}")
    exact = np.asarray(features, np.float64)
    return Gaussian(exact.mean(axis=0), np.atleast_2d(np.cov(exact, rowvar=False)))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """`|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`: eq. 6 of Heusel et al., "GANs trained by TTUR", 2017.

    The trace of the root is that of `(R C2 R)^(1/2)` with `R = C1^(1/2)`, which is symmetric: its eigenvalues are real
    also where the covariances are singular, as those of fewer images than features are.
    """
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ other.covariance @ root).clip(min=0)
    apart = np.square(one.mean - other.mean).sum()
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return float(apart + traces - 2 * np.sqrt(shared).sum())
