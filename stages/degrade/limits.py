"""Checks of a recipe's ranges, chances and weights; each raises ValueError with one sentence."""

import math
from collections.abc import Sequence

from facerefs.schemas.operations import HINTS, Blur, Operation, Range


def allowed(operation: type[Operation], field: str) -> Range:
    """What an operation of theta takes."""
    limits: Range = HINTS[operation][field].__metadata__[0]
    return limits


def check_range(name: str, given: tuple[float, float] | None, allowed: Range) -> None:
    """Refuse a range that is not ordered or goes beyond what is allowed; None is no range."""
    if given is not None and not allowed.low <= given[0] <= given[1] <= allowed.high:  # false for NaN
        ends = f"from {allowed.low:g} to {allowed.high:g}"
        raise ValueError(f"{name} is a range [low, high] with both ends {ends}, not {written(given)}")


def check_taps(name: str, taps: tuple[int, int]) -> None:
    """Refuse a range of taps whose ends are not odd or too large."""
    check_range(name, taps, allowed(Blur, "taps"))
    if taps[0] % 2 == 0 or taps[1] % 2 == 0:
        raise ValueError(f"{name} has odd ends, but is {written(taps)}")


def check_value(name: str, value: float, allowed: Range) -> None:
    """Refuse a number beyond what is allowed, and NaN."""
    if not allowed.low <= value <= allowed.high:  # false for NaN
        raise ValueError(f"{name} is from {allowed.low:g} to {allowed.high:g}, not {value:g}")


def check_chance(name: str, chance: float) -> None:
    """Refuse what is not from 0 to 1."""
    check_value(name, chance, Range(0, 1))


def check_weights(name: str, weights: tuple[float, ...]) -> None:
    """Refuse weights below 0, and none at all."""
    if not (all(0 <= weight < math.inf for weight in weights) and 0 < sum(weights) < math.inf):
        listed = ", ".join(f"{weight:g}" for weight in weights)
        raise ValueError(
            f"the weights of {name} are 0 or more, and one is more than 0, but they are {listed}"
        )


def check_modes(modes: Sequence[str]) -> None:
    """Refuse an empty choice."""
    if not modes:
        raise ValueError("a resize needs at least one of its modes")


def written(ends: tuple[float, float]) -> str:
    """A range as one writes it in YAML."""
    return f"[{ends[0]:g}, {ends[1]:g}]"
