"""Intervals are over people, the same people for every method; nothing is said where nothing can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.evaluation.statistics import Bootstrap


def test_the_interval_is_that_of_a_literal_bootstrap_over_people() -> None:
    rng = np.random.default_rng(0)
    people = [f"person {number}" for number in range(12) for _ in range(1 + number % 4)]
    level = {person: rng.normal() for person in set(people)}
    values = np.array([level[person] + 0.1 * rng.normal() for person in people])
    found = Bootstrap(people, 4000, 0).estimate(values)
    names = sorted(set(people))
    of_person = {name: values[[person == name for person in people]] for name in names}
    means = [
        np.concatenate([of_person[name] for name in rng.choice(names, len(names))]).mean()
        for _ in range(4000)
    ]
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist(), abs=0.03)
    assert (found.samples, found.people) == (len(people), 12)


def test_samples_of_one_person_are_no_independent_samples() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=8), 50)
    clustered = Bootstrap([str(number // 50) for number in range(400)], 2000, 0).estimate(values)
    alone = Bootstrap([str(number) for number in range(400)], 2000, 0).estimate(values)
    assert clustered.low is not None and clustered.high is not None  # noqa: PT018
    assert alone.low is not None and alone.high is not None  # noqa: PT018
    assert clustered.high - clustered.low > 4 * (alone.high - alone.low)


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(2)
    people = [str(number) for number in range(30)]
    one = rng.normal(scale=5, size=30)
    other = one - 0.5 + 0.1 * rng.normal(size=30)
    bootstrap = Bootstrap(people, 2000, 0)
    found = bootstrap.difference(one, other)
    assert found.low is not None and found.low > 0.4  # noqa: PT018
    alone = bootstrap.estimate(one)
    assert alone.low is not None and alone.high is not None and alone.high - alone.low > 2  # noqa: PT018


def test_few_people_have_no_interval() -> None:
    bootstrap = Bootstrap(["a", "a", "b", "c"], 500, 0)
    assert bootstrap.estimate(np.array([1.0, 2.0, 3.0, np.nan])).low is None
    assert bootstrap.estimate(np.array([1.0, 2.0, 3.0, 4.0])).low is not None
    nothing = bootstrap.estimate(np.full(4, np.nan))
    assert (nothing.mean, nothing.samples, nothing.people) == (None, 0, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))),
        min_size=1,
        max_size=30,
    )
)
def test_the_mean_lies_within_what_was_measured(drawn: list[tuple[int, float]]) -> None:
    values = np.array([value for _, value in drawn])
    found = Bootstrap([str(person) for person, _ in drawn], 100, 0).estimate(values)
    known = values[np.isfinite(values)]
    assert found.samples == len(known)
    if found.low is not None:
        assert found.high is not None
        assert known.min() - 1e-6 <= found.low <= found.high <= known.max() + 1e-6
