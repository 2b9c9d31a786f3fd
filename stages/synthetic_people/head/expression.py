"""Facial expressions: one smooth displacement field for surface, skin, moles and landmarks."""

from dataclasses import dataclass

import cv2
import numpy as np

from facerefs.stages.synthetic_people.head.field import HEIGHT, THETA, Array, polar, sample_grid, smoothstep
from facerefs.stages.synthetic_people.proportions import HeadShape
from facerefs.stages.synthetic_people.view import View

HALF_WIDTH, TOP, BOTTOM = 100, 130, -150


@dataclass(frozen=True)
class Expression:
    """A displacement field and its inverse, sampled every mm of the frontal plane."""

    shape: HeadShape
    view: View
    inverse: Array  # (rows, columns, 2): for each place with the expression, the neutral place (x, y) in mm

    def neutral(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The neutral places of displaced places; arrays (H, W) in mm."""
        place = cv2.remap(
            self.inverse, x + HALF_WIDTH, TOP - y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        inside = (np.abs(x) < HALF_WIDTH - 1) & (y < TOP - 1) & (y > BOTTOM + 1)
        return np.where(inside, place[..., 0], x), np.where(inside, place[..., 1], y)

    def moved(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The displaced places of neutral places; arrays in mm."""
        dx, dy = displacement(self.shape, self.view, x, y)
        return x + dx, y + dy


def make_expression(shape: HeadShape, view: View) -> Expression:
    """The expression of this photo; its inverse is computed by fixed-point iteration."""
    x, y = np.meshgrid(
        np.arange(-HALF_WIDTH, HALF_WIDTH + 1, dtype=np.float32),
        np.arange(TOP, BOTTOM - 1, -1, dtype=np.float32),
    )
    x0, y0 = x, y
    for _ in range(8):
        dx, dy = displacement(shape, view, x0, y0)
        x0, y0 = x - dx, y - dy
    return Expression(shape, view, np.dstack([x0, y0]).astype(np.float32))


def jaw_drop_mm(view: View) -> float:
    return 13.0 * view.mouth_open


def displacement(shape: HeadShape, view: View, x: Array, y: Array) -> tuple[Array, Array]:
    """Displacement in mm of neutral places (x, y): smile, open mouth and raised brows."""
    s, side, across = shape, np.sign(x), np.abs(x)

    def near(at: tuple[float, float], size: tuple[float, float]) -> Array:
        return np.exp(-0.5 * (((across - at[0]) / size[0]) ** 2 + ((y - at[1]) / size[1]) ** 2))

    corner = near((s.mouth_half, s.mouth_y), (10, 11))
    cheek = near((36, s.nose_y + 2), (13, 12))
    dx = side * view.smile * (3.8 * corner + 1.5 * cheek) * smoothstep(0, 10, across)
    dy = view.smile * (3.6 * corner + 2.4 * cheek + 1.2 * near((s.eye_x, -9), (12, 4)))
    dy -= view.smile * 1.2 * near((0, s.nose_y + 4), (10, 10))
    chin = smoothstep(s.mouth_y + 5, s.mouth_y - 14, y) * smoothstep(
        s.cheek_half + 14, 0.35 * s.jaw_half, across
    )
    chin = chin * smoothstep(s.chin_y - 42, s.chin_y - 8, y)
    dy -= jaw_drop_mm(view) * chin
    dx -= side * view.mouth_open * 1.6 * corner * smoothstep(0, 10, across)
    brow = near((s.eye_x, s.brow_y), (24, 9))
    dy += 3.2 * view.brow_raise * brow
    return dx.astype(np.float32), dy.astype(np.float32)


def move_surface(radius: Array, expression: Expression) -> Array:
    """The surface (ROWS, COLUMNS) with the expression; cheeks are fuller in a smile."""
    s, view = expression.shape, expression.view
    x, z = radius * np.sin(THETA), radius * np.cos(THETA)
    y = np.broadcast_to(HEIGHT, x.shape).astype(np.float32)
    x0, y0 = expression.neutral(x, y)
    _, theta0 = polar(x0, np.maximum(z, 1.0))
    front = smoothstep(5.0, 30.0, z)
    moved = sample_grid(radius, theta0.astype(np.float32), y0.astype(np.float32))
    bulge = np.exp(-0.5 * (((np.abs(x) - 38) / 12) ** 2 + ((y - s.nose_y - 6) / 10) ** 2))
    return np.asarray(radius + front * (moved - radius + 3.4 * view.smile * bulge), np.float32)
