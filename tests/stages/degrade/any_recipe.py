"""A hypothesis strategy for any recipe that a user may write."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from facerefs.schemas.operations import Range
from facerefs.stages.degrade.recipe import (
    BlurKinds,
    FinalPass,
    IntRange,
    Pass,
    RandomBlur,
    RandomColour,
    RandomNoise,
    RandomResize,
    Recipe,
)

PI = 3.141592653589793


def recipes() -> SearchStrategy[Recipe]:
    """Valid recipes of one to three passes, with and without a final pass."""
    return st.builds(
        Recipe,
        name=st.from_regex(r"own-[a-z0-9_-]{0,30}", fullmatch=True),
        rounds=st.lists(_passes(), min_size=1, max_size=3).map(tuple),
        ending=st.none() | _final_passes(),
    )


def _passes() -> SearchStrategy[Pass]:
    return st.builds(
        Pass,
        blur=st.none() | _blurs(),
        resize=st.none() | _resizes(),
        noise=st.none() | _noises(),
        colour=st.none() | _colours(),
        jpeg_quality=st.none() | _int_ranges(1, 100),
    )


def _blurs() -> SearchStrategy[RandomBlur]:
    return st.builds(
        RandomBlur,
        kinds=st.lists(st.floats(0, 9), min_size=7, max_size=7).filter(any).map(lambda w: BlurKinds(*w)),
        taps=_taps(),
        sigma_px=_ranges(0.01, 1000),
        motion_px=st.just(Range(1, 1)),
        generalised_beta=st.builds(Range, st.floats(0.1, 1), st.floats(1, 20)),
        plateau_beta=st.builds(Range, st.floats(0.1, 1), st.floats(1, 20)),
        chance=_probs(),
        sinc_chance=_probs(),
        sinc_cutoff_rad=_ranges(0.01, PI),
        sinc_cutoff_from_13_taps_rad=_ranges(0.01, PI),
    )


def _resizes() -> SearchStrategy[RandomResize]:
    return st.one_of(
        st.builds(RandomResize, reduction=_ranges(0.25, 1000), modes=_modes()),
        st.builds(
            RandomResize,
            reduction_choices=st.lists(st.floats(0.25, 1000), min_size=1, max_size=4).map(tuple),
            modes=_modes(),
        ),
        st.builds(
            RandomResize,
            factor=st.builds(Range, st.floats(0.001, 1), st.floats(1, 4)),
            base_reduction=st.floats(1, 1000),
            up=st.floats(0, 9),
            down=st.floats(0.01, 9),
            keep=st.floats(0, 9),
            modes=_modes(),
        ),
    )


def _noises() -> SearchStrategy[RandomNoise]:
    return st.builds(
        RandomNoise,
        sigma=_ranges(0, 255),
        poisson_scale=_ranges(0, 20),
        poisson_chance=_probs(),
        gray_chance=_probs(),
    )


def _colours() -> SearchStrategy[RandomColour]:
    return st.builds(
        RandomColour,
        shift_chance=_probs(),
        shift=st.floats(0, 255),
        gray_chance=_probs(),
        jitter_chance=_probs(),
        brightness=_ranges(0, 10),
        contrast=_ranges(0, 10),
        saturation=_ranges(0, 10),
        hue=_ranges(-0.5, 0.5),
    )


def _final_passes() -> SearchStrategy[FinalPass]:
    return st.builds(
        FinalPass,
        reduction=st.floats(0.25, 1000),
        modes=_modes(),
        sinc_chance=_probs(),
        sinc_taps=_taps(),
        sinc_cutoff_rad=_ranges(0.01, PI),
        jpeg_quality=_int_ranges(1, 100),
        jpeg_last_chance=_probs(),
    )


def _probs() -> SearchStrategy[float]:
    return st.floats(0, 1)


def _ranges(low: float, high: float) -> SearchStrategy[Range]:
    ends = st.floats(low, high)
    return st.builds(lambda one, other: Range(min(one, other), max(one, other)), ends, ends)


def _int_ranges(low: int, high: int) -> SearchStrategy[IntRange]:
    ends = st.integers(low, high)
    return st.builds(lambda one, other: IntRange(min(one, other), max(one, other)), ends, ends)


def _taps() -> SearchStrategy[IntRange]:
    return _int_ranges(0, 255).map(lambda ends: IntRange(2 * ends.low + 1, 2 * ends.high + 1))


def _modes() -> SearchStrategy[tuple[str, ...]]:
    modes = st.sampled_from(["bilinear", "bicubic", "area", "bicubic_antialias"])
    return st.lists(modes, min_size=1, max_size=4, unique=True).map(tuple)
