"""The skin of the neutral face as a frontal texture: tone, freckles, moles, wrinkles, eyebrows and beard."""

from dataclasses import dataclass

import cv2
import numpy as np

from facerefs.stages.synthetic_people.head.field import Array, smooth_noise, smoothstep
from facerefs.stages.synthetic_people.head.landmarks import neutral_brow
from facerefs.stages.synthetic_people.person import Person
from facerefs.stages.synthetic_people.proportions import HeadShape

PX_PER_MM = 4
HALF_WIDTH_MM, TOP_MM, BOTTOM_MM = 84, 116, -140
SIZE = ((TOP_MM - BOTTOM_MM) * PX_PER_MM, 2 * HALF_WIDTH_MM * PX_PER_MM)


@dataclass(frozen=True)
class SkinTextures:
    """Frontal textures of the neutral face."""

    albedo: Array  # (rows, columns, 3) linear light
    relief: Array  # (rows, columns, 2): slope of the fine relief to the right and upwards
    fur: Array  # (rows, columns) how much of the skin is hidden by brows and beard

    def look_up(self, texture: Array, x: Array, y: Array) -> Array:
        """Values at neutral frontal places in mm."""
        column, row = (x + HALF_WIDTH_MM) * PX_PER_MM, (TOP_MM - y) * PX_PER_MM
        return cv2.remap(texture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def paint_skin(person: Person) -> SkinTextures:
    """The complexion of a person."""
    rng = np.random.default_rng(np.random.SeedSequence([person.seed, person.index, 4]))
    x = (np.arange(SIZE[1], dtype=np.float32) / PX_PER_MM - HALF_WIDTH_MM)[None, :]
    y = (TOP_MM - np.arange(SIZE[0], dtype=np.float32) / PX_PER_MM)[:, None]
    albedo = _tone(person, rng, x, y)
    albedo = _freckles(person, rng, albedo, y)
    height = (0.012 * smooth_noise(rng, SIZE, (3, 3)) + 0.02 * smooth_noise(rng, SIZE, (9, 9))) * smoothstep(
        -118, -100, y
    )
    lines = _wrinkles(person)
    height = height - 0.55 * lines
    albedo = albedo * (1 - 0.16 * lines[..., None] * np.array([0.6, 1, 1], np.float32))
    albedo = albedo * (
        1 - 0.86 * _nostrils(person.shape, x, y)[..., None] * np.array([0.85, 1, 1], np.float32)
    )
    albedo, height = _moles(person, albedo, height, x, y)
    beard, stubble = _beard(person, rng, x, y)
    shadow = np.asarray(person.hair.colour) * 0.45 + np.asarray(person.skin.colour) * 0.22
    albedo = _over(albedo, np.minimum(shadow, albedo), stubble)
    albedo = _over(
        albedo,
        np.asarray(person.hair.colour) * (0.8 + 0.25 * smooth_noise(rng, SIZE, (8, 3))[..., None]),
        beard,
    )
    brows = _brows(person, rng)
    albedo = _over(albedo, np.asarray(person.hair.brow_colour), brows)
    fade = smoothstep(HALF_WIDTH_MM, HALF_WIDTH_MM - 14.0, np.abs(x)) * smoothstep(
        BOTTOM_MM, BOTTOM_MM + 12.0, y
    )
    plain = np.asarray(person.skin.colour, np.float32)
    albedo = plain + (albedo - plain) * (fade * smoothstep(TOP_MM, TOP_MM - 12.0, y))[..., None]
    slope = np.dstack([np.gradient(height, axis=1), -np.gradient(height, axis=0)]) * PX_PER_MM
    return SkinTextures(
        np.maximum(albedo, 0.003).astype(np.float32), slope.astype(np.float32), np.maximum(brows, beard)
    )


def _over(under: Array, colour: Array, alpha: Array) -> Array:
    return np.asarray(under + (colour - under) * alpha[..., None], np.float32)


def _blot(x: Array, y: Array, at: tuple[float, float], size: tuple[float, float]) -> Array:
    return np.exp(-0.5 * (((x - at[0]) / size[0]) ** 2 + ((y - at[1]) / size[1]) ** 2))[..., None].astype(
        np.float32
    )


def _tone(person: Person, rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Zones of the face: blood in cheeks, nose and chin, a paler forehead, darker rings around the eyes."""
    s, skin, across = person.shape, person.skin, np.abs(x)
    light = 1 - 0.55 * skin.melanin
    red = np.array([0.02, -0.20, -0.16], np.float32) * light * (0.55 + 0.75 * skin.blush)
    tone = np.ones((*SIZE, 3), np.float32)
    tone += red * (_blot(across, y, (41, -27), (15, 13)) + 0.8 * _blot(x, y, (0, s.nose_y + 8), (12, 9)))
    tone += red * 0.35 * _blot(x, y, (0, s.chin_y + 10), (14, 9))
    tone += np.array([0.03, 0.02, -0.03], np.float32) * _blot(x, y, (0, 48), (40, 20))
    ring = np.array([-0.12, -0.17, -0.14], np.float32) * (0.7 + 0.7 * skin.age)
    tone += ring * _blot(across, y, (s.eye_x - 2, -9), (13, 4.5))
    tone += np.array([-0.18, -0.24, -0.22], np.float32) * _blot(across, y, (s.eye_x - 2, 6), (16, 5.5))
    tone += np.array([-0.10, -0.14, -0.13], np.float32) * _blot(across, y, (13, -2), (4.5, 13))
    mottle = smooth_noise(rng, SIZE, (26, 26))[..., None] * np.array([0.010, 0.022, 0.020], np.float32)
    pores = smooth_noise(rng, SIZE, (3.0, 3.0))[..., None] * 0.012
    return np.asarray((tone + mottle + pores) * np.asarray(skin.colour, np.float32), np.float32)


def _freckles(person: Person, rng: np.random.Generator, albedo: Array, y: Array) -> Array:
    if person.skin.freckles < 0.05:
        return albedo
    count = int(520 * person.skin.freckles)
    place = np.stack([rng.normal(0, 27, count), rng.normal(-22, 15, count)], 1)
    mask = np.zeros(SIZE, np.float32)
    for radius in (2, 3, 4):
        for px in _pixels(place[radius - 2 :: 3]):
            cv2.circle(mask, (int(px[0]), int(px[1])), radius, float(rng.uniform(0.3, 1)), -1, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.1) * 0.6 * (0.5 + person.skin.freckles)
    return albedo * (1 - mask[..., None] * np.array([0.28, 0.46, 0.56], np.float32))


def _pixels(places: Array) -> Array:
    """Texture pixels (N, 2) of neutral frontal places in mm."""
    return np.stack([(places[..., 0] + HALF_WIDTH_MM) * PX_PER_MM, (TOP_MM - places[..., 1]) * PX_PER_MM], -1)


def _moles(person: Person, albedo: Array, height: Array, x: Array, y: Array) -> tuple[Array, Array]:
    dark = np.asarray(person.skin.colour, np.float32) * np.array([0.20, 0.13, 0.12], np.float32)
    for mole in person.skin.moles:
        away = np.hypot(x - mole.x_mm, y - mole.y_mm)
        albedo = _over(albedo, dark, 0.95 * smoothstep(mole.radius_mm + 0.35, mole.radius_mm - 0.35, away))
        height = height + 0.25 * np.exp(-((away / mole.radius_mm) ** 2))
    return albedo, height


def _nostrils(s: HeadShape, x: Array, y: Array) -> Array:
    """Two dark openings below the tip, and the soft groove around each wing."""
    across = np.abs(x)
    tilt = s.nose_y + 1.6 - 0.22 * (across - 0.42 * s.nose_half)
    hole = np.exp(-((((across - 0.42 * s.nose_half) / 3.6) ** 2 + ((y - tilt) / 1.7) ** 2) ** 1.5))
    ring = np.hypot((across - s.nose_half + 5.2) / 6.2, (y - s.nose_y - 5.5) / 6.8)
    groove = np.exp(-(((ring - 1) / 0.16) ** 2)) * smoothstep(-0.5, 3.5, across - s.nose_half + 5.2)
    under = np.exp(-((across / (0.75 * s.nose_half)) ** 4) - ((y - s.nose_y + 1.5) / 2.2) ** 2)
    return np.maximum(hole, np.maximum(0.34 * groove, 0.30 * under)).astype(np.float32)


def _strokes(starts: Array, ends: Array, thickness: int) -> Array:
    """Antialiased strokes between neutral places (N, 2) in mm, 0 to 1."""
    mask = np.zeros(SIZE, np.uint8)
    lines = np.round(_pixels(np.stack([starts, ends], 1)) * 16).astype(np.int32)
    cv2.polylines(mask, list(lines), False, 255, thickness, cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def _brows(person: Person, rng: np.random.Generator) -> Array:
    """Strokes that rise at the inner end and lie down towards the outer one, over a soft shadow."""
    s, weight = person.shape, person.hair.brow_weight
    strokes: Array = np.zeros(SIZE, np.float32)
    shade: Array = np.zeros(SIZE, np.float32)
    for side in (-1, 1):
        line = neutral_brow(s, side, 64)
        count = int(250 * weight)
        at = rng.random(count) * 62
        along = line[at.astype(int)] + (at % 1)[:, None] * (line[at.astype(int) + 1] - line[at.astype(int)])
        u = at / 62
        thick = (2.9 * weight + 1.0) * (1 - 0.72 * u**1.6) * (0.75 + 0.25 * smoothstep(0.0, 0.15, u))
        root = along + np.stack([0 * u, rng.uniform(-1, 0.75, count) * thick], 1)
        turn = np.radians(72 - 78 * u**0.7 + rng.normal(0, 9, count)) - np.radians(18) * u
        length = rng.uniform(3.2, 5.6, count) * (1 - 0.3 * u)
        tip = root + np.stack([side * np.cos(turn), np.sin(turn)], 1) * length[:, None] * 0.9
        half = count // 2
        strokes = np.maximum(strokes, 0.8 * _strokes(root[:half], tip[:half], 1))
        strokes = np.maximum(strokes, _strokes(root[half:], tip[half:], 2))
        shade = np.maximum(shade, _strokes(line[2:-9:2], line[4:-7:2], int(11 * weight) + 4))
    shade = cv2.GaussianBlur(shade, (0, 0), 5.0)
    strokes = cv2.GaussianBlur(strokes, (0, 0), 0.8)
    return np.clip(0.9 * strokes + 0.52 * shade, 0, 0.95).astype(np.float32)


def _wrinkles(person: Person) -> Array:
    """Soft lines of age: forehead, corners of the eyes, below the eyes, from nose to mouth; 0 to 1."""
    s, age = person.shape, person.skin.age
    mask = np.zeros(SIZE, np.float32)
    u = np.linspace(-1, 1, 24)

    def line(points: Array, width: int, strength: float) -> None:
        drawn = np.zeros(SIZE, np.uint8)
        cv2.polylines(
            drawn, [np.round(_pixels(points) * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, shift=4
        )
        soft = cv2.GaussianBlur(drawn, (0, 0), 0.9 * width).astype(np.float32) / 255
        np.maximum(mask, strength * soft, out=mask)

    for side in (-1, 1):
        fold = np.stack(
            [side * (s.nose_half + 3.5 + 8.5 * (u + 1) / 2 + 1.5 * u**2), s.nose_y + 8 - 25 * (u + 1) / 2], 1
        )
        line(fold, 6, 0.28 + 0.7 * age)
        bag = np.stack([side * (s.eye_x - 2 + 12 * u), -10.5 - 2.5 * (1 - u**2) + 1.5 * u], 1)
        line(bag, 5, 0.15 + 0.65 * age)
        for k in (-1, 0, 1):
            foot = np.stack(
                [side * (s.eye_x + s.eye_half + 3 + 4.5 * (u + 1)), 2 + k * 3.4 + k * 1.8 * (u + 1)], 1
            )
            line(foot, 3, 0.9 * max(age - 0.3, 0))
    for k in range(3):
        brow = np.stack([34 * u, s.brow_y + 15 + 8.5 * k + 2.2 * np.cos(2.6 * u + k)], 1)
        line(brow, 4, 0.9 * max(age - 0.35, 0))
    return mask


def _beard(person: Person, rng: np.random.Generator, x: Array, y: Array) -> tuple[Array, Array]:
    """Opacity of strokes and of the shadow of stubble."""
    kind, s = person.hair.beard, person.shape
    none = np.zeros(SIZE, np.float32)
    if kind == "none":
        return none, none
    area = _beard_area(kind, s, x, y)
    if kind == "stubble":
        dots = 0.5 + 0.5 * np.clip(smooth_noise(rng, SIZE, (2.2, 2.2)), -1, 1)
        return none, (area * (0.28 + 0.5 * dots)).astype(np.float32)
    count = 15000
    root = np.stack([rng.uniform(-76, 76, count), rng.uniform(s.chin_y - 8, s.nose_y + 2, count)], 1)
    px = np.clip(_pixels(root).astype(int), 0, [SIZE[1] - 1, SIZE[0] - 1])
    root = root[area[px[:, 1], px[:, 0]] > rng.random(len(root)) * 0.9 + 0.08]
    lean = 0.012 * root[:, 0] + rng.normal(0, 0.22, len(root))
    tip = root + np.stack([np.sin(lean), -np.cos(lean)], 1) * rng.uniform(2.5, 5.5, (len(root), 1))
    strokes = 0.65 * _strokes(root[::2], tip[::2], 1) + 0.35 * _strokes(root[1::2], tip[1::2], 2)
    return np.clip(0.45 * area + 0.6 * strokes, 0, 0.93).astype(np.float32), (0.5 * area).astype(np.float32)


def _beard_area(kind: str, s: HeadShape, x: Array, y: Array) -> Array:
    across = np.abs(x)
    lip = smoothstep(s.nose_y - 2.5, s.nose_y - 7.5, y + 0.004 * across**2) * smoothstep(
        s.mouth_y - 1, s.mouth_y + 3, y
    )
    lip = lip * smoothstep(s.mouth_half + 5, s.mouth_half - 3, across)
    side = smoothstep(s.mouth_half + 9, s.mouth_half + 2, across) * smoothstep(
        s.mouth_half - 6, s.mouth_half - 1, across
    )
    side = side * smoothstep(s.nose_y - 8, s.nose_y - 16, y) * smoothstep(s.chin_y - 9, s.chin_y - 2, y)
    chin = smoothstep(s.mouth_y - s.lower_lip - 4, s.mouth_y - s.lower_lip - 11, y)
    chin = chin * smoothstep(s.chin_y - 9, s.chin_y - 2, y)
    if kind == "moustache":
        return lip
    if kind == "goatee":
        return np.asarray(
            np.maximum(np.maximum(lip, side), chin * smoothstep(s.mouth_half + 9, s.mouth_half, across)),
            np.float32,
        )
    cheek_line = s.mouth_y + 8 + 34 * np.clip((across - 34) / 34, 0, 1) ** 1.4
    cheeks = (
        smoothstep(cheek_line + 5, cheek_line - 7, y)
        * smoothstep(s.chin_y - 9, s.chin_y - 2, y)
        * smoothstep(s.mouth_half + 1, s.mouth_half + 9, across)
    )
    return np.asarray(np.maximum(np.maximum(lip, np.maximum(cheeks, chin)), side), np.float32)
