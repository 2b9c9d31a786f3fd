"""Costs of whole stages from `benchmarks.scale_stages --split`: the work of pieces, by kind, and that of the driver."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scale.simulate import Cluster, StageRun, simulate_parts

ROWS_PER_PIECE = 4096
_LINK_BYTES_PER_S = 1.25e9  # 10 Gbit/s
_PIECE_START_S = 2.0  # of a worker, which loads no models
_EXACT_UP_TO = 50_000  # people; more are searched by lists
_FACES_OF_PERSON = 30  # in the sets of the benchmark
_LISTS_FOR_EXACT = (
    0.125  # comparisons in lists of 50,000, 14 times their root, each twice as long as an exact one
)


@dataclass(frozen=True)
class WholeCost:
    """What a whole stage takes for so many rows, on one core."""

    name: str
    rows: int
    driver_s: float
    pieces_s: Mapping[str, float]  # by function, see `_growth`
    sent_bytes: float

    def pieces(self, rows: float) -> float:
        """Core seconds in pieces."""
        return sum(seconds * _growth(kind, self.rows, rows) for kind, seconds in self.pieces_s.items())

    def driver(self, rows: float) -> float:
        """Seconds of the driver, taken to be in proportion to the rows."""
        return self.driver_s * rows / self.rows

    def run(self, rows: float, cluster: Cluster) -> StageRun:
        """Simulate the pieces; the driver works before and after them, and sends them over one link."""
        pieces = max(round(rows / ROWS_PER_PIECE), 1)
        work_s = self.pieces(rows)
        start = replace(cluster, start_s=_PIECE_START_S)
        simulated = simulate_parts(self.name, pieces, work_s / pieces, start)
        sending_s = self.sent_bytes * rows / self.rows / _LINK_BYTES_PER_S
        wall_s = self.driver(rows) + max(simulated.wall_s, sending_s)
        busy = (work_s + self.driver(rows)) / (wall_s * cluster.workers)
        return StageRun(self.name, pieces, wall_s, busy, simulated.parts_redone, self.driver(rows) / wall_s)


def measured(file: Path) -> dict[str, WholeCost]:
    """The costs by stage, of the largest set that was measured with `--split`; `cluster` is `check`."""
    costs: dict[str, WholeCost] = {}
    for case in json.loads(file.read_text()):
        name = str(case["stage"]).replace(" check", "")
        if not case.get("split") or (name in costs and costs[name].rows > case["rows"]):
            continue
        driver_s = case["cpu_s"] - sum(case["pieces_s"].values())
        costs[name] = WholeCost(name, case["rows"], driver_s, case["pieces_s"], case["sent_mb"] * 1e6)
    return costs


def _growth(kind: str, measured_rows: float, rows: float) -> float:
    """By how much the work of one kind grows from `measured_rows` to `rows`."""
    ratio = rows / measured_rows
    match kind:
        case "hamming.compared_with_all":  # every hash with every other
            return float(ratio**2)
        case "faiss_index.lists_of" | "faiss_index.compared_with_lists":  # of 2 sqrt(N) lists, 24
            return float(ratio**1.5)
        case "faiss_index.compared_with_all":  # every face with every person, up to 50,000 of them
            exact = min(max(_EXACT_UP_TO * _FACES_OF_PERSON / measured_rows, 1.0), ratio)
            more = ratio / exact
            return float(exact**2 * (_LISTS_FOR_EXACT * more**1.5 if more > 1 else 1.0))
        case "groups.linked_in_piece" | "select.references_of":  # within people
            return ratio
    raise ValueError(f"nobody has said how {kind} grows with the rows")
