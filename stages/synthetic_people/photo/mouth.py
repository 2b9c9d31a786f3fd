"""The mouth, painted at the photo's own resolution: lips, teeth and the dark inside."""

import numpy as np

from facerefs.stages.synthetic_people.head.field import Array, smoothstep
from facerefs.stages.synthetic_people.head.landmarks import Mouth
from facerefs.stages.synthetic_people.person import Person
from facerefs.stages.synthetic_people.photo.surface import Surface


def paint_mouth(surface: Surface, mouth: Mouth, person: Person, px_mm: float) -> None:
    """Paint the mouth into the surface; `px_mm` is the width of a pixel in mm."""
    tall = mouth.upper + mouth.lower + mouth.gap_up + mouth.gap_down + 8
    window = surface.window(0.0, mouth.y - 0.3 * tall, mouth.half + 6, tall)
    if window is None:
        return
    x, y = surface.moved_x[window], surface.moved_y[window]
    u, soft = x / mouth.half, max(px_mm, 0.4)
    top, line_top = mouth.outer_top(u), mouth.inner_top(u)
    line_low, low = mouth.inner_bottom(u), mouth.outer_bottom(u)
    edge = 0.9 + 0.4 * soft
    upper = smoothstep(-edge, edge, top - y) * smoothstep(-soft, soft, y - line_top) * (np.abs(u) < 1)
    lower = smoothstep(-edge - 0.5, edge, y - low) * smoothstep(-soft, soft, line_low - y) * (np.abs(u) < 1)
    lips = np.clip(upper + lower, 0, 1) * smoothstep(1.0, 0.90, np.abs(u))
    folds = 1 + 0.07 * np.sin(x * 3.1 + 0.6 * np.sin(x * 1.3 + person.index)) * smoothstep(
        0.9, 0.4, np.abs(u)
    )
    shade = np.where(y > 0.5 * (line_top + line_low), 0.80, 1.04) * folds
    colour = np.asarray(person.skin.lip_colour, np.float32) * shade[..., None]
    surface.albedo[window] += (colour - surface.albedo[window]) * (0.88 * lips)[..., None]
    surface.gloss[window] += (0.62 - surface.gloss[window]) * lower * lips
    _tilt_lips(surface, window, mouth, (u, y), lips=(upper, lower))
    _open(surface, window, mouth, (u, y), lines=(line_top, line_low), soft=soft)
    line = mouth.line(u)
    closed = np.exp(-(((y - np.where(mouth.gap_up > 0.4, line_top, line)) / 0.75) ** 2)) * smoothstep(
        1.10, 0.92, np.abs(u)
    )
    corner = np.exp(-(((np.abs(u) - 1.0) / 0.07) ** 2) - ((y - line) / 1.9) ** 2)
    dark = surface.albedo[window] * np.array([0.30, 0.17, 0.16], np.float32)
    alpha = np.clip(0.86 * closed + 0.55 * corner, 0, 0.9)
    surface.albedo[window] += (dark - surface.albedo[window]) * alpha[..., None]


def _tilt_lips(
    surface: Surface,
    window: tuple[slice, slice],
    m: Mouth,
    at: tuple[Array, Array],
    *,
    lips: tuple[Array, Array],
) -> None:
    """Lips are rolls: the upper looks down, the lower turns from up to down."""
    (u, y), (upper, lower) = at, lips
    low = (m.inner_bottom(u) - y) / (m.lower + 1e-3)
    roll = lower * (0.55 - 1.25 * np.clip(low, 0, 1)) + upper * -0.28
    surface.local_normal[1, window[0], window[1]] += 0.75 * roll * smoothstep(1.0, 0.7, np.abs(u))


def _open(
    surface: Surface,
    window: tuple[slice, slice],
    m: Mouth,
    at: tuple[Array, Array],
    *,
    lines: tuple[Array, Array],
    soft: float,
) -> None:
    """Between the lips: upper teeth before the dark, a hint of tongue."""
    (u, y), (line_top, line_low) = at, lines
    if m.gap_up + m.gap_down < 0.5:
        return
    inside = smoothstep(-0.5 * soft, 0.5 * soft, np.minimum(line_top - y, y - line_low)) * (np.abs(u) < 0.93)
    colour = np.zeros((*u.shape, 3), np.float32) + np.array([0.045, 0.012, 0.012], np.float32)
    tongue = (
        smoothstep(2.5, 7.0, line_top - y)
        * smoothstep(0.8, 0.3, np.abs(u))
        * float(np.clip((m.gap_down - 4) / 5, 0, 1))
    )
    colour += np.array([0.20, 0.055, 0.05], np.float32) * tongue[..., None]
    length = 7.0 - 2.2 * np.abs(u) ** 2
    across = np.abs(u) * m.half
    joint = np.minimum.reduce([np.abs(across - at) for at in (0.0, 8.2, 14.6, 21.0)])
    scallop = 0.5 * smoothstep(0.9, 0.0, joint)
    teeth = smoothstep(length + 0.5 - scallop, length - 0.5 - scallop, line_top - y) * smoothstep(
        0.92, 0.7, np.abs(u)
    )
    shade = (
        (0.62 - 0.30 * np.abs(u) ** 2)
        * (1 - 0.30 * smoothstep(0.6, 0.0, joint))
        * (0.62 + 0.38 * smoothstep(0, 2.2, line_top - y))
    )
    white = np.array([0.98, 0.90, 0.80], np.float32) * shade[..., None]
    colour = colour + (white - colour) * (0.96 * teeth)[..., None]
    surface.albedo[window] += (colour - surface.albedo[window]) * inside[..., None]
    surface.gloss[window] *= 1 - 0.5 * inside
