"""Draw a theta from a recipe.

Every drawn number has a name and is made from the SHA-256 of (seed, name). So the order of drawing does not matter, the
numbers are the same on every machine and with every library, and a new parameter never changes the other numbers.
Names in the second pass begin with `2/`, in the third with `3/`, and in the final pass with `ending/`.
"""

import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from facerefs.schemas.operations import (
    AnyBlur,
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    MotionBlur,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Range,
    Resize,
    Saturation,
    SincBlur,
)
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.recipe import (
    FinalPass,
    IntRange,
    Pass,
    RandomBlur,
    RandomColour,
    RandomNoise,
    RandomResize,
    Recipe,
)

T = TypeVar("T")

_ANGLE_RAD = Range(-math.pi, math.pi)
_SINC_LONG_TAPS = 13


def derive_seed(dataset_seed: int, key: str, draw: int) -> int:
    """A 64-bit seed (0 to 2**64 - 1) for one draw of one key, such as a theta of a sample (`draw`: 0, or the epoch)."""
    return _digest(f"{dataset_seed}/{draw}/{key}")


def draw(recipe: Recipe, seed: int, size_px: int) -> Theta:
    """A theta for a square image of `size_px`. The same arguments always give the same theta.

    Raises ValueError if a drawn size is larger than an image may be: 4 times `size_px` has to be allowed.
    """
    theta: list[Operation] = []
    for number, one in enumerate(recipe.rounds, start=1):
        theta += _pass(one, _Numbers(seed, "" if number == 1 else f"{number}/"), size_px)
    if recipe.ending:
        theta += _final_pass(recipe.ending, _Numbers(seed, "ending/"), size_px)
    return tuple(theta)


