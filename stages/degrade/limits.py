"""Check the ranges, probabilities and weights of a recipe; each check raises ValueError with one sentence."""

import math
from collections.abc import Sequence

from facerefs.schemas.operations import HINTS, Blur, Operation, Range


def allowed_range(operation: type[Operation], field: str) -> Range:
    """The least and the greatest value that a field of an operation may have."""
    limits: Range = HINTS[operation][field].__metadata__[0]
    return limits


def check_range(name: str, given: tuple[float, float] | None, allowed: Range) -> None:
    """Raise ValueError if a range is not in order or exceeds the allowed range; None passes."""
    if given is not None and not allowed.low <= given[0] <= given[1] <= allowed.high:  # false for NaN
        ends = f"from {allowed.low:g} to {allowed.high:g}"
        raise ValueError(f"{name} is a range [low, high] with both ends {ends}, not {as_yaml_range(given)}")


def check_taps(name: str, taps: tuple[int, int]) -> None:
    """Raise ValueError if an end of a range of taps (kernel sizes) is even or too large."""
    check_range(name, taps, allowed_range(Blur, "taps"))
    if taps[0] % 2 == 0 or taps[1] % 2 == 0:
        raise ValueError(f"{name} has odd ends, but is {as_yaml_range(taps)}")


def check_value(name: str, value: float, allowed: Range) -> None:
    """Raise ValueError if a number is outside the allowed range, or NaN."""
    if not allowed.low <= value <= allowed.high:  # false for NaN
        raise ValueError(f"{name} is from {allowed.low:g} to {allowed.high:g}, not {value:g}")


def check_prob(name: str, prob: float) -> None:
    """Raise ValueError if a probability is not from 0 to 1."""
    check_value(name, prob, Range(0, 1))


def check_weights(name: str, weights: tuple[float, ...]) -> None:
    """Raise ValueError if a weight is below 0 or infinite, or if all are 0."""
    if not (all(0 <= weight < math.inf for weight in weights) and 0 < sum(weights) < math.inf):
        listed = ", ".join(f"{weight:g}" for weight in weights)
        raise ValueError(
            f"the weights of {name} are 0 or more, and one is more than 0, but they are {listed}"
        )


def check_modes(modes: Sequence[str]) -> None:
    """Raise ValueError if there is no resize mode to choose from."""
    if not modes:
        raise ValueError("a resize needs at least one of its modes")


def as_yaml_range(ends: tuple[float, float]) -> str:
    """A range as it is written in YAML, such as [0.2, 3]."""
    return f"[{ends[0]:g}, {ends[1]:g}]"
