"""The neutral head without hair: skull, face and neck as a height field, with features as smooth bumps."""

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from facerefs.stages.synthetic_people.head.field import HEIGHT, THETA, Array, smoothstep
from facerefs.stages.synthetic_people.proportions import HeadShape

EAR_DEG = 96.0


def head_radius(shape: HeadShape) -> Array:
    """Radius in mm over (height, angle), shape (ROWS, COLUMNS), of the neutral head without hair."""
    face = _skull(shape).astype(np.float32)
    x, y, front = face * np.sin(THETA), HEIGHT, smoothstep(-0.1, 0.35, np.cos(THETA))
    face = face + front * _features(shape, x, y)
    face = _cut_jaw(shape, face)
    return (face + ears(shape)).astype(np.float32)


def _skull(shape: HeadShape) -> Array:
    """The rounded box that carries the features: superellipse cross-sections over a profile."""
    s = shape
    knots = [s.chin_y - 25, s.chin_y, s.mouth_y, s.nose_y, -16.0, 0.0, s.brow_y, 45.0, 52.0]
    low = s.jaw_half
    half = [
        low - 9,
        low - 4,
        low + 6,
        s.cheek_half - 3.5,
        s.cheek_half - 0.5,
        s.cheek_half,
        s.temple_half - 1,
        s.temple_half,
        s.temple_half,
    ]
    depth = [76, 83, 89, 90, 89.5, 88.5, 91, 88, 88]
    rear = [62, 66, 72, 82, 90, 95, 98, 100, 100]
    y = np.minimum(HEIGHT[:, 0], 52.0)
    side, ahead, behind = (PchipInterpolator(knots, v)(np.maximum(y, knots[0])) for v in (half, depth, rear))
    rise = np.clip((HEIGHT[:, 0] - 52.0) / (s.crown_y - 52.0), 0, 1)
    dome = np.sqrt(np.maximum(1 - rise**2.1, 0))
    side, ahead, behind = ((v * dome)[:, None] + 1e-3 for v in (side, ahead, behind))
    along = np.where(np.cos(THETA) > 0, ahead, behind)
    power = np.where(np.cos(THETA) > 0, s.flatness, 2.1)
    box = (np.abs(np.sin(THETA) / side) ** power + np.abs(np.cos(THETA) / along) ** power) ** (-1 / power)
    soft = gaussian_filter1d(box, 3.0, axis=0, mode="nearest")
    return np.asarray(soft + (box - soft) * smoothstep(78, 92, HEIGHT), np.float32)


def jaw_curve(shape: HeadShape) -> tuple[Array, Array]:
    """The lower edge of the face in the frontal view, chin to ear: x (positive side) and y in mm."""
    s = shape
    x = np.array(
        [
            0,
            0.55 * s.chin_half,
            s.chin_half,
            s.jaw_half - 7,
            s.jaw_half,
            s.cheek_half - 3.2,
            s.cheek_half - 1.0,
        ]
    )
    drop = s.jaw_y - s.chin_y
    y = np.array([s.chin_y, s.chin_y + 0.6, s.chin_y + 2.8, s.jaw_y - 0.42 * drop, s.jaw_y, -25.0, 4.0])
    return x.astype(np.float32), y.astype(np.float32)


def above_jaw(shape: HeadShape) -> Array:
    """Where the surface belongs to the face and skull rather than the neck, (ROWS, COLUMNS), 0 to 1."""
    x, y = jaw_curve(shape)
    depth = np.array([84, 84, 83, 52, 36, 14, 2])
    angle = np.concatenate([np.arctan2(x, depth), [np.radians(110), np.pi]])
    edge = PchipInterpolator(angle, np.concatenate([y, [8.0, 0.0]]))(np.abs(THETA))
    return smoothstep(-10.0, 5.0, HEIGHT - edge).astype(np.float32)


def _cut_jaw(shape: HeadShape, face: Array) -> Array:
    """Below the edge of the jaw the surface falls back to the neck."""
    flare = 30 * smoothstep(-150, -215, HEIGHT) ** 2
    half, ahead, behind = shape.neck_half + flare, 31 + 0.3 * flare, 76 + flare
    along = np.where(np.cos(THETA) > 0, ahead, behind)
    neck = (np.abs(np.sin(THETA) / half) ** 2 + np.abs(np.cos(THETA) / along) ** 2) ** -0.5
    return np.asarray(neck + (face - neck) * above_jaw(shape), np.float32)


