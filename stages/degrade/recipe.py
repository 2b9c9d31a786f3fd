"""A recipe: passes of degradation, each with the ranges and probabilities from which its numbers are drawn.

Numbers are drawn uniformly from a range, both ends included. A field that ends in `chance` is a probability, 0 to 1.
Weights are relative to each other. Sizes refer to the side of the ground truth. A value out of bounds raises
ValueError with one sentence.
"""

import math
import re
from dataclasses import astuple, dataclass
from typing import NamedTuple

from facerefs.schemas.operations import (
    Blur,
    Brightness,
    ColourShift,
    GeneralisedBlur,
    Hue,
    Jpeg,
    MotionBlur,
    Noise,
    PoissonNoise,
    Range,
    ResizeMode,
    SincBlur,
    shown,
)
from facerefs.stages.degrade.limits import (
    allowed_range,
    as_yaml_range,
    check_modes,
    check_prob,
    check_range,
    check_taps,
    check_value,
    check_weights,
)

_REDUCTION = Range(0.25, 1000)  # nothing grows to more than four times its side: memory
_FACTOR = Range(0.001, 4)
_MOST_ROUNDS = 8


class IntRange(NamedTuple):
    """A range of integers; both ends are included."""

    low: int
    high: int


# Defaults are floats where YAML gives floats: a recipe that is written out and read back keeps its fingerprint.
_GFPGAN_TAPS = IntRange(41, 41)
_GFPGAN_SIGMA_PX = Range(0.1, 10.0)
_GFPGAN_NOISE = Range(0.0, 20.0)
_GFPGAN_FACTOR = Range(0.5, 1.5)
_GFPGAN_SATURATION = Range(0.0, 1.5)
_GFPGAN_HUE = Range(-0.1, 0.1)
_ESRGAN_BETA = Range(0.5, 4.0)
_ESRGAN_PLATEAU_BETA = Range(1.0, 2.0)
_ESRGAN_POISSON = Range(0.05, 3.0)
_ESRGAN_CUTOFF_RAD = Range(math.pi / 3, math.pi)
_ESRGAN_LONG_CUTOFF_RAD = Range(math.pi / 5, math.pi)
_ESRGAN_TAPS = IntRange(7, 21)
_ESRGAN_QUALITY = IntRange(30, 95)
_TO_THE_EDGE_PX = Range(1.0, 41.0)


@dataclass(frozen=True)
class BlurKinds:
    """Weights of the kinds of blur kernel. An isotropic kernel has one sigma and no angle."""

    isotropic: float = 0.0
    anisotropic: float = 0.0
    motion: float = 0.0
    generalised_isotropic: float = 0.0
    generalised_anisotropic: float = 0.0
    plateau_isotropic: float = 0.0
    plateau_anisotropic: float = 0.0

    def __post_init__(self) -> None:
        check_weights("the kinds of blur", astuple(self))


@dataclass(frozen=True)
class RandomBlur:
    """A random blur: a sinc filter with probability `sinc_chance`, else one of `kinds`. Odd taps are equally likely."""

    kinds: BlurKinds = BlurKinds(isotropic=1.0, anisotropic=1.0)
    taps: IntRange = _GFPGAN_TAPS  # both ends odd
    sigma_px: Range = _GFPGAN_SIGMA_PX  # drawn once for each axis of an anisotropic kernel
    motion_px: Range = _TO_THE_EDGE_PX
    generalised_beta: Range = _ESRGAN_BETA  # half the draws are below 1, half above
    plateau_beta: Range = _ESRGAN_PLATEAU_BETA  # the same: with [1, 2], half of all are exactly 1
    chance: float = 1.0
    sinc_chance: float = 0.0
    sinc_cutoff_rad: Range = _ESRGAN_CUTOFF_RAD
    sinc_cutoff_from_13_taps_rad: Range = _ESRGAN_LONG_CUTOFF_RAD  # of kernels of 13 taps and more

    def __post_init__(self) -> None:
        check_taps("taps", self.taps)
        check_range("sigma_px", self.sigma_px, allowed_range(Blur, "sigma_x_px"))
        check_range("motion_px", self.motion_px, allowed_range(MotionBlur, "length_px"))
        check_range("generalised_beta", self.generalised_beta, allowed_range(GeneralisedBlur, "beta"))
        check_range("plateau_beta", self.plateau_beta, allowed_range(GeneralisedBlur, "beta"))
        for name in ("generalised_beta", "plateau_beta"):
            low, high = getattr(self, name)
            if not low <= 1 <= high:
                raise ValueError(f"{name} has to include 1, but is {as_yaml_range((low, high))}")
        check_prob("chance", self.chance)
        check_prob("sinc_chance", self.sinc_chance)
        check_range("sinc_cutoff_rad", self.sinc_cutoff_rad, allowed_range(SincBlur, "cutoff_rad"))
        check_range(
            "sinc_cutoff_from_13_taps_rad",
            self.sinc_cutoff_from_13_taps_rad,
            allowed_range(SincBlur, "cutoff_rad"),
        )
        if self.kinds.motion and self.motion_px.high > self.taps.low:
            raise ValueError(
                f"motion_px up to {self.motion_px.high:g} does not fit into {self.taps.low} taps"
            )


