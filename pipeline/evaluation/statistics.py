"""Means with 95 % intervals by a bootstrap over people, and paired differences between methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facerefs.schemas.arrays import Float64s

LEAST_PEOPLE = 3
FEW_PEOPLE = 10
"""Below this an interval by percentiles is said to be too narrow."""
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; None where it cannot be given. samples, people: that have the figure."""

    mean: float | None
    low: float | None
    high: float | None
    samples: int
    people: int


_NOTHING = Estimate(None, None, None, 0, 0)


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resamples of people, the same for every figure and method, so that differences are paired.

    people: the person of each sample. A resample draws as many people as there are, with replacement, and takes all
    samples of each (a cluster bootstrap: samples of one person are no independent observations).
    """

    people: Sequence[str]
    resamples: int
    seed: int

    @cached_property
    def _codes(self) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
        codes: dict[str, int] = {}
        return np.array([codes.setdefault(person, len(codes)) for person in self.people], np.int64)

    @cached_property
    def _draws(self) -> Float64s:
        """How often each person is in each resample: (resamples, people)."""
        count = int(self._codes.max(initial=-1)) + 1
        rng = np.random.default_rng(self.seed)
        drawn: Float64s = rng.multinomial(count, np.full(count, 1 / count), self.resamples).astype(np.float64)
        return drawn

    def estimate(self, values: Float64s) -> Estimate:
        """The mean of the values (samples,) that are not NaN, over samples, and its interval over people.

        With fewer than 3 people there is no interval.
        """
        there = np.isfinite(values)
        if not there.any():
            return _NOTHING
        count = self._draws.shape[1]
        sums = np.bincount(self._codes[there], values[there], count)
        sizes = np.bincount(self._codes[there], minlength=count).astype(np.float64)
        mean, people, samples = float(values[there].mean()), int((sizes > 0).sum()), int(there.sum())
        if people < LEAST_PEOPLE:
            return Estimate(mean, None, None, samples, people)
        drawn = self._draws @ sizes
        means = (self._draws @ sums)[drawn > 0] / drawn[drawn > 0]
        low, high = np.percentile(means, _PERCENTILES).tolist()
        return Estimate(mean, low, high, samples, people)

    def difference(self, ones: Float64s, others: Float64s) -> Estimate:
        """The mean of `ones` minus `others` over the samples that have both, and its interval over people."""
        return self.estimate(ones - others)