@dataclass(frozen=True)
class _Numbers:
    """Random numbers of one seed, each by its name."""

    seed: int
    prefix: str

    def uniform(self, name: str) -> float:
        """A number in [0, 1) with 53 random bits."""
        return self.bits(name) * 2.0**-53

    def bits(self, name: str) -> int:
        """An integer of 53 bits, which a double, and so every reader of JSON, holds exactly."""
        return _digest(f"{self.seed}/{self.prefix}{name}") >> 11

    def happens(self, prob: float, name: str) -> bool:
        return self.uniform(name) < prob

    def between(self, ends: Range, name: str) -> float:
        return float(min(ends.high, ends.low + (ends.high - ends.low) * self.uniform(name)))

    def integer(self, ends: IntRange, name: str, step: int = 1) -> int:
        return ends.low + step * int(self.uniform(name) * ((ends.high - ends.low) // step + 1))

    def one_of(self, choices: Sequence[T], name: str) -> T:
        return choices[int(self.uniform(name) * len(choices))]

    def weighted(self, weights: Iterable[tuple[T, float]], name: str) -> T:
        possible = [(choice, weight) for choice, weight in weights if weight > 0]
        sums = list(itertools.accumulate(weight for _, weight in possible))
        place = self.uniform(name) * sums[-1]
        return next(
            (choice for (choice, _), end in zip(possible, sums, strict=True) if place < end), possible[-1][0]
        )


def _pass(one: Pass, numbers: _Numbers, size_px: int) -> list[Operation]:
    theta: list[Operation] = []
    if one.blur and numbers.happens(one.blur.chance, "blur_chance"):
        theta.append(_blur(one.blur, numbers))
    if one.resize:
        theta.append(_resize(one.resize, numbers, size_px))
    if one.noise:
        theta.append(_noise(one.noise, numbers))
    if one.colour:
        theta += _colour(one.colour, numbers)
    if one.jpeg_quality:
        theta.append(_jpeg(one.jpeg_quality, numbers))
    return theta


def _blur(blur: RandomBlur, numbers: _Numbers) -> AnyBlur:
    taps = numbers.integer(blur.taps, "taps", step=2)
    if numbers.happens(blur.sinc_chance, "sinc"):
        long = taps >= _SINC_LONG_TAPS
        cutoff_rad = blur.sinc_cutoff_from_13_taps_rad if long else blur.sinc_cutoff_rad
        return SincBlur(taps, numbers.between(cutoff_rad, "sinc_cutoff"))
    kind: str = numbers.weighted(asdict(blur.kinds).items(), "blur")
    if kind == "motion":
        return MotionBlur(
            taps, numbers.between(blur.motion_px, "motion"), numbers.between(_ANGLE_RAD, "angle")
        )
    sigma_x_px = sigma_y_px = numbers.between(blur.sigma_px, "sigma_x")
    angle_rad = 0.0
    if kind.endswith("anisotropic"):
        sigma_y_px = numbers.between(blur.sigma_px, "sigma_y")
        angle_rad = numbers.between(_ANGLE_RAD, "angle")
    if kind.startswith("generalised"):
        return GeneralisedBlur(taps, sigma_x_px, sigma_y_px, angle_rad, _beta(blur.generalised_beta, numbers))
    if kind.startswith("plateau"):
        return PlateauBlur(taps, sigma_x_px, sigma_y_px, angle_rad, _beta(blur.plateau_beta, numbers))
    return Blur(taps, sigma_x_px, sigma_y_px, angle_rad)


def _beta(ends: Range, numbers: _Numbers) -> float:
    below = numbers.happens(0.5, "beta_side")
    return numbers.between(Range(ends.low, 1.0) if below else Range(1.0, ends.high), "beta")


def _resize(resize: RandomResize, numbers: _Numbers, size_px: int) -> Resize:
    out_px = max(1, int(_side_px(resize, numbers, size_px)))
    return Resize(out_px, out_px, numbers.one_of(resize.modes, "mode"))


def _side_px(resize: RandomResize, numbers: _Numbers, size_px: int) -> float:
    if resize.reduction:
        return size_px // numbers.between(resize.reduction, "scale")
    if resize.reduction_choices:
        return size_px // numbers.one_of(resize.reduction_choices, "scale")
    low, high = resize.factor or Range(1, 1)
    ways = (
        (Range(1.0, high), resize.up),
        (Range(low, 1.0), resize.down),
        (Range(1.0, 1.0), resize.keep),
    )
    return size_px / resize.base_reduction * numbers.between(numbers.weighted(ways, "direction"), "scale")


def _noise(noise: RandomNoise, numbers: _Numbers) -> Noise | PoissonNoise:
    gray, seed = numbers.happens(noise.gray_chance, "noise_gray"), numbers.bits("noise_seed")
    if numbers.happens(noise.poisson_chance, "poisson"):
        return PoissonNoise(numbers.between(noise.poisson_scale, "poisson_scale"), gray, seed)
    return Noise(numbers.between(noise.sigma, "noise"), gray, seed)


def _colour(colour: RandomColour, numbers: _Numbers) -> list[Operation]:
    theta: list[Operation] = []
    if numbers.happens(colour.shift_chance, "colour_shift"):
        shift = Range(-colour.shift, colour.shift)
        theta.append(ColourShift(*(numbers.between(shift, channel) for channel in ("red", "green", "blue"))))
    if numbers.happens(colour.gray_chance, "gray"):
        theta.append(Gray())
    if numbers.happens(colour.jitter_chance, "jitter"):
        jitter = (
            Brightness(numbers.between(colour.brightness, "brightness")),
            Contrast(numbers.between(colour.contrast, "contrast")),
            Saturation(numbers.between(colour.saturation, "saturation")),
            Hue(numbers.between(colour.hue, "hue")),
        )
        theta += numbers.one_of(list(itertools.permutations(jitter)), "jitter_order")
    return theta


def _final_pass(ending: FinalPass, numbers: _Numbers, size_px: int) -> list[Operation]:
    out_px = max(1, int(size_px // ending.reduction))
    last: list[Operation] = [Resize(out_px, out_px, numbers.one_of(ending.modes, "mode"))]
    if numbers.happens(ending.sinc_chance, "sinc"):
        taps = numbers.integer(ending.sinc_taps, "taps", step=2)
        last.append(SincBlur(taps, numbers.between(ending.sinc_cutoff_rad, "sinc_cutoff")))
    jpeg = _jpeg(ending.jpeg_quality, numbers)
    return [*last, jpeg] if numbers.happens(ending.jpeg_last_chance, "jpeg_last") else [jpeg, *last]


def _jpeg(quality: IntRange, numbers: _Numbers) -> Jpeg:
    return Jpeg(numbers.integer(quality, "jpeg"), "4:2:0")  # the default of OpenCV and libjpeg


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
