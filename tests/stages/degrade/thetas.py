"""A hypothesis strategy for any theta, with sizes small enough for a test."""

import math

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from facerefs.schemas.operations import (
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    Mirror,
    MotionBlur,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Resize,
    Saturation,
    SincBlur,
)
from facerefs.schemas.theta import Theta

_taps = st.integers(0, 20).map(lambda half: 2 * half + 1)
_sigmas_px = st.floats(0.1, 12)
_angles = st.floats(-math.pi, math.pi)
_betas = st.floats(0.5, 4)
_factors = st.floats(0, 2)
_seeds = st.integers(0, 2**53 - 1)
_shifts = st.floats(-50, 50)
SIDES = st.integers(1, 70)

BLURS: SearchStrategy[Operation] = st.one_of(
    st.builds(Blur, _taps, _sigmas_px, _sigmas_px, _angles),
    st.builds(Blur, _taps, _sigmas_px, _sigmas_px, st.just(0.0)),
    st.builds(GeneralisedBlur, _taps, _sigmas_px, _sigmas_px, _angles, _betas),
    st.builds(PlateauBlur, _taps, _sigmas_px, _sigmas_px, _angles, _betas),
    st.builds(SincBlur, _taps, st.floats(0.3, math.pi)),
    st.builds(MotionBlur, st.just(41), st.floats(1, 41), _angles),
)
RESIZES: SearchStrategy[Operation] = st.builds(
    Resize, SIDES, SIDES, st.sampled_from(["bilinear", "bicubic", "area", "bicubic_antialias"])
)
COLOURS: SearchStrategy[Operation] = st.one_of(
    st.builds(ColourShift, _shifts, _shifts, _shifts),
    st.builds(Brightness, _factors),
    st.builds(Contrast, _factors),
    st.builds(Saturation, _factors),
    st.builds(Hue, st.floats(-0.5, 0.5)),
    st.builds(Gray),
)
NOISES: SearchStrategy[Operation] = st.one_of(
    st.builds(Noise, st.floats(0, 60), st.booleans(), _seeds),
    st.builds(PoissonNoise, st.floats(0, 3), st.booleans(), _seeds),
)
JPEGS: SearchStrategy[Operation] = st.builds(Jpeg, st.integers(1, 100), st.sampled_from(["4:2:0", "4:4:4"]))
OPERATIONS = st.one_of(st.builds(Mirror), BLURS, RESIZES, COLOURS, NOISES, JPEGS)


def thetas(operations: SearchStrategy[Operation] = OPERATIONS, most: int = 6) -> SearchStrategy[Theta]:
    """Thetas of up to `most` operations."""
    return st.lists(operations, max_size=most).map(tuple)
