"""The background of a photo, out of focus."""

import colorsys

import cv2
import numpy as np

from facerefs.stages.synthetic_people.head.field import Array, smooth_noise
from facerefs.stages.synthetic_people.view import View

COARSE = 160


def paint_backdrop(view: View, size_px: int) -> Array:
    """The background in linear light, (size, size, 3)."""
    rng = np.random.default_rng(np.random.SeedSequence([view.backdrop_seed, 8]))
    painters = {"gradient": _gradient, "bokeh": _bokeh, "room": _room, "garden": _garden}
    image = painters[view.backdrop](rng, view.backdrop_hue)
    return np.maximum(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_CUBIC), 0.002)


def _hsv(hue: float, saturation: float, value: float) -> Array:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32) ** 2.2


def _gradient(rng: np.random.Generator, hue: float) -> Array:
    y, x = np.mgrid[:COARSE, :COARSE].astype(np.float32) / COARSE
    centre = rng.uniform(0.25, 0.75), rng.uniform(0.15, 0.5)
    away = np.hypot(x - centre[0], y - centre[1])[..., None]
    value = rng.uniform(0.55, 0.9)
    inner, outer = (
        _hsv(hue, rng.uniform(0.08, 0.3), value),
        _hsv(hue + 0.04, rng.uniform(0.15, 0.4), value * 0.45),
    )
    wash = 1 + 0.05 * smooth_noise(rng, (COARSE, COARSE), (40, 40))[..., None]
    return np.asarray((inner + (outer - inner) * np.clip(away * 1.25, 0, 1) ** 1.3) * wash, np.float32)


def _bokeh(rng: np.random.Generator, hue: float) -> Array:
    image = np.zeros((COARSE, COARSE, 3), np.float32) + _hsv(hue, 0.45, 0.22)
    image += np.linspace(0.06, 0, COARSE, dtype=np.float32)[:, None, None] * _hsv(hue + 0.1, 0.3, 0.9)
    for _ in range(26):
        disc = np.zeros((COARSE, COARSE), np.float32)
        x, y = int(rng.uniform(0, COARSE)), int(rng.uniform(0, 0.8 * COARSE))
        cv2.circle(disc, (x, y), int(rng.uniform(6, 17)), 1.0, -1, cv2.LINE_AA)
        colour = _hsv(hue + rng.normal(0, 0.06), rng.uniform(0.2, 0.6), rng.uniform(0.5, 1))
        image += cv2.GaussianBlur(disc, (0, 0), 1.8)[..., None] * colour * rng.uniform(0.05, 0.2)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def _room(rng: np.random.Generator, hue: float) -> Array:
    wall = _hsv(rng.choice([0.08, 0.1, 0.58, hue]), rng.uniform(0.06, 0.22), rng.uniform(0.6, 0.85))
    image = np.zeros((COARSE, COARSE, 3), np.float32) + wall
    floor = int(rng.uniform(0.72, 0.85) * COARSE)
    image[floor:] = _hsv(0.07, 0.4, rng.uniform(0.3, 0.5))
    left = int(rng.choice([rng.uniform(-16, 2), rng.uniform(112, 125)]))
    cv2.rectangle(image, (left, 10), (left + 50, 95), tuple(map(float, _hsv(0.57, 0.08, 0.95))), -1)
    cv2.rectangle(image, (left + 23, 10), (left + 26, 95), tuple(map(float, wall * 1.1)), -1)
    other = 122 if left < 60 else 0
    for shelf in range(3):
        y = 30 + 26 * shelf
        cv2.rectangle(image, (other, y), (other + 38, y + 2), tuple(map(float, _hsv(0.07, 0.5, 0.35))), -1)
        for book in range(5):
            x, tall = other + 2 + 7 * book, int(rng.uniform(10, 19))
            tone = _hsv(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.7))
            cv2.rectangle(image, (x, y - tall), (x + 5, y), tuple(map(float, tone)), -1)
    light = np.linspace(1.05, 0.8, COARSE, dtype=np.float32)
    image *= (light if left < 60 else light[::-1])[None, :, None]
    return cv2.GaussianBlur(image, (0, 0), 6.0)


def _garden(rng: np.random.Generator, hue: float) -> Array:
    green = _hsv(0.24 + 0.1 * hue, 0.5, 0.42)
    sky = _hsv(0.56, 0.18, 0.95)
    y = np.linspace(0, 1, COARSE, dtype=np.float32)[:, None, None]
    leaves = smooth_noise(rng, (COARSE, COARSE), (14, 14))[..., None]
    open_sky = np.clip(0.85 - 2.2 * y + 0.45 * smooth_noise(rng, (COARSE, COARSE), (24, 24))[..., None], 0, 1)
    image = green * np.exp(0.28 * leaves) * (1.05 - 0.4 * y)
    image = image + (sky - image) * open_sky
    for _ in range(14):
        disc = np.zeros((COARSE, COARSE), np.float32)
        cv2.circle(
            disc,
            (int(rng.uniform(0, COARSE)), int(rng.uniform(0, 0.6 * COARSE))),
            int(rng.uniform(4, 10)),
            1.0,
            -1,
        )
        image = image + disc[..., None] * _hsv(0.18, 0.25, 0.9) * 0.12
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 3.0), np.float32)
