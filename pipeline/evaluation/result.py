"""The result of an evaluation: figures with intervals, differences, groups, and what was left out or not computed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facerefs.pipeline.evaluation.figures import Figures
from facerefs.pipeline.evaluation.judges.networks import NetworkSource
from facerefs.pipeline.evaluation.methods.method import Kind, Method
from facerefs.pipeline.evaluation.metrics import IPS_ALONE, IPS_TRAP, METRICS, Metric
from facerefs.pipeline.evaluation.statistics import FEW_PEOPLE, LEAST_PEOPLE, Bootstrap, Estimate
from facerefs.pipeline.evaluation.strata import stratifications
from facerefs.schemas.arrays import Float64s


@dataclass(frozen=True)
class MethodResult:
    """A method, and its figures by metric. outputs: how many samples have one."""

    name: str
    kind: Kind
    path: str
    outputs: int
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Difference:
    """A figure of one method minus that of another, over the samples that have both."""

    metric: str
    one: str
    other: str
    estimate: Estimate


@dataclass(frozen=True)
class GroupTable:
    """Figures in groups of samples: by group, then method, then metric."""

    name: str
    title: str
    meaning: str
    groups: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    sizes: Mapping[str, tuple[int, int]]  # samples and people of each group


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that `facerefs evaluate` found.

    data, split: empty without a set. against: the set of FID. networks: with what each metric was computed.
    not_computed: why metrics are missing. notes: all else that a reader must know. left_out: why samples could not be
    read, by key. figures: of each sample.
    """

    data: str
    split: str
    set_digest: str
    size_px: int
    samples: int
    people: int
    against: str
    methods: tuple[MethodResult, ...]
    differences: tuple[Difference, ...]
    groups: tuple[GroupTable, ...]
    networks: Mapping[str, NetworkSource]
    not_computed: Mapping[str, str]
    notes: tuple[str, ...]
    left_out: Mapping[str, str]
    figures: Figures

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that some method has a figure of, in their order."""
        return [metric for metric in METRICS.values() if metric.name in self.networks]

    @property
    def below_identity(self) -> str:
        """What stands below the table of identity figures; empty if IPS is not in it."""
        if "ips" not in self.networks:
            return ""
        return IPS_TRAP if "isc" in self.networks else IPS_ALONE

    def heading(self, metric: Metric) -> str:
        """The metric with an arrow to its better side; says if its network has random weights."""
        return f"{metric.heading} (random weights)" if self.networks[metric.name].random else metric.heading

    def best(self, metric: Metric) -> str | None:
        """The method that is not a baseline with the best mean; None if fewer than two have one."""
        means = {
            one.name: estimate.mean
            for one in self.methods
            if one.kind != "baseline"
            and (estimate := one.figures.get(metric.name)) is not None
            and estimate.mean is not None
        }
        if len(means) < 2:
            return None
        return (max if metric.better == "higher" else min)(means, key=lambda name: means[name])


def summarise(
    figures: Figures,
    methods: Sequence[Method],
    bootstrap: Bootstrap,
    networks: Mapping[str, NetworkSource],
) -> tuple[tuple[MethodResult, ...], tuple[Difference, ...], tuple[GroupTable, ...]]:
    """Figures of each method, paired differences of all pairs, and tables by group."""
    found = []
    for number, method in enumerate(methods):
        estimates = {name: bootstrap.estimate(rows[number]) for name, rows in figures.values.items()}
        estimates |= {name: _whole(rows, figures, number) for name, rows in figures.whole.items()}
        ordered = {name: estimates[name] for name in METRICS if name in estimates and name in networks}
        outputs = int(figures.present[number].sum())
        found.append(MethodResult(method.name, method.kind, method.path, outputs, ordered))
    differences = [
        Difference(
            metric, methods[one].name, methods[other].name, bootstrap.difference(rows[one], rows[other])
        )
        for metric, rows in figures.values.items()
        for one in range(len(methods))
        for other in range(len(methods))
        if other < one
    ]
    return tuple(found), tuple(differences), _tables(figures, methods, bootstrap)


def _whole(rows: Float64s, figures: Figures, number: int) -> Estimate:
    """A figure of all samples together has no interval: a resample would hold copies, which it measures."""
    mean = float(rows[number])
    there = figures.present[number]
    people = {sample.identity for sample, is_in in zip(figures.samples, there, strict=True) if is_in}
    return Estimate(None if math.isnan(mean) else mean, None, None, int(there.sum()), len(people))


def _tables(figures: Figures, methods: Sequence[Method], bootstrap: Bootstrap) -> tuple[GroupTable, ...]:
    tables = []
    for one in stratifications(figures.samples):
        groups, sizes = {}, {}
        for stratum in one.strata:
            groups[stratum.name] = {
                method.name: {
                    metric: bootstrap.estimate(_only(rows[number], stratum.chosen))
                    for metric, rows in figures.values.items()
                }
                for number, method in enumerate(methods)
            }
            people = {s.identity for s, is_in in zip(figures.samples, stratum.chosen, strict=True) if is_in}
            sizes[stratum.name] = (int(stratum.chosen.sum()), len(people))
        tables.append(GroupTable(one.name, one.title, one.meaning, groups, sizes))
    return tuple(tables)


def _only(values: Float64s, chosen: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Float64s:
    return np.where(chosen, values, np.nan)


def interval_notes(people: int, what: str = "people") -> list[str]:
    """What must be said of intervals over so few people."""
    if people < LEAST_PEOPLE:
        return [
            f"no interval can be given: the samples are of {people} {what}, and {LEAST_PEOPLE} are the least"
        ]
    if people < FEW_PEOPLE:
        return [f"the intervals are over {people} {what} only, and so too narrow: take them as a lower bound"]
    return []
