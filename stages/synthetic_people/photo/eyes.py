"""Eyes, painted at the photo's own resolution: eyeball, iris, pupil, lids, lashes and crease."""

import numpy as np

from facerefs.stages.synthetic_people.head.field import Array, smoothstep
from facerefs.stages.synthetic_people.head.landmarks import Eye
from facerefs.stages.synthetic_people.person import Person
from facerefs.stages.synthetic_people.photo.surface import Surface
from facerefs.stages.synthetic_people.view import View

IRIS_MM = 6.0
BALL_MM = 12.5


def paint_eye(surface: Surface, eye: Eye, person: Person, view: View, px_mm: float) -> None:
    """Paint one eye into the surface; `px_mm` is the width of a pixel in mm."""
    window = surface.window(eye.x, eye.y, 1.65 * eye.half, 17.0)
    if window is None:
        return
    x, y = surface.moved_x[window], surface.moved_y[window]
    u, v = eye.local(x, y)
    upper, lower = eye.upper_lid(u), eye.lower_lid(u)
    soft = max(px_mm, 0.35)
    inside = smoothstep(-0.6 * soft, 0.6 * soft, np.minimum(upper - v, v - lower)) * (np.abs(u) < 1)
    colour, dx, dy, gloss = _eyeball(eye, person, view, (u, v, upper))
    _blend(surface.albedo, window, colour, inside)
    surface.gloss[window] += (gloss - surface.gloss[window]) * inside
    normal = np.stack(
        [dx / BALL_MM * 1.1, dy / BALL_MM * 1.1, np.sqrt(np.maximum(1 - (dx**2 + dy**2) / 300, 0.2))]
    )
    surface.local_normal[:, window[0], window[1]] += (
        normal - surface.local_normal[:, window[0], window[1]]
    ) * inside
    surface.wet[window] = np.maximum(surface.wet[window], inside)
    _lids(surface, window, eye, (u, v), person=person, soft=soft)


def _blend(image: Array, window: tuple[slice, slice], colour: Array, alpha: Array) -> None:
    image[window] += (colour - image[window]) * alpha[..., None]


def _eyeball(
    eye: Eye, person: Person, view: View, at: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Colour of the white, the iris and the pupil; offsets from the pupil in mm; gloss."""
    u, v, upper = at
    across = (u * eye.half) * eye.side
    middle = 1.7
    dx, dy = across - 3.6 * view.gaze[0] + 0.3 * eye.side, v - middle - 2.4 * view.gaze[1]
    away = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx)
    white = np.array([0.54, 0.50, 0.47], np.float32) * (1 - 0.12 * person.skin.melanin)
    rounded = 1 - 0.34 * np.abs(u) ** 2.2
    pink = np.array([1.0, 0.66, 0.62], np.float32) ** (np.clip(np.abs(u) - 0.55, 0, 1) * 1.6)[..., None]
    colour = white * rounded[..., None] * pink
    caruncle = smoothstep(-0.80, -0.93, u)
    colour = colour + (np.array([0.50, 0.22, 0.19], np.float32) - colour) * (0.8 * caruncle)[..., None]
    fibres = 0.5 + 0.5 * np.sin(angle * 23 + 2.5 * np.sin(angle * 7 + person.index) + 0.8 * away)
    ring = smoothstep(2.0, 4.6, away)
    glow = np.clip(0.75 - 0.55 * dy / IRIS_MM, 0.35, 1.5)
    iris = np.asarray(person.iris, np.float32) * (0.75 + 0.5 * fibres * (1 - 0.5 * ring) + 0.25)[..., None]
    iris = iris * glow[..., None] * (1 - 0.72 * smoothstep(IRIS_MM - 1.7, IRIS_MM - 0.2, away))[..., None]
    colour = colour + (iris - colour) * smoothstep(IRIS_MM + 0.35, IRIS_MM - 0.35, away)[..., None]
    colour = colour * (1 - 0.97 * smoothstep(2.55, 1.95, away))[..., None]
    shade = 1 - 0.62 * smoothstep(4.2, 0.2, upper - v)
    return colour * shade[..., None], dx, dy, np.full_like(u, 0.2)


def _lids(
    surface: Surface,
    window: tuple[slice, slice],
    eye: Eye,
    at: tuple[Array, Array],
    *,
    person: Person,
    soft: float,
) -> None:
    """Lashes along the upper lid, a thin line and wet rim below, the crease above."""
    u, v = at
    upper, lower = eye.upper_lid(u), eye.lower_lid(u)
    dark = np.minimum(np.asarray(person.hair.brow_colour, np.float32) * 0.35, 0.02)
    skin = surface.albedo[window]
    reach = smoothstep(-1.12, -0.85, u) * smoothstep(1.24, 1.06, u)
    line = 0.75 + 0.95 * smoothstep(-0.9, 0.8, u)
    wing = 2.2 * np.clip(u - 1, 0, 1)
    over = v - upper - wing
    lash = (
        smoothstep(line + 0.5 * soft, line - 0.5 * soft, over) * smoothstep(-0.9 - soft, -0.3, over) * reach
    )
    fringe = 0.5 + 0.5 * np.sin(u * 58 + 9 * v * (0.25 + 0.5 * u) / eye.half * 4)
    lashes = (
        fringe
        * smoothstep(line + 0.3 + 2.4 * smoothstep(-0.6, 0.9, u), line, over)
        * smoothstep(-0.7, -0.2, u)
        * smoothstep(-0.3, 0.2, over)
        * reach
    )
    _blend(surface.albedo, window, dark, np.clip(0.92 * lash + 0.55 * lashes, 0, 0.96))
    under = lower - v
    rim = smoothstep(0.95 + 0.5 * soft, 0.2, under) * smoothstep(-0.5, 0.2, under) * (np.abs(u) < 1.02)
    _blend(surface.albedo, window, skin * np.array([0.95, 0.72, 0.70], np.float32), 0.75 * rim)
    low = (
        smoothstep(0.6 + 0.4 * soft, 0.1, np.abs(under - 0.75))
        * smoothstep(-0.7, 0.5, u)
        * smoothstep(1.15, 0.95, u)
    )
    _blend(surface.albedo, window, dark, 0.42 * low)
    open_upper = 0.68 * person.shape.eye_open
    height = 0.45 * open_upper + 0.55 * eye.upper_lid(u) + person.shape.lid_crease
    arc = height * np.clip(1 - np.abs(u * 0.86) ** 2.4, 0, 1) ** 0.6
    off = v - arc
    crease = np.exp(-((off / 0.95) ** 2)) * smoothstep(1.2, 0.85, np.abs(u)) * (arc > upper)
    _blend(surface.albedo, window, skin * np.array([0.50, 0.36, 0.33], np.float32), 0.8 * crease)
    lid = smoothstep(0, 0.8, over) * smoothstep(0.4, -0.6, off) * smoothstep(1.1, 0.9, np.abs(u))
    surface.albedo[window] *= 1 + (0.10 * lid)[..., None]
