"""What a recipe is: rounds of degradation, each with the ranges and the chances that its numbers are drawn from.

Ranges are uniform with both ends allowed; chances are from 0 to 1; weights are relative to each other. All sizes
refer to the side of the ground truth. Anything out of bounds raises ValueError with one sentence.
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
    allowed,
    check_chance,
    check_modes,
    check_range,
    check_taps,
    check_value,
    check_weights,
    written,
)

_REDUCTION = Range(0.25, 1000)  # nothing grows to more than four times its side: memory
_FACTOR = Range(0.001, 4)
_MOST_ROUNDS = 8


class WholeRange(NamedTuple):
    """The least and the greatest whole number; both are allowed."""

    low: int
    high: int


# Defaults are floats where YAML gives floats: so what is written out and read back has the same fingerprint.
_GFPGAN_TAPS = WholeRange(41, 41)
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
_ESRGAN_TAPS = WholeRange(7, 21)
_ESRGAN_QUALITY = WholeRange(30, 95)
_TO_THE_EDGE_PX = Range(1.0, 41.0)


@dataclass(frozen=True)
class BlurKinds:
    """Weights of the kinds of blur; an isotropic kernel has one sigma and no angle."""

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
    """A blur, with `sinc_chance` a sinc filter and else one of `kinds`; odd taps are equally likely."""

    kinds: BlurKinds = BlurKinds(isotropic=1.0, anisotropic=1.0)
    taps: WholeRange = _GFPGAN_TAPS  # both ends odd
    sigma_px: Range = _GFPGAN_SIGMA_PX  # each axis of an anisotropic kernel by itself
    motion_px: Range = _TO_THE_EDGE_PX
    generalised_beta: Range = _ESRGAN_BETA  # half the draws are below 1, half above
    plateau_beta: Range = _ESRGAN_PLATEAU_BETA  # the same: with [1, 2], half of all are exactly 1
    chance: float = 1.0
    sinc_chance: float = 0.0
    sinc_cutoff_rad: Range = _ESRGAN_CUTOFF_RAD
    sinc_cutoff_from_13_taps_rad: Range = _ESRGAN_LONG_CUTOFF_RAD  # of kernels of 13 taps and more

    def __post_init__(self) -> None:
        check_taps("taps", self.taps)
        check_range("sigma_px", self.sigma_px, allowed(Blur, "sigma_x_px"))
        check_range("motion_px", self.motion_px, allowed(MotionBlur, "length_px"))
        check_range("generalised_beta", self.generalised_beta, allowed(GeneralisedBlur, "beta"))
        check_range("plateau_beta", self.plateau_beta, allowed(GeneralisedBlur, "beta"))
        for name in ("generalised_beta", "plateau_beta"):
            low, high = getattr(self, name)
            if not low <= 1 <= high:
                raise ValueError(f"{name} has to include 1, but is {written((low, high))}")
        check_chance("chance", self.chance)
        check_chance("sinc_chance", self.sinc_chance)
        check_range("sinc_cutoff_rad", self.sinc_cutoff_rad, allowed(SincBlur, "cutoff_rad"))
        check_range(
            "sinc_cutoff_from_13_taps_rad",
            self.sinc_cutoff_from_13_taps_rad,
            allowed(SincBlur, "cutoff_rad"),
        )
        if self.kinds.motion and self.motion_px.high > self.taps.low:
            raise ValueError(
                f"motion_px up to {self.motion_px.high:g} does not fit into {self.taps.low} taps"
            )


@dataclass(frozen=True)
class RandomResize:
    """A size, from exactly one of `reduction`, `reduction_choices` and `factor`; modes are equally likely."""

    reduction: Range | None = None  # the side is divided by it
    reduction_choices: tuple[float, ...] = ()  # the same, from a list: equally likely
    factor: Range | None = None  # the side is multiplied by it; below 1 is down, above 1 is up
    base_reduction: float = 1.0  # the side is divided by this before it is multiplied by `factor`
    up: float = 1.0  # weights of the directions; kept is a factor of 1
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
            raise ValueError(f"factor has to include 1, but is {written(self.factor)}")
        check_modes(self.modes)


@dataclass(frozen=True)
class RandomNoise:
    """Gaussian noise, or with `poisson_chance` shot noise; with `gray_chance` the same in all channels."""

    sigma: Range = _GFPGAN_NOISE  # 0-255
    poisson_scale: Range = _ESRGAN_POISSON
    poisson_chance: float = 0.0
    gray_chance: float = 0.0

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma, allowed(Noise, "sigma"))
        check_range("poisson_scale", self.poisson_scale, allowed(PoissonNoise, "scale"))
        check_chance("poisson_chance", self.poisson_chance)
        check_chance("gray_chance", self.gray_chance)


@dataclass(frozen=True)
class RandomColour:
    """A shift of each channel, then gray, then brightness, contrast, saturation and hue in random order."""

    shift_chance: float = 0.0
    shift: float = 20.0  # at most this, up or down, on each channel; 0-255
    gray_chance: float = 0.0
    jitter_chance: float = 0.0  # of all four that follow, together
    brightness: Range = _GFPGAN_FACTOR  # factors
    contrast: Range = _GFPGAN_FACTOR
    saturation: Range = _GFPGAN_SATURATION
    hue: Range = _GFPGAN_HUE  # share of the colour circle

    def __post_init__(self) -> None:
        check_value("shift", self.shift, Range(0, allowed(ColourShift, "red").high))
        for chance in ("shift_chance", "gray_chance", "jitter_chance"):
            check_chance(chance, getattr(self, chance))
        for factor in ("brightness", "contrast", "saturation"):
            check_range(factor, getattr(self, factor), allowed(Brightness, "factor"))
        check_range("hue", self.hue, allowed(Hue, "turn"))


@dataclass(frozen=True)
class Round:
    """Blur, resize, noise, colour, JPEG, in this order; what is None is left out."""

    blur: RandomBlur | None = None
    resize: RandomResize | None = None
    noise: RandomNoise | None = None
    colour: RandomColour | None = None
    jpeg_quality: WholeRange | None = None

    def __post_init__(self) -> None:
        check_range("jpeg_quality", self.jpeg_quality, allowed(Jpeg, "quality"))


@dataclass(frozen=True)
class Ending:
    """The last two of Real-ESRGAN, in random order: JPEG; and resizing to the final size with a sinc filter."""

    reduction: float = 4.0  # the side is divided by it
    modes: tuple[ResizeMode, ...] = ("area", "bilinear", "bicubic")  # equally likely
    sinc_chance: float = 0.8
    sinc_taps: WholeRange = _ESRGAN_TAPS  # both ends odd
    sinc_cutoff_rad: Range = _ESRGAN_CUTOFF_RAD
    jpeg_quality: WholeRange = _ESRGAN_QUALITY
    jpeg_last_chance: float = 0.5

    def __post_init__(self) -> None:
        check_value("reduction", self.reduction, _REDUCTION)
        check_modes(self.modes)
        check_chance("sinc_chance", self.sinc_chance)
        check_taps("sinc_taps", self.sinc_taps)
        check_range("sinc_cutoff_rad", self.sinc_cutoff_rad, allowed(SincBlur, "cutoff_rad"))
        check_range("jpeg_quality", self.jpeg_quality, allowed(Jpeg, "quality"))
        check_chance("jpeg_last_chance", self.jpeg_last_chance)


@dataclass(frozen=True)
class Recipe:
    """A name, up to 8 rounds, and an ending or none."""

    name: str
    rounds: tuple[Round, ...]
    ending: Ending | None = None

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
