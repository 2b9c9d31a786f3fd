"""Groups of samples: by strength of the degradation, pose gap, similarity of the reference, and recipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from facerefs.pipeline.evaluation.samples import SampleFacts
from facerefs.schemas.arrays import Float64s
from facerefs.trainers.metrics.nme import BINS

# Degrees: choice.
_POSE_BINS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"below 5": (0, 5), "5 to 15": (5, 15), "15 to 30": (15, 30), "30 and more": (30, np.inf)}
)


@dataclass(frozen=True, eq=False)
class Stratum:
    """A group of samples. chosen: (samples,) bool."""

    name: str
    chosen: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"


@dataclass(frozen=True, eq=False)
class Stratification:
    """All samples in groups by one property; those without it are in none."""

    name: str
    title: str
    meaning: str
    strata: tuple[Stratum, ...]


def stratifications(samples: Sequence[SampleFacts]) -> list[Stratification]:
    """The groups by each property that has samples in at least one."""
    found = [_by_strength(samples), _by_pose_gap(samples), _by_similarity(samples), _by_recipe(samples)]
    return [one for one in found if one.strata]


def _by_strength(samples: Sequence[SampleFacts]) -> Stratification:
    values = _values(samples, lambda sample: sample.strength)
    named = {f"{name} ({_span(100 * low, 100 * high)} %)": (low, high) for name, (low, high) in BINS.items()}
    return Stratification(
        "strength",
        "By strength of the degradation",
        "Standard deviation of all blur of theta, its coarsest pixel included, in per cent of the face's side; noise "
        "and JPEG do not count.",
        _binned(values, named),
    )


def _by_pose_gap(samples: Sequence[SampleFacts]) -> Stratification:
    values = _values(samples, lambda sample: sample.pose_gap)
    return Stratification(
        "pose_gap",
        "By pose gap",
        "The larger of the differences in yaw and pitch between target and first reference, in degrees.",
        _binned(values, _POSE_BINS),
    )


def _by_similarity(samples: Sequence[SampleFacts]) -> Stratification:
    """Thirds, since cosines of embedders differ."""
    values = _values(samples, lambda sample: sample.similarity)
    known = values[np.isfinite(values)]
    if len(np.unique(known)) < 3:
        return Stratification("similarity", "", "", ())
    low, high = np.quantile(known, [1 / 3, 2 / 3]).tolist()
    bins = {
        f"lowest third (below {low:.2f})": (-np.inf, low),
        f"middle third ({low:.2f} to {high:.2f})": (low, high),
        f"highest third ({high:.2f} and more)": (high, np.inf),
    }
    return Stratification(
        "similarity",
        "By similarity of the reference",
        "Cosine of the embeddings of target and first reference, by the embedder of the set.",
        _binned(values, bins),
    )


def _by_recipe(samples: Sequence[SampleFacts]) -> Stratification:
    recipes = sorted({sample.recipe for sample in samples})
    if len(recipes) < 2:
        return Stratification("recipe", "", "", ())
    strata = [Stratum(name, np.array([sample.recipe == name for sample in samples])) for name in recipes]
    return Stratification("recipe", "By recipe", "The recipe of the degradation.", tuple(strata))


def _values(samples: Sequence[SampleFacts], value: Callable[[SampleFacts], float]) -> Float64s:
    return np.array([value(sample) for sample in samples], np.float64)


def _binned(values: Float64s, bins: Mapping[str, tuple[float, float]]) -> tuple[Stratum, ...]:
    """The bins that hold a value; from low up to, and without, high."""
    strata = [Stratum(name, (low <= values) & (values < high)) for name, (low, high) in bins.items()]
    return tuple(stratum for stratum in strata if stratum.chosen.any())


def _span(low: float, high: float) -> str:
    return f"{low:g} and more" if high == np.inf else f"{low:g} to {high:g}"
