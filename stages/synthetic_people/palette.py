"""Colours of skin, hair, eyes and cloth, in linear light."""

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""Linear-light red, green and blue in [0, 1]."""


def linear(*srgb: float) -> Colour:
    """Linear light of an sRGB colour given as 0 to 255."""
    value = np.asarray(srgb) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(light[0]), float(light[1]), float(light[2])


SKIN_TONES = np.array(
    [
        linear(240, 200, 178),
        linear(228, 180, 150),
        linear(216, 165, 131),
        linear(187, 130, 94),
        linear(150, 99, 69),
        linear(122, 80, 57),
        linear(100, 65, 48),
    ]
)
HAIR_TONES = {
    "black": linear(30, 26, 26),
    "espresso": linear(52, 36, 28),
    "brown": linear(88, 58, 38),
    "chestnut": linear(118, 68, 40),
    "auburn": linear(142, 66, 34),
    "ginger": linear(190, 100, 48),
    "honey": linear(184, 136, 82),
    "blond": linear(214, 176, 122),
    "grey": linear(140, 138, 136),
    "white": linear(214, 211, 206),
}
IRIS_TONES = [
    linear(58, 34, 20),
    linear(92, 58, 30),
    linear(112, 92, 46),
    linear(84, 112, 78),
    linear(88, 122, 150),
    linear(120, 132, 140),
]
CLOTH_TONES = [
    linear(44, 62, 92),
    linear(140, 52, 50),
    linear(70, 96, 80),
    linear(214, 204, 188),
    linear(52, 52, 58),
    linear(196, 150, 82),
    linear(120, 92, 132),
    linear(92, 140, 158),
    linear(226, 226, 230),
    linear(150, 96, 80),
]


def mix(stops: NDArray[np.float64], at: float) -> NDArray[np.float64]:
    """Linear interpolation between rows of `stops`, `at` from 0 to 1."""
    position = at * (len(stops) - 1)
    low = min(int(position), len(stops) - 2)
    return np.asarray(stops[low] + (stops[low + 1] - stops[low]) * (position - low))


def colour_of(value: NDArray[np.float64]) -> Colour:
    """The colour with these three values, clipped to [0, 1]."""
    red, green, blue = np.clip(value, 0, 1)
    return float(red), float(green), float(blue)