def _bump(x: Array, y: Array, at: tuple[float, float], size: tuple[float, float]) -> Array:
    return np.exp(-0.5 * (((x - at[0]) / size[0]) ** 2 + ((y - at[1]) / size[1]) ** 2))


def _features(shape: HeadShape, x: Array, y: Array) -> Array:
    """Radial offsets in mm: sockets, brows, nose, cheeks, lips and chin."""
    s, across = shape, np.abs(x)
    out = -s.eye_depth * _bump(across, y, (s.eye_x - 3, 2.0), (15, 9.5))
    out += 4.6 * _bump(across, y, (s.eye_x, -1.0), (11.5, 7.5))
    out += s.brow_ridge * _bump(across, y, (s.eye_x - 2, s.brow_y - 1), (19, 5.5))
    out += s.cheekbone * _bump(across, y, (46, -22), (17, 12))
    out += 3.0 * _bump(across, y, (33, -36), (15, 13))
    out -= 2.5 * _bump(across, y, (50, s.mouth_y + 2), (12, 20))
    out -= 2.5 * _bump(across, y, (66, 30), (10, 20))
    out += _nose(s, x, y)
    out += 4.5 * _bump(x, y, (0, s.mouth_y), (26, 14))
    out -= 1.3 * _bump(x, y, (0, s.mouth_y + 13), (2.6, 5))
    out += 2.6 * _bump(x, y, (0, s.mouth_y + 0.45 * s.upper_lip), (0.66 * s.mouth_half, 0.42 * s.upper_lip))
    out += 3.2 * _bump(x, y, (0, s.mouth_y - 0.5 * s.lower_lip), (0.52 * s.mouth_half, 0.44 * s.lower_lip))
    out -= 2.2 * _bump(across, y, (s.mouth_half + 2.5, s.mouth_y - 1), (4.5, 4.5))
    out -= 3.6 * _bump(x, y, (0, s.mouth_y - s.lower_lip - 6), (17, 4.2))
    return out + s.chin_depth * _bump(x, y, (0, s.chin_y + 12), (0.85 * s.chin_half, 9))


def _nose(shape: HeadShape, x: Array, y: Array) -> Array:
    """Bridge, hump, tip and wings."""
    s, across = shape, np.abs(x)
    tip_y = s.nose_y + 7.5 + s.nose_upturn
    down = np.clip((6.0 - y) / (6.0 - tip_y), 0, None)
    ridge = (2.5 + (s.nose_depth - 2.5) * np.clip(down, 0, 1) ** 1.15) * smoothstep(13, -4, y)
    ridge = ridge * smoothstep(s.nose_y - 4.5, s.nose_y + 11.0, y - 0.03 * across**2)
    width = s.nose_bridge + 2.2 * np.clip(down, 0, 1.2)
    out = ridge * np.exp(-0.5 * (across / width) ** 2)
    out += s.nose_hump * 1.6 * _bump(x, y, (0, 0.45 * tip_y), (5, 7))
    out += 6.0 * _bump(x, y, (0, tip_y - 2.0), (7.2, 5.4))
    wing = (s.nose_half - 4.6, s.nose_y + 5.5)
    out += 8.0 * _bump(across, y, wing, (4.2, 5.0))
    return out - 1.6 * _bump(across, y, (s.nose_half + 3, s.nose_y + 5), (3.0, 6.0))


def ears(shape: HeadShape) -> Array:
    """A flap on each side, leaning back."""
    s = shape
    middle, half = -8.0, s.ear_size
    lean = np.radians(EAR_DEG) + (HEIGHT - middle) * 0.0030
    up = (HEIGHT - middle) / half
    profile = np.clip(1 - up**2, 0, 1) ** 0.4 * (0.84 + 0.2 * up)
    across = (np.abs(THETA) - lean) / np.radians(7.0 + 2.5 * up)
    flap = s.ear_out * profile * np.exp(-(np.abs(across) ** 2.6))
    hollow = np.exp(
        -(((np.abs(THETA) - lean + 0.065) / 0.045) ** 2) - ((HEIGHT - middle) / (0.42 * half)) ** 2
    )
    return np.asarray(flap - 0.45 * s.ear_out * hollow, np.float32)
