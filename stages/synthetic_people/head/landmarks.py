"""The 68 landmarks, the eyelids and the lips as curves in the frontal plane of the face."""

from dataclasses import dataclass

import numpy as np

from facerefs.stages.synthetic_people.head.expression import Expression, jaw_drop_mm
from facerefs.stages.synthetic_people.head.field import Array
from facerefs.stages.synthetic_people.head.shape import jaw_curve
from facerefs.stages.synthetic_people.proportions import HeadShape


@dataclass(frozen=True)
class Eye:
    """One eye in the frontal plane: corners, lids. `side` is -1 left in the photo, 1 right."""

    side: int
    x: float
    y: float
    half: float
    tilt_rad: float
    upper: float  # height of the upper lid above the line between the corners, mm
    lower: float

    def local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Along the eye, -1 at the inner to 1 at the outer corner, and mm above the line between them."""
        dx, dy = (x - self.x) * self.side, y - self.y
        cos, sin = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return (dx * cos + dy * sin) / self.half, dy * cos - dx * sin

    def place(self, u: Array, v: Array) -> Array:
        """Frontal places (N, 2) of local coordinates."""
        cos, sin = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        along = u * self.half
        return np.stack([self.x + self.side * (along * cos - v * sin), self.y + along * sin + v * cos], 1)

    def upper_lid(self, u: Array) -> Array:
        w = np.clip(u, -1, 1) + 0.10 * (1 - np.clip(u, -1, 1) ** 2)
        return self.upper * np.clip(1 - np.abs(w) ** 2.3, 0, 1) ** 0.85

    def lower_lid(self, u: Array) -> Array:
        w = np.clip(u, -1, 1) - 0.14 * (1 - np.clip(u, -1, 1) ** 2)
        return -self.lower * np.clip(1 - np.abs(w) ** 2.2, 0, 1)


@dataclass(frozen=True)
class Mouth:
    """The mouth in the frontal plane: half-width, height of the middle, lips and opening in mm."""

    y: float
    half: float
    lift: float  # of the corners above the middle
    upper: float
    lower: float
    gap_up: float
    gap_down: float

    def line(self, u: Array) -> Array:
        return self.y + self.lift * u**2

    def outer_top(self, u: Array) -> Array:
        w = np.clip(np.abs(u), 0, 1)
        bow = 1 - 0.20 * np.exp(-((u / 0.13) ** 2))
        return self.line(u) + (self.upper * bow + self.gap_up * 0.6) * (1 - w**1.55) ** 0.95

    def inner_top(self, u: Array) -> Array:
        return self.line(u) + self.gap_up * np.clip(1 - (u / 0.93) ** 2, 0, 1)

    def inner_bottom(self, u: Array) -> Array:
        return self.line(u) - self.gap_down * np.clip(1 - (u / 0.93) ** 2, 0, 1) ** 0.8

    def outer_bottom(self, u: Array) -> Array:
        return self.line(u) - (self.lower + self.gap_down) * np.clip(1 - np.abs(u) ** 2.1, 0, 1) ** 0.8


def eyes(expression: Expression) -> tuple[Eye, Eye]:
    """The eye left in the photo, and the right one."""
    s, view = expression.shape, expression.view
    openness = 1 - view.blink
    upper = 0.68 * s.eye_open * openness - 1.6 * view.blink + 0.35 * max(view.brow_raise, 0)
    lower = 0.34 * s.eye_open * (1 - 0.35 * view.smile) * (1 - 0.2 * view.blink)
    upper = max(upper, -lower + 0.15)

    def one(side: int) -> Eye:
        return Eye(side, side * s.eye_x, 0.0, s.eye_half, np.radians(s.eye_tilt_deg), upper, lower)

    return one(-1), one(1)


def mouth(expression: Expression) -> Mouth:
    s, view = expression.shape, expression.view
    at = np.array([[0.0, s.mouth_half]], np.float32), np.array([[s.mouth_y, s.mouth_y]], np.float32)
    x, y = expression.moved(*at)
    drop = jaw_drop_mm(view)
    parted = 2.4 * max(view.smile - 0.35, 0.0) / 0.65
    stretch = 1 - 0.18 * view.smile
    return Mouth(
        y=s.mouth_y,
        half=float(x[0, 1]),
        lift=float(y[0, 1] + 0.8 * drop * 0.35 - s.mouth_y) + s.mouth_curve,
        upper=s.upper_lip * stretch,
        lower=s.lower_lip * stretch,
        gap_up=1.5 * parted + 0.10 * drop,
        gap_down=0.9 * parted + 0.85 * drop,
    )


def neutral_brow(shape: HeadShape, side: int, count: int) -> Array:
    """Neutral centre line of an eyebrow, (count, 2) mm, from its inner to its outer end."""
    u = np.linspace(-1, 1, count)
    x = shape.eye_x + 1.5 + u * shape.brow_half
    arch = shape.brow_arch * (1 - ((u - 0.25) / 1.25) ** 2) - 4.4 * np.clip(u - 0.3, 0, None) ** 2
    y = shape.brow_y + shape.brow_tilt * shape.brow_half * u + arch
    return np.stack([side * x, y], 1).astype(np.float32)


def place_landmarks(expression: Expression) -> Array:
    """Frontal places (68, 2) in mm, in the order of iBUG 300-W, with the expression of the photo."""
    s = expression.shape
    left, right = eyes(expression)
    above = np.array([[0, 1.0], [0, 3.3], [0, 3.3], [0, 2.2], [0, -1.8]])  # iBUG marks the upper edge
    brows = np.concatenate([(neutral_brow(s, -1, 5) + above)[::-1], neutral_brow(s, 1, 5) + above])
    tip_y = s.nose_y + 7.5 + s.nose_upturn
    bridge = np.stack([np.zeros(4), np.linspace(2.8, tip_y + 0.8, 4)], 1)
    base_x = np.array([-0.80, -0.42, 0, 0.42, 0.80]) * s.nose_half
    base = np.stack([base_x, s.nose_y + np.array([1.0, -0.6, -1.8, -0.6, 1.0])], 1)
    neutral = np.concatenate([_jaw(expression), brows, bridge, base]).astype(np.float32)
    x, y = expression.moved(neutral[None, :, 0], neutral[None, :, 1])
    moved = np.stack([x[0], y[0]], 1)
    return np.concatenate(
        [moved, _lids(left, flip=True), _lids(right, flip=False), _lips(mouth(expression))]
    ).astype(np.float32)


def _jaw(expression: Expression) -> Array:
    """Seventeen places along the edge of the jaw, at equal arc lengths from ear to ear."""
    x, y = jaw_curve(expression.shape)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    at = np.linspace(0, length[-1], 9)
    half = np.stack([np.interp(at, length, x), np.interp(at, length, y)], 1)
    return np.concatenate([(half * [-1, 1])[::-1], half[1:]])


def _lids(eye: Eye, flip: bool) -> Array:
    u = np.array([-0.99, -0.36, 0.34, 0.91, 0.32, -0.36])  # the white ends before the lids meet
    if flip:  # the left eye starts at its outer corner
        u = u[[3, 2, 1, 0, 5, 4]]
    v = np.concatenate([[0], eye.upper_lid(u[1:3]), [0], eye.lower_lid(u[4:6])])
    return eye.place(u, v)


def _lips(m: Mouth) -> Array:
    top, bottom = np.array([-0.62, -0.25, 0, 0.25, 0.62]), np.array([0.62, 0.25, 0, -0.25, -0.62])
    inner = np.array([-0.30, 0, 0.30])
    u = np.concatenate([[-1], top, [1], bottom, [-0.86], inner, [0.86], inner[::-1]])
    ends = np.array([-1.0, 1.0]), np.array([-0.86, 0.86])
    y = np.concatenate(
        [
            m.line(ends[0][:1]),
            m.outer_top(top),
            m.line(ends[0][1:]),
            m.outer_bottom(bottom),
            m.line(ends[1][:1]),
            m.inner_top(inner),
            m.line(ends[1][1:]),
            m.inner_bottom(inner[::-1]),
        ]
    )
    return np.stack([u * m.half, y], 1)
