"""The Fréchet distance is that of the formula, also with fewer images than features."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from facerefs.trainers.metrics.frechet import frechet_distance, gaussian_of


def features(count: int, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) * 0.3 + rng.normal(size=size)


def literal(one: np.ndarray, other: np.ndarray) -> float:
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.trace(sqrtm(a @ b)).real
    return float(np.square(one.mean(0) - other.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * root)


@pytest.mark.parametrize(("ones", "others"), [(60, 80), (30, 12), (8, 9)])
def test_it_is_the_formula(ones: int, others: int) -> None:
    one, other = features(ones, 20, 0), features(others, 20, 1)
    found = frechet_distance(gaussian_of(one), gaussian_of(other))
    assert found == pytest.approx(literal(one, other), rel=1e-4)
    assert frechet_distance(gaussian_of(other), gaussian_of(one)) == pytest.approx(found, rel=1e-9)


def test_equal_sets_are_0_apart() -> None:
    one = features(9, 30, 0)
    assert frechet_distance(gaussian_of(one), gaussian_of(one)) == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        gaussian_of(one[:1])


def test_torchmetrics_has_the_same() -> None:
    from facerefs.stages.quality.torchvision_compat import import_torchvision

    import_torchvision()
    fid = pytest.importorskip("torchmetrics.image.fid")
    import torch

    one, other = features(50, 16, 0), features(40, 16, 1)
    moments = [
        moment
        for some in (one, other)
        for moment in (torch.tensor(some.mean(0)), torch.cov(torch.tensor(some).T))
    ]
    expected = float(fid._compute_fid(*moments))
    assert frechet_distance(gaussian_of(one), gaussian_of(other)) == pytest.approx(expected, rel=1e-6)
