"""Compare two arms seed by seed: the mean difference, its interval, and what that says."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

CONFIDENCE = 0.95
LEAST_SEEDS = 3
SHOWN, REFUTED, NOT_TESTABLE = "shown", "refuted", "not testable here"


@dataclass(frozen=True)
class Interval:
    """Mean of the differences over seeds, and Student's interval of 95 % for it; infinite for a single seed."""

    mean: float
    low: float
    high: float
    seeds: int


def paired(ours: Sequence[float], peer: Sequence[float]) -> Interval:
    """The interval of ours - peer, where numbers at the same place have the same seed. Raises ValueError for none."""
    differences = [own - other for own, other in zip(ours, peer, strict=True)]
    count = len(differences)
    if not count:
        raise ValueError("there is no seed that both arms have finished")
    mean = statistics.fmean(differences)
    if count == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    error = statistics.stdev(differences) / math.sqrt(count)
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return Interval(mean, mean - half, mean + half, count)


def verdict(interval: Interval, lower_is_better: bool = False) -> str:
    """`shown` if all of the interval is on the better side of 0, `refuted` if all is on the worse side.

    Else, and with fewer than three seeds, `not testable here`: the interval then says how large the effect can be.
    """
    low, high = (-interval.high, -interval.low) if lower_is_better else (interval.low, interval.high)
    if interval.seeds >= LEAST_SEEDS and low > 0:
        return SHOWN
    if interval.seeds >= LEAST_SEEDS and high < 0:
        return REFUTED
    return NOT_TESTABLE
