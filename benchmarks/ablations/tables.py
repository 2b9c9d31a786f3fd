"""The tables of an ablation: figures of each arm over its seeds, and the differences of arms seed by seed."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.ablations.arms import AS_IT_IS, FIGURES, LOWER_IS_BETTER
from benchmarks.ablations.run import Result
from benchmarks.ablations.seeds import Interval, paired, verdict

_ALSO = ("spread", "codes_used", "codes_agreement")  # and those of each resolution, such as codes_used_8px
Rows = list[list[str]]


def means(results: Sequence[Result]) -> tuple[list[str], Rows]:
    """Head and rows: a model's degraded input and its arms, mean and standard deviation over seeds.

    results: of one model.
    """
    shown = [name for name in _names(results) if name in FIGURES or name.startswith(_ALSO)]
    name, whole = results[0].name, [one for one in results if one.variant == AS_IT_IS]
    rows: Rows = [[name, "degraded input", "", "", *_cells(whole or results, shown, "_degraded"), ""]]
    for variant in dict.fromkeys(one.variant for one in results):
        arm = [one for one in results if one.variant == variant]
        seconds = statistics.fmean(one.step_s for one in arm)
        rows.append([name, variant, str(len(arm)), str(arm[0].steps), *_cells(arm, shown), f"{seconds:.3f}"])
    return ["model", "arm", "seeds", "steps", *shown, "s/step"], rows


@dataclass(frozen=True)
class Difference:
    """What an idea changes in a figure. arm: a result of the arm. ours, peer: the means with the idea and without."""

    arm: Result
    figure: str
    interval: Interval
    ours: float
    peer: float

    @property
    def verdict(self) -> str:
        return verdict(self.interval, self.figure in LOWER_IS_BETTER)


def differences(results: Sequence[Result]) -> Iterator[Difference]:
    """For each arm and figure: with the idea minus without, over the seeds that both have finished."""
    for results_of_arm in _arms(results):
        arm = results_of_arm[0]
        whole = {one.seed: one for one in results if (one.name, one.variant) == (arm.name, AS_IT_IS)}
        pairs = [(whole[one.seed].figures, one.figures) for one in results_of_arm if one.seed in whole]
        for figure in FIGURES:
            both = [(one[figure], other[figure]) for one, other in pairs if figure in one and figure in other]
            if both:
                as_it_is, changed = zip(*both, strict=True)
                ours, peer = (changed, as_it_is) if arm.adds else (as_it_is, changed)
                yield Difference(
                    arm, figure, paired(ours, peer), statistics.fmean(ours), statistics.fmean(peer)
                )


def verdicts(results: Sequence[Result]) -> tuple[list[str], Rows]:
    """Head and rows: what each arm's idea changes, and whether that is shown."""
    rows = [
        [
            one.arm.name,
            one.arm.variant,
            str(one.interval.seeds),
            str(one.arm.steps),
            f"{one.figure}, {FIGURES[one.figure]}" if FIGURES[one.figure] else one.figure,
            f"{one.interval.mean:+.4f}",
            f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
            one.verdict,
        ]
        for one in differences(results)
    ]
    return ["model", "arm", "seeds", "steps", "figure", "with - without", "95 %", "verdict"], rows


def comparisons(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """A line for each arm and figure. ours: with the idea; peer: without; low, high: of the ratio."""
    for one in differences(results):
        arm, interval = one.arm, one.interval
        change = f"{'with' if arm.adds else 'against'} {arm.variant}"
        yield {
            "case": f"{arm.name}, {one.figure}, {arm.steps} steps, {interval.seeds} seeds, {change}: {one.verdict}",
            "ours": one.ours,
            "peer": one.peer,
            "unit": FIGURES[one.figure] or one.figure,
            "ratio": one.ours / one.peer if one.peer else None,
            "low": _ratio(interval.low, one.peer),
            "high": _ratio(interval.high, one.peer),
        }


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _arms(results: Sequence[Result]) -> list[list[Result]]:
    changed = [one for one in results if one.variant != AS_IT_IS]
    keys = dict.fromkeys((one.name, one.variant) for one in changed)
    return [[one for one in changed if (one.name, one.variant) == key] for key in keys]


def _names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(name for one in results for name in one.figures))


def _cells(results: Sequence[Result], names: Sequence[str], ending: str = "") -> list[str]:
    cells = []
    for name in names:
        values = [one.figures[name + ending] for one in results if name + ending in one.figures]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{statistics.fmean(values):.3f}{spread}" if values else "")
    return cells


def _ratio(difference: float, peer: float) -> float | None:
    return 1 + difference / peer if peer and math.isfinite(difference) else None
