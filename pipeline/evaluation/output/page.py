"""The page of an evaluation: tables, and for each figure the best, the median and the worst sample as pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from facerefs.pipeline import text
from facerefs.pipeline.evaluation.metrics import GROUPS, METRICS, Metric
from facerefs.pipeline.evaluation.output.tables import (
    closing_line,
    describe_difference,
    shown,
    shown_differences,
)
from facerefs.pipeline.evaluation.result import Evaluation, GroupTable
from facerefs.pipeline.evaluation.samples import SampleFacts
from facerefs.pipeline.report.page_template import render
from facerefs.pipeline.report.thumbnails import Picture, PictureBudget, picture_of
from facerefs.schemas.arrays import Float64s, UInt8Image

Pictures: TypeAlias = Callable[[Sequence[SampleFacts]], Mapping[str, Mapping[str, UInt8Image]]]
"""Makes the images (H, W, 3) of samples, by key and then by name, in the order in which they are shown."""

_SIDE_PX = 128
_BUDGET_BYTES = 12_000_000


@dataclass(frozen=True)
class TableSection:
    """A table: its title, what stands below it, its headings, and rows of texts; the first cell is the row's name."""

    title: str
    below: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class ShownSample:
    """A sample: which of `best`, `median` and `worst` it is, its value, and its pictures by name."""

    rank: str
    value: str
    key: str
    identity: str
    pictures: Mapping[str, Picture | None]


@dataclass(frozen=True)
class Gallery:
    """The best, the median and the worst sample of a method by one figure."""

    metric: str
    method: str
    samples: Sequence[ShownSample]


@dataclass(frozen=True)
class GroupSection:
    """The figures in groups of samples: a table for each metric."""

    title: str
    meaning: str
    tables: Sequence[TableSection]


def page_of(found: Evaluation, pictures: Pictures) -> str:
    """The page as HTML: one file without scripts that loads nothing from outside."""
    return render(
        "evaluation.html.j2",
        found=found,
        closing=closing_line(found).split(None, 1)[1],
        tables=list(_tables(found)),
        galleries=_galleries(found, pictures),
        differences=[describe_difference(one) for one in shown_differences(found)],
        groups=[_group(found, table) for table in found.groups],
        computed=[(metric, found.networks[metric.name]) for metric in found.metrics],
        missing=[(METRICS[name].label, reason) for name, reason in found.not_computed.items()],
    )


def _tables(found: Evaluation) -> Iterator[TableSection]:
    for group, title in GROUPS.items():
        metrics = [metric for metric in found.metrics if metric.group == group]
        if metrics:
            rows = [
                [one.name, *(shown(one.figures.get(metric.name), metric) for metric in metrics)]
                for one in found.methods
            ]
            below = found.below_identity if group == "identity" else ""
            yield TableSection(
                title, below, ["Method", *(_heading(found, metric) for metric in metrics)], rows
            )


def _heading(found: Evaluation, metric: Metric) -> str:
    return f"{found.heading(metric)} {metric.unit}".rstrip()


def _group(found: Evaluation, table: GroupTable) -> GroupSection:
    headings = ["Method"]
    for name, (samples, people) in table.sizes.items():
        counts = f"{text.plural(samples, 'sample')} of {text.plural(people, 'person', 'people')}"
        headings.append(f"{name}: {counts}")
    tables = [
        TableSection(
            _heading(found, metric),
            "",
            headings,
            [
                [
                    one.name,
                    *(shown(methods[one.name].get(metric.name), metric) for methods in table.groups.values()),
                ]
                for one in found.methods
            ],
        )
        for metric in found.metrics
        if metric.name in found.figures.values
    ]
    return GroupSection(table.title, table.meaning, tables)


@dataclass(frozen=True)
class _Choice:
    metric: Metric
    method: str
    places: Mapping[str, int]  # by rank: the sample's number


def _galleries(found: Evaluation, pictures_of: Pictures) -> list[Gallery]:
    chosen = list(_choices(found))
    samples = {found.figures.samples[place] for one in chosen for place in one.places.values()}
    images = pictures_of(sorted(samples, key=lambda sample: sample.row))
    pictures = {
        key: {name: picture_of(image, _SIDE_PX) for name, image in some.items()}
        for key, some in images.items()
    }
    budget = PictureBudget(_BUDGET_BYTES)
    return [
        Gallery(
            found.heading(one.metric),
            one.method,
            [_shown(found, one, rank, place, pictures, budget) for rank, place in one.places.items()],
        )
        for one in chosen
    ]


def _choices(found: Evaluation) -> Iterator[_Choice]:
    """For each figure and each method that is no baseline (all if there are only baselines), which samples to show."""
    names = [one.name for one in found.methods if one.kind != "baseline"] or ["degraded"]
    for metric in found.metrics:
        values = found.figures.values.get(metric.name)
        if values is None or metric.against == "set":  # a hit or none ranks no samples
            continue
        for name in names:
            if places := _ranked(values[found.figures.methods.index(name)], metric):
                yield _Choice(metric, name, places)


def _ranked(values: Float64s, metric: Metric) -> dict[str, int]:
    """The samples with the best, the median and the worst value; fewer if there are fewer."""
    there = np.flatnonzero(np.isfinite(values))
    order = there[np.argsort(values[there], kind="stable")]
    if metric.better == "higher":
        order = order[::-1]
    places = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1} if len(order) else {}
    ranked: dict[str, int] = {}
    for rank, place in places.items():
        if int(order[place]) not in ranked.values():
            ranked[rank] = int(order[place])
    return ranked


def _shown(
    found: Evaluation,
    choice: _Choice,
    rank: str,
    place: int,
    pictures: Mapping[str, Mapping[str, Picture]],
    budget: PictureBudget,
) -> ShownSample:
    sample = found.figures.samples[place]
    value = float(found.figures.values[choice.metric.name][found.figures.methods.index(choice.method), place])
    return ShownSample(
        rank=rank,
        value=f"{value:.{choice.metric.digits}f} {choice.metric.unit}".rstrip(),
        key=sample.key,
        identity=sample.identity,
        pictures={name: budget.spend(picture) for name, picture in pictures[sample.key].items()},
    )
