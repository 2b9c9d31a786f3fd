"""Which sample is at each position of the stream: epochs of one source, or of several in exact proportions."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.splitmix import fold_in
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.order import Order, Repeats, Rows, permutation
from facerefs.trainers.stream.order.sample_request import SampleRequest

_KEPT_EPOCHS = 2
_INTERLEAVE = 1
ORDERS = 2
REPLACEMENTS = 3
"""What a key is used for, so that no two uses of the seed get the same random numbers."""


@dataclass(frozen=True)
class Epoch:
    """The sample requests of one epoch, as columns."""

    sources: NDArray[np.uint16]
    rows: Rows
    repeats: Repeats


@dataclass
class StreamPlan:
    """The sample requests at all positions, a pure function of the orders, the sizes, the weights and the seed.

    An epoch is as long as all sources together. Each source has its share of it, exact to the sample (largest
    remainder) and mixed in by a shuffle, and continues its own order from epoch to epoch.
    """

    orders: Sequence[Order]
    sizes: Sequence[int]
    weights: Sequence[float]
    seed: int
    _epochs: OrderedDict[int, Epoch] = field(default_factory=OrderedDict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.counts = proportions(self.sizes, self.weights)

    @property
    def epoch_length(self) -> int:
        """Number of samples in one epoch."""
        return sum(self.sizes)

    def draws(self, first: int, last: int) -> list[SampleRequest]:
        """The sample requests at positions first ... last - 1."""
        found: list[SampleRequest] = []
        while first < last:
            number, start = divmod(first, self.epoch_length)
            stop = min(start + last - first, self.epoch_length)
            found += self._draws(first, self.epoch(number), slice(start, stop))
            first += stop - start
        return found

    def epoch(self, number: int) -> Epoch:
        """The sample requests of one epoch; the last two computed epochs are kept in memory."""
        if number not in self._epochs:
            self._epochs[number] = self._computed(number)
            while len(self._epochs) > _KEPT_EPOCHS:
                self._epochs.popitem(last=False)
        return self._epochs[number]

    def _computed(self, number: int) -> Epoch:
        stretches = [
            order.slice(number * count, (number + 1) * count)
            for order, count in zip(self.orders, self.counts, strict=True)
        ]
        rows, repeats = (np.concatenate(columns) for columns in zip(*stretches, strict=True))
        sources = np.repeat(np.arange(len(self.counts), dtype=np.uint16), self.counts)
        if len(self.counts) == 1:
            return Epoch(sources, rows, repeats)
        strewn = sources[permutation(fold_in(self.seed, _INTERLEAVE, number), self.epoch_length)]
        # The position of each source's n-th sample: a source keeps its order, so that no sample repeats too early.
        places = np.argsort(strewn, kind="stable")
        return Epoch(strewn, _put(places, rows), _put(places, repeats))

    @staticmethod
    def _draws(position: int, epoch: Epoch, cut: slice) -> list[SampleRequest]:
        columns = (epoch.repeats[cut].tolist(), epoch.sources[cut].tolist(), epoch.rows[cut].tolist())
        return [SampleRequest(position + at, *drawn) for at, drawn in enumerate(zip(*columns, strict=True))]


def proportions(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """The number of samples of each source in an epoch: its share by weight, rounded by largest remainder.

    Raises StreamError for weights that are not positive, or so small that a source is never drawn.
    """
    for weight in weights:
        if not (isfinite(weight) and weight > 0):
            raise StreamError(f"a source's weight must be a positive number, not {weight}")
    total = sum(map(Fraction, weights))
    shares = [sum(sizes) * Fraction(weight) / total for weight in weights]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda at: (counts[at] - shares[at], at))
    for at in by_remainder[: sum(sizes) - sum(counts)]:
        counts[at] += 1
    if 0 in counts:
        weight = weights[counts.index(0)]
        raise StreamError(f"a source of weight {weight} has no sample in an epoch of {sum(sizes)}: raise it")
    return counts


def _put(places: NDArray[np.int64], values: NDArray[np.int32]) -> NDArray[np.int32]:
    placed = np.empty_like(values)
    placed[places] = values
    return placed
