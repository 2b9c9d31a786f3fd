"""Local normalisation and the fits of asymmetric Gaussians against literal versions and known distributions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import gamma

from facerefs.stages.quality.natural_scene import fit_aggd, normalise_contrast

SHAPES = np.arange(0.2, 10.001, 0.001)
RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
ROWS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24),
    elements=st.one_of(st.just(0.0), st.floats(-4, 4, width=32).filter(lambda value: abs(value) > 1e-3)),
)


def literal_fit(values: np.ndarray) -> tuple[float, float, float]:
    """One row at a time, by the table of all shapes, as the authors' code."""
    below, above = values[values < 0], values[values > 0]
    if len(below) == 0 or len(above) == 0:
        sides = [np.sqrt(np.mean(side**2)) if len(side) else np.nan for side in (below, above)]
        return 0.2, sides[0], sides[1]
    left, right = np.sqrt(np.mean(below**2)), np.sqrt(np.mean(above**2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return SHAPES[np.argmin((RATIOS - ratio) ** 2)], left, right


@settings(max_examples=50)
@given(ROWS)
def test_a_fit_of_many_rows_is_that_of_each_row_by_the_literal_table(values: np.ndarray) -> None:
    found = fit_aggd(values)
    expected = np.array([literal_fit(row.astype(np.float64)) for row in values]).T
    np.testing.assert_allclose(
        found.shape, expected[0], atol=0.0011
    )  # a tie of two shapes may fall either way
    np.testing.assert_allclose(found.left, expected[1], rtol=1e-5, equal_nan=True)
    np.testing.assert_allclose(found.right, expected[2], rtol=1e-5, equal_nan=True)


@settings(max_examples=50)
@given(ROWS)
def test_mirrored_values_swap_the_sides(values: np.ndarray) -> None:
    one, other = fit_aggd(values), fit_aggd(-values)
    np.testing.assert_allclose(one.left, other.right, rtol=1e-6, equal_nan=True)
    np.testing.assert_allclose(one.shape, other.shape, atol=0.0011)


def test_the_shape_of_known_distributions_is_found() -> None:
    random = np.random.default_rng(0)
    drawn = np.stack([random.normal(0, 3, 400_000), random.laplace(0, 3, 400_000)]).astype(np.float32)
    found = fit_aggd(drawn)
    assert found.shape == pytest.approx([2, 1], abs=0.02)
    assert found.left == pytest.approx([3, 3 * np.sqrt(2)], rel=0.01)
    assert found.mean == pytest.approx([0, 0], abs=0.02)


def test_the_mean_of_a_skewed_fit_is_near_that_of_its_values() -> None:
    random = np.random.default_rng(0)
    left, right = 1.0, 3.0  # a value falls on a side with the side's share of the width
    sides = np.where(random.random(400_000) < left / (left + right), -left, right)
    values = np.abs(random.normal(0, 1, sides.shape)) * sides
    found = fit_aggd(values[None].astype(np.float32))
    assert found.shape[0] == pytest.approx(2, abs=0.02)
    assert found.mean[0] == pytest.approx(values.mean(), abs=0.02)


def test_normalised_luminance_is_the_papers_formula() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (12, 17)).astype(np.float32)
    window = np.array(
        [[np.exp(-(x * x + y * y) / (2 * (7 / 6) ** 2)) for x in range(-3, 4)] for y in range(-3, 4)]
    )
    window /= window.sum()
    padded = np.pad(luma.astype(np.float64), 3, mode="edge")
    expected = np.empty(luma.shape)
    for row, column in np.ndindex(luma.shape):
        patch = padded[row : row + 7, column : column + 7]
        mean = (window * patch).sum()
        expected[row, column] = (luma[row, column] - mean) / (
            np.sqrt((window * (patch - mean) ** 2).sum()) + 1
        )
    np.testing.assert_allclose(normalise_contrast(luma), expected, atol=1e-4)


@given(st.floats(0, 255, width=32))
def test_a_flat_area_of_any_brightness_is_exactly_zero(level: float) -> None:
    assert not normalise_contrast(np.full((9, 11), level, dtype=np.float32)).any()
