"""A hypothesis strategy for any theta, with sizes small enough for a test."""

import math
from typing import get_args

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
    ResizeMode,
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

_gaussians = (_taps, _sigmas_px, _sigmas_px, _angles)
KINDS: dict[type, SearchStrategy[Operation]] = {
    Mirror: st.builds(Mirror),
    Blur: st.builds(Blur, *_gaussians) | st.builds(Blur, _taps, _sigmas_px, _sigmas_px, st.just(0.0)),
    GeneralisedBlur: st.builds(GeneralisedBlur, *_gaussians, _betas),
    PlateauBlur: st.builds(PlateauBlur, *_gaussians, _betas),
    SincBlur: st.builds(SincBlur, _taps, st.floats(0.3, math.pi)),
    MotionBlur: st.builds(MotionBlur, st.just(41), st.floats(1, 41), _angles),
    Resize: st.builds(Resize, SIDES, SIDES, st.sampled_from(get_args(ResizeMode))),
    ColourShift: st.builds(ColourShift, _shifts, _shifts, _shifts),
    Brightness: st.builds(Brightness, _factors),
    Contrast: st.builds(Contrast, _factors),
    Saturation: st.builds(Saturation, _factors),
    Hue: st.builds(Hue, st.floats(-0.5, 0.5)),
    Gray: st.builds(Gray),
    Noise: st.builds(Noise, st.floats(0, 60), st.booleans(), _seeds),
    PoissonNoise: st.builds(PoissonNoise, st.floats(0, 3), st.booleans(), _seeds),
    Jpeg: st.builds(Jpeg, st.integers(1, 100), st.sampled_from(["4:2:0", "4:4:4"])),
}
"""Any operation of each kind."""
OPERATIONS = st.one_of(*KINDS.values())


def thetas(operations: SearchStrategy[Operation] = OPERATIONS, most: int = 6) -> SearchStrategy[Theta]:
    """Thetas of up to `most` operations."""
    return st.lists(operations, max_size=most).map(tuple)
