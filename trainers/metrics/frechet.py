"""The Fréchet distance of two sets of features, as Gaussians: FID if they are Inception's (Heusel et al. 2017)."""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, Float64s


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The mean (D,) of features and a factor F (R, D) of their covariance F^T F, with R at most D."""

    mean: Float64s
    factor: Float64s


def gaussian_of(features: Float32s | Float64s) -> Gaussian:
    """Mean and unbiased covariance of features (N, D), in float64. Raises ValueError for fewer than two."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 images, not {len(features)}")
    exact = np.asarray(features, np.float64)
    mean = exact.mean(axis=0)
    spread = (exact - mean) / np.sqrt(len(exact) - 1)
    if len(spread) <= spread.shape[1]:
        return Gaussian(mean, spread)
    values, vectors = np.linalg.eigh(spread.T @ spread)
    return Gaussian(mean, np.sqrt(values.clip(min=0))[:, None] * vectors.T)


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """`|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`: eq. 6 of Heusel et al., "GANs trained by TTUR", 2017.

    With factors F1 and F2, `C1 C2` has the eigenvalues of the symmetric `F1 F2^T F2 F1^T`, which are real also where
    covariances are singular, as those of fewer images than features are; and then there are only as many.
    """
    product = one.factor @ other.factor.T
    squares = product @ product.T if len(product) <= product.shape[1] else product.T @ product
    root_trace = np.sqrt(np.linalg.eigvalsh(squares).clip(min=0)).sum()
    traces = np.square(one.factor).sum() + np.square(other.factor).sum()
    return float(np.square(one.mean - other.mean).sum() + traces - 2 * root_trace)
