"""Times two ways of doing the same work, in turn, and says how many times faster ours is."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Comparison:
    """Work per second of ours and of the peer's (medians), and the ratio pair by pair (median, low, high)."""

    case: str
    ours: float
    peer: float
    unit: str
    ratio: float
    low: float
    high: float


def compare(
    case: str, ours: Callable[[], object], peer: Callable[[], object], amount: float, unit: str, runs: int = 7
) -> Comparison:
    """Run both in turn after a warm-up; `amount` is the work that one call does, in the unit's numerator."""
    ours(), peer()
    pairs = [(_seconds(ours), _seconds(peer)) for _ in range(runs)]
    ratios = [theirs / own for own, theirs in pairs]
    comparison = Comparison(
        case=case,
        ours=amount / statistics.median(own for own, _ in pairs),
        peer=amount / statistics.median(theirs for _, theirs in pairs),
        unit=unit,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
    )
    print(
        f"{case}: ours {comparison.ours:.1f}, peer {comparison.peer:.1f} {unit}, "
        f"ratio {comparison.ratio:.2f} ({comparison.low:.2f} to {comparison.high:.2f})"
    )
    return comparison


def write(name: str, comparisons: list[Comparison]) -> None:
    """Write benchmarks/out/NAME.json."""
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps([asdict(line) for line in comparisons], indent=1) + "\n")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
