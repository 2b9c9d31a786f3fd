"""Compute histograms for the report: bars and ticks in SVG units, ready to be drawn by the template."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerefs.pipeline.text import figure
from facerefs.schemas.arrays import Float64s

WIDTH = 360.0
HEIGHT = 150.0
_TOP = 14.0  # space for the label of the limit
_BOTTOM = 22.0  # space for the labels of the axis
_TICKS = 5
_BINS_PER_TICK = 5
_NARROWEST = 1e-200  # the smallest floats cannot be divided


@dataclass(frozen=True)
class Bar:
    """A bar in SVG units, and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Tick:
    """A label of the axis, or of the limit, at x."""

    x: float
    text: str


@dataclass(frozen=True)
class Series:
    """Values to draw in one colour; `name` is empty if the histogram has only one series."""

    name: str
    values: Float64s


@dataclass(frozen=True)
class DrawnSeries:
    """A series as bars, with its number of values, median, and 5th and 95th percentiles as text."""

    name: str
    bars: list[Bar]
    count: int
    median: str
    low: str
    high: str


@dataclass(frozen=True)
class Histogram:
    """A histogram, ready to be drawn into WIDTH x HEIGHT."""

    title: str
    unit: str
    note: str
    series: list[DrawnSeries]
    ticks: list[Tick]
    limit: Tick | None
    baseline: float


def histogram(
    title: str,
    series: Sequence[Series],
    *,
    unit: str = "",
    note: str = "",
    limit: float | None = None,
    digits: int = 1,
) -> Histogram | None:
    """A histogram of the finite values of the series; None if there are none.

    limit: a value to mark on the axis. digits: decimals of the median and the percentiles.
    """
    series = [Series(one.name, one.values[np.isfinite(one.values)]) for one in series]
    series = [one for one in series if len(one.values)]
    if not series:
        return None
    marks = [] if limit is None else [limit]
    everything = np.concatenate([*(one.values for one in series), np.asarray(marks, np.float64)])
    edges, step = _edges(float(everything.min()), float(everything.max()))
    counts = [np.histogram(one.values.clip(edges[0], edges[-1]), edges)[0] for one in series]
    tallest = max(int(numbers.max()) for numbers in counts)
    return Histogram(
        title=title,
        unit=unit,
        note=note,
        series=[
            _drawn(one, numbers, edges, tallest, digits) for one, numbers in zip(series, counts, strict=True)
        ],
        ticks=[Tick(_x(at, edges), _number(at, step)) for at in _ticks(edges, step)],
        limit=None if limit is None else Tick(_x(limit, edges), f"limit {limit:g}"),
        baseline=HEIGHT - _BOTTOM,
    )


def _edges(low: float, high: float) -> tuple[Float64s, float]:
    """Edges of the bins at round numbers, and the step of the ticks, a multiple of the bins' width."""
    size = max(abs(low), abs(high))
    # Bins much narrower than the values themselves could not be told apart as floats.
    span = max(high - low, 1e-6 * size) if high > low else size or 1.0
    step = _round_step(max(span, _NARROWEST) / _TICKS)
    width = step / _BINS_PER_TICK
    first = math.floor(low / width)
    last = max(math.floor(high / width) + 1, first + _BINS_PER_TICK)  # the greatest value lies inside
    return width * np.arange(first, last + 1, dtype=np.float64), step


def _round_step(step: float) -> float:
    """The nearest of 1, 2 and 5 times a power of ten, by ratio."""
    power = 10.0 ** math.floor(math.log10(step))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda near: abs(math.log(near / step)))


def _ticks(edges: Float64s, step: float) -> list[float]:
    first = math.ceil(edges[0] / step - 1e-9)
    last = math.floor(edges[-1] / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _drawn(
    series: Series, numbers: npt.NDArray[np.int64], edges: Float64s, tallest: int, digits: int
) -> DrawnSeries:
    space = HEIGHT - _TOP - _BOTTOM
    width = edges[1] - edges[0]
    bars = [
        Bar(
            x=round(_x(left, edges), 2),
            y=round(HEIGHT - _BOTTOM - space * number / tallest, 2),
            width=round(_x(right, edges) - _x(left, edges) - 1, 2),
            height=round(space * number / tallest, 2),
            title=f"{_number(left, width)} to {_number(right, width)}: {number}",
        )
        for left, right, number in zip(edges[:-1], edges[1:], numbers.tolist(), strict=True)
        if number
    ]
    low, median, high = (
        figure(value, digits) for value in np.percentile(series.values, [5, 50, 95]).tolist()
    )
    return DrawnSeries(series.name, bars, len(series.values), median, low, high)


def _x(value: float, edges: Float64s) -> float:
    return float(round((value - edges[0]) / (edges[-1] - edges[0]) * WIDTH, 2))


def _number(value: float, step: float) -> str:
    """A value with as many decimals as multiples of `step` need."""
    return figure(value, max(0, -math.floor(math.log10(step) + 1e-9)))