@dataclass(frozen=True)
class RandomResize:
    """A random resize, by exactly one of `reduction`, `reduction_choices` and `factor`. Modes are equally likely."""

    reduction: Range | None = None  # the side is divided by it
    reduction_choices: tuple[float, ...] = ()  # the same, one of a list, equally likely
    factor: Range | None = None  # the side is multiplied by it; below 1 is down, above 1 is up
    base_reduction: float = 1.0  # the side is divided by this before it is multiplied by `factor`
    up: float = 1.0  # weights: enlarge, shrink, or keep the size (a factor of 1)
    down: float = 1.0
    keep: float = 0.0
    modes: tuple[ResizeMode, ...] = ("bilinear",)

    def __post_init__(self) -> None:
        ways = (self.reduction is not None, bool(self.reduction_choices), self.factor is not None)
        if sum(ways) != 1:
            raise ValueError("a resize has exactly one of reduction, reduction_choices and factor")
        check_range("reduction", self.reduction, _REDUCTION)
        for choice in self.reduction_choices:
            check_value("reduction_choices", choice, _REDUCTION)
        check_range("factor", self.factor, _FACTOR)
        check_value("base_reduction", self.base_reduction, Range(1, _REDUCTION.high))
        check_weights("up, down and keep", (self.up, self.down, self.keep))
        if self.factor and not self.factor.low <= 1 <= self.factor.high:
            raise ValueError(f"factor has to include 1, but is {as_yaml_range(self.factor)}")
        check_modes(self.modes)


@dataclass(frozen=True)
class RandomNoise:
    """Random Gaussian noise, or Poisson (shot) noise with probability `poisson_chance`.

    With probability `gray_chance` all channels get the same noise.
    """

    sigma: Range = _GFPGAN_NOISE  # 0-255
    poisson_scale: Range = _ESRGAN_POISSON
    poisson_chance: float = 0.0
    gray_chance: float = 0.0

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma, allowed_range(Noise, "sigma"))
        check_range("poisson_scale", self.poisson_scale, allowed_range(PoissonNoise, "scale"))
        check_prob("poisson_chance", self.poisson_chance)
        check_prob("gray_chance", self.gray_chance)


@dataclass(frozen=True)
class RandomColour:
    """Random colour changes: a shift of each channel, then gray, then a jitter of four operations in random order."""

    shift_chance: float = 0.0
    shift: float = 20.0  # at most this, up or down, on each channel; 0-255
    gray_chance: float = 0.0
    jitter_chance: float = 0.0  # of the four that follow, all together
    brightness: Range = _GFPGAN_FACTOR  # factors
    contrast: Range = _GFPGAN_FACTOR
    saturation: Range = _GFPGAN_SATURATION
    hue: Range = _GFPGAN_HUE  # share of the colour circle

    def __post_init__(self) -> None:
        check_value("shift", self.shift, Range(0, allowed_range(ColourShift, "red").high))
        for chance in ("shift_chance", "gray_chance", "jitter_chance"):
            check_prob(chance, getattr(self, chance))
        for factor in ("brightness", "contrast", "saturation"):
            check_range(factor, getattr(self, factor), allowed_range(Brightness, "factor"))
        check_range("hue", self.hue, allowed_range(Hue, "turn"))


@dataclass(frozen=True)
class Pass:
    """One pass of degradation: blur, resize, noise, colour, JPEG, in this order. None leaves an operation out."""

    blur: RandomBlur | None = None
    resize: RandomResize | None = None
    noise: RandomNoise | None = None
    colour: RandomColour | None = None
    jpeg_quality: IntRange | None = None

    def __post_init__(self) -> None:
        check_range("jpeg_quality", self.jpeg_quality, allowed_range(Jpeg, "quality"))


@dataclass(frozen=True)
class FinalPass:
    """The final pass of Real-ESRGAN: JPEG, and a resize to the final size with a sinc filter, in random order."""

    reduction: float = 4.0  # the side is divided by it
    modes: tuple[ResizeMode, ...] = ("area", "bilinear", "bicubic")  # equally likely
    sinc_chance: float = 0.8
    sinc_taps: IntRange = _ESRGAN_TAPS  # both ends odd
    sinc_cutoff_rad: Range = _ESRGAN_CUTOFF_RAD
    jpeg_quality: IntRange = _ESRGAN_QUALITY
    jpeg_last_chance: float = 0.5

    def __post_init__(self) -> None:
        check_value("reduction", self.reduction, _REDUCTION)
        check_modes(self.modes)
        check_prob("sinc_chance", self.sinc_chance)
        check_taps("sinc_taps", self.sinc_taps)
        check_range("sinc_cutoff_rad", self.sinc_cutoff_rad, allowed_range(SincBlur, "cutoff_rad"))
        check_range("jpeg_quality", self.jpeg_quality, allowed_range(Jpeg, "quality"))
        check_prob("jpeg_last_chance", self.jpeg_last_chance)


@dataclass(frozen=True)
class Recipe:
    """A degradation recipe: a name, 1 to 8 passes (`rounds`), and optionally a final pass (`ending`)."""

    name: str
    rounds: tuple[Pass, ...]
    ending: FinalPass | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", self.name):
            raise ValueError(
                f"the name of a recipe is up to 40 of a-z, 0-9, _ and -, a letter first, not {shown(self.name)}"
            )
        if not 1 <= len(self.rounds) <= _MOST_ROUNDS:
            raise ValueError(f"a recipe has 1 to {_MOST_ROUNDS} rounds, not {len(self.rounds)}")

    @property
    def ends_with_jpeg(self) -> bool:
        """Whether JPEG is the last operation of every theta."""
        if self.ending:
            return self.ending.jpeg_last_chance == 1
        return self.rounds[-1].jpeg_quality is not None
