"""Replays the runner on an imagined cluster: parts on workers, stragglers, lost nodes, a driver that plans alone."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAY_S = 86_400.0


@dataclass(frozen=True)
class Cluster:
    """An imagined cluster, and what goes wrong on it.

    spread: of the time of equal parts, as the standard deviation of its logarithm. slow_share: of nodes that take
    twice as long. lost_per_node_day: how often a node is lost; another takes its place after `replaced_after_s`.
    plan_s: what the driver takes to plan and hand out one part, alone. start_s: of a worker: its process, its models.
    """

    nodes: int = 20
    cores: int = 64
    spread: float = 0.3
    slow_share: float = 0.05
    lost_per_node_day: float = 0.1
    replaced_after_s: float = 300.0
    plan_s: float = 0.002
    start_s: float = 20.0

    @property
    def workers(self) -> int:
        """One for each core."""
        return self.nodes * self.cores


@dataclass(frozen=True)
class StageRun:
    """What one stage took: its wall time, the share of the cores' time that was work, and the parts made twice."""

    name: str
    parts: int
    wall_s: float
    busy_share: float
    parts_redone: int = 0
    driver_share: float = 0.0  # of the wall time, in which the driver planned


def simulate_parts(name: str, parts: int, part_s: float, cluster: Cluster, seed: int = 0) -> StageRun:
    """Run a part stage: each free worker takes the next part that is planned; parts of a lost node are made again.

    part_s: core seconds of a part, on average. The same arguments give the same result.
    """
    draws = np.random.default_rng(seed)
    slowness = np.where(draws.random(cluster.nodes) < cluster.slow_share, 2.0, 1.0)
    durations = part_s * draws.lognormal(-(cluster.spread**2) / 2, cluster.spread, parts)
    expected_s = cluster.start_s + parts * max(part_s * 2 / cluster.workers, cluster.plan_s) + 4 * part_s
    losses = [_losses(expected_s * 4, cluster, draws) for _ in range(cluster.nodes)]
    free = [(cluster.start_s, worker) for worker in range(min(cluster.workers, parts))]
    heapq.heapify(free)
    waiting = list(range(parts - 1, -1, -1))
    planned_s = work_s = end_s = 0.0
    redone = 0
    while waiting:
        at, worker = heapq.heappop(free)
        node = worker % cluster.nodes
        part = waiting.pop()
        planned_s += cluster.plan_s
        begins = max(at, planned_s)
        ends = begins + durations[part] * slowness[node]
        lost = losses[node][np.searchsorted(losses[node], begins) :]
        if lost.size and lost[0] < ends:
            waiting.append(part)
            redone += 1
            heapq.heappush(free, (lost[0] + cluster.replaced_after_s + cluster.start_s, worker))
            continue
        work_s += ends - begins
        end_s = max(end_s, ends)
        heapq.heappush(free, (ends, worker))
    used_s = min(cluster.workers, parts) * end_s
    return StageRun(
        name, parts, end_s, work_s / used_s if used_s else 0.0, redone, planned_s / end_s if end_s else 0.0
    )


def _losses(until_s: float, cluster: Cluster, draws: np.random.Generator) -> NDArray[np.float64]:
    """When a node is lost, in seconds from the beginning, sorted."""
    mean = cluster.lost_per_node_day * until_s / _DAY_S
    return np.sort(draws.uniform(0, until_s, draws.poisson(mean)))
