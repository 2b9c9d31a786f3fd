"""The model of a whole build: hours, core hours, storage, requests and money, and its weakest link."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scale.costs import PART_STAGES, TABLE_OF, StageCost
from benchmarks.scale.simulate import Cluster, StageRun, simulate_parts
from benchmarks.scale.whole import WholeCost
from facerefs.pipeline.runner.partition import MAX_ROWS_PER_PART


@dataclass(frozen=True)
class Prices:
    """Prices in US dollars that the model is given; those of a large cloud in 2026 are of this order."""

    core_hour: float = 0.04
    gigabyte_month: float = 0.023
    thousand_puts: float = 0.005
    thousand_gets: float = 0.0004


@dataclass(frozen=True)
class Estimate:
    """What a build of so many photos would take."""

    photos: float
    runs: tuple[StageRun, ...]
    gigabytes: float
    puts: float
    gets: float
    dollars_compute: float
    dollars_requests: float
    dollars_storage_month: float

    @property
    def hours(self) -> float:
        """Wall time of all stages."""
        return sum(run.wall_s for run in self.runs) / 3600

    @property
    def weakest(self) -> str:
        """The stage that takes most of the wall time, and its share."""
        slowest = max(self.runs, key=lambda run: run.wall_s)
        return f"{slowest.name} ({slowest.wall_s / 36 / self.hours:.0f} %)"


def estimate(
    photos: float,
    costs: Sequence[StageCost],
    bytes_per_photo: Mapping[str, float],
    cluster: Cluster,
    prices: Prices,
    whole: Mapping[str, WholeCost] | None = None,
) -> Estimate:
    """Simulate the part stages, and the whole stages of `whole` in pieces; the others are the driver's alone."""
    parts = max(round(photos / MAX_ROWS_PER_PART), 1)
    runs = []
    for cost in costs:
        if cost.name in PART_STAGES:
            runs.append(simulate_parts(cost.name, parts, cost.seconds(photos) / parts, cluster))
        elif whole and cost.name in whole:
            runs.append(whole[cost.name].run(photos, cluster))
        else:
            runs.append(StageRun(cost.name, 1, cost.seconds(photos), 1 / cluster.workers))
    hours = sum(run.wall_s for run in runs) / 3600
    gigabytes = sum(bytes_per_photo.values()) * photos / 1e9
    # A part is a tar and a Parquet file. Each photo is read twice (crawl, analyse), with a request for its size; each
    # crop once, and in shard about twice, as a target and as a reference.
    puts = 2.0 * parts * len(TABLE_OF)
    gets = 4.0 * photos + 3.0 * photos + 2.0 * parts * len(TABLE_OF)
    return Estimate(
        photos,
        tuple(runs),
        gigabytes,
        puts,
        gets,
        hours * cluster.workers * prices.core_hour,
        (puts * prices.thousand_puts + gets * prices.thousand_gets) / 1000,
        gigabytes * prices.gigabyte_month,
    )
