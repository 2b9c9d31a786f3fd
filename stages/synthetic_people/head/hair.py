"""Hair: where it grows, how far it stands off the head, and its strands."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from facerefs.stages.synthetic_people.head.field import (
    BOTTOM_MM,
    COLUMNS,
    HEIGHT,
    ROWS,
    THETA,
    TOP_MM,
    Array,
    sample_grid,
    smooth_noise,
    smoothstep,
)
from facerefs.stages.synthetic_people.head.shape import ears
from facerefs.stages.synthetic_people.person import Person
from facerefs.stages.synthetic_people.proportions import HeadShape

PARTED = {"parted", "short", "tied", "long", "bob"}
FINE = 2  # texture cells per grid cell


@dataclass(frozen=True)
class HairCut:
    """A hair style in numbers: lengths in mm, angles in degrees from the front, heights above the eyes."""

    top: float  # how far the hair stands off
    side: float
    front_drop: float = 0.0  # how far it falls below the hairline, a fringe
    front_deg: float = 36.0  # half-width of that fringe
    ear_y: float = 14.0  # lower end above the ears
    burn_y: float = -14.0  # lower end of the sideburns
    back_y: float = -78.0
    hang_deg: float = 180.0  # hair hangs free behind this angle ...
    hang_y: float = -78.0  # ... down to here
    strength: float = 1.0  # opacity


HAIR_CUTS = {
    "bald": HairCut(0.3, 0.5, strength=0.16),
    "buzz": HairCut(1.5, 1.5, strength=0.72),
    "short": HairCut(10, 5),
    "parted": HairCut(15, 6),
    "fringe": HairCut(12, 10, front_drop=10, front_deg=46, ear_y=4, burn_y=-16),
    "bob": HairCut(11, 15, ear_y=-60, burn_y=-60, hang_deg=52, hang_y=-96),
    "long": HairCut(12, 15, ear_y=-60, burn_y=-60, hang_deg=54, hang_y=-205),
    "tied": HairCut(5, 4, ear_y=10, burn_y=-6, back_y=-90),
    "curly": HairCut(24, 15, front_drop=4, ear_y=4, burn_y=-4),
    "curly_long": HairCut(20, 20, ear_y=-60, burn_y=-60, hang_deg=57, hang_y=-150),
}


@dataclass(frozen=True)
class HairMaps:
    """The hair of a person as maps over (height, angle)."""

    radius: Array  # (ROWS, COLUMNS) outer surface where hair is thick, mm
    tucked: Array  # (ROWS, COLUMNS) how far the ears are flattened below the hair, mm
    cover: Array  # (ROWS, COLUMNS) 0 bare to 1 covered
    strands: Array  # (FINE ROWS, FINE COLUMNS, 2): unit-variance strand noise, and opacity

    def surface(self, head: Array) -> Array:
        """The surface of the head with its hair, (ROWS, COLUMNS) in mm."""
        bare = head - self.tucked
        return np.asarray(bare + self.cover * np.maximum(self.radius - bare, 0), np.float32)

    def strands_at(self, theta: Array, height: Array) -> tuple[Array, Array]:
        """Strand noise and opacity of the hair at angles and heights."""
        last_row, last_column = self.strands.shape[0] - FINE, self.strands.shape[1] - FINE
        column = (theta + np.float32(np.pi)) * np.float32(last_column / (2 * np.pi)) + np.float32(
            (FINE - 1) / 2
        )
        row = (np.float32(TOP_MM) - height) * np.float32(last_row / (TOP_MM - BOTTOM_MM)) + np.float32(
            (FINE - 1) / 2
        )
        found = cv2.remap(self.strands, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return found[..., 0], found[..., 1]


def grow_hair(person: Person, head: Array) -> HairMaps:
    """The hair of a person over their neutral bare head (ROWS, COLUMNS)."""
    cut, shape, hair = HAIR_CUTS[person.hair.style], person.shape, person.hair
    rng = np.random.default_rng(np.random.SeedSequence([person.seed, person.index, 3]))
    strands = _strands(rng, hair.curl, hair.parting if hair.style in PARTED else 0.0)
    edge = _lower_edge(shape, cut, person)
    ragged = cv2.resize(strands, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    ragged = cv2.GaussianBlur(ragged, (0, 0), 0.6 + 2.4 * hair.curl)
    fray: float | Array = 1.2 + 3.5 * (cut.front_drop > 0) + 5.0 * hair.curl
    tips = cv2.GaussianBlur(strands[strands.shape[0] // 3][None, :], (0, 0), 2.0 + 5 * hair.curl)[:, ::FINE]
    fray = fray * (1 - 0.8 * smoothstep(32, 56, np.degrees(np.abs(THETA))))
    above = HEIGHT - edge + fray * tips / tips.std()
    cover = smoothstep(-1.0, 3.5, above) if cut.front_drop else smoothstep(-3.0, 8.0, above)
    cover = cover * _free_of_face(cut)
    if cut.hang_deg >= 180:
        cover = cover * (1 - smoothstep(0.08, 0.35, np.abs(ears(shape)) / shape.ear_out))
    radius = _outer(shape, cut, person, head) + ragged * (0.5 + 1.2 * hair.curl) * min(
        1.0, cut.top / 8
    ) * smoothstep(0, 18, _dome(shape, cut, person))
    if hair.curl > 0.5:
        radius += (
            hair.curl
            * 2.4
            * smooth_noise(rng, (ROWS, COLUMNS), (11, 12))
            * smoothstep(0, 25, _dome(shape, cut, person))
        )
    tucked = ears(shape) * smoothstep(0.0, 0.4, cover) * (cut.hang_deg < 180)
    fine = (FINE * COLUMNS, FINE * ROWS)
    thick = cv2.resize(cover * np.maximum(radius - head + tucked, 0), fine)
    sown = cv2.resize(cover, fine)
    opacity = smoothstep(0.05, 0.40, sown + 0.08 * strands * (sown > 0.02))
    opacity = np.maximum(opacity, smoothstep(0.5, 2.0, thick)) * cut.strength
    return HairMaps(
        radius.astype(np.float32),
        tucked.astype(np.float32),
        cover.astype(np.float32),
        np.dstack([strands, opacity]).astype(np.float32),
    )


def _dome(shape: HeadShape, cut: HairCut, person: Person) -> Array:
    """Height left below the top of the hair, mm."""
    return shape.crown_y + cut.top * person.hair.volume - HEIGHT


def _lower_edge(shape: HeadShape, cut: HairCut, person: Person) -> Array:
    """Height in mm below which there is no hair, over the angle (1, COLUMNS)."""
    line = shape.hairline_y - (cut.front_drop or 0.0)
    recede = 26.0 if person.hair.style == "bald" else 9.0 * person.skin.age * (person.hair.beard != "none")
    degrees = [0, 0.6 * cut.front_deg, cut.front_deg, cut.front_deg + 14, 66, 74, 82, 89, 103, 114, 180]
    corner = shape.hairline_y - 2 + 0.6 * recede
    heights = [
        line + 1.6 * recede,
        line + 0.9 * recede,
        line + 2 if cut.front_drop else corner,
        44,
        25,
        0.5 * (cut.burn_y + 25),
        cut.burn_y,
        cut.ear_y,
        cut.ear_y,
        cut.back_y + 40,
        cut.back_y,
    ]
    if person.hair.style == "bald":
        heights[0:5] = [116, 112, 100, 62, 34]
    if cut.hang_deg < 180 and not cut.front_drop:  # a parting: the hair opens like a curtain
        line = shape.hairline_y
        heights[0:5] = [line + 5, line - 1, line - 13, 34, 4]
    angle = np.degrees(np.abs(THETA))
    edge = PchipInterpolator(degrees, heights)(angle)
    if person.hair.style == "fringe":
        slant = person.hair.parting * 6 * np.sin(THETA * 2)
        edge = edge + slant * smoothstep(cut.front_deg + 10, cut.front_deg - 10, angle)
    hangs = smoothstep(cut.hang_deg - 18, cut.hang_deg - 12, angle + 0 * HEIGHT)
    return np.asarray(edge + (np.minimum(cut.hang_y, edge) - edge) * hangs, np.float32)


def _free_of_face(cut: HairCut) -> Array:
    """Where hanging hair leaves the face free, 0 to 1: it falls from the parting around the face to the shoulders."""
    if cut.hang_deg >= 180:
        return np.ones((ROWS, COLUMNS), np.float32)
    heights, degrees = [-190, -95, -40, 0, 28, 48, 62, 75], [42, 53, 60, 58, 49, 34, 12, 0]
    front = PchipInterpolator(heights, degrees)(np.clip(HEIGHT, -190, 75)) + (cut.hang_deg - 54)
    opened = smoothstep(-3.0, 5.0, np.degrees(np.abs(THETA)) - front)
    return np.maximum(opened, smoothstep(55, 66, HEIGHT)).astype(np.float32)


def _outer(shape: HeadShape, cut: HairCut, person: Person, head: Array) -> Array:
    """The outer surface of the hair: the enlarged skull, and straight hanging hair below the ears."""
    lift = cut.top * person.hair.volume
    raised = 20 + (HEIGHT - 20) * (shape.crown_y - 20) / (shape.crown_y + lift - 20)
    y = np.where(
        HEIGHT > 24, np.maximum(raised, 24.0), np.maximum(HEIGHT, 24.0 if cut.hang_deg < 180 else -4.0)
    )
    bare = (head - ears(shape)).astype(np.float32)
    skull = sample_grid(bare, (THETA + 0 * y).astype(np.float32), (y + 0 * THETA).astype(np.float32))
    side = cut.side * person.hair.volume
    grow = side + 0.4 * (lift - side) * smoothstep(20, 80, HEIGHT)
    if cut.hang_deg < 180:
        over_ears = smoothstep(0.9, 0.35, np.abs(np.abs(THETA) - np.radians(92)))
        grow = grow + over_ears * (
            0.6 * shape.ear_out * smoothstep(70, 5, HEIGHT) + 6 * smoothstep(0, -90, HEIGHT)
        )
    apex = shape.crown_y + lift
    grow = grow * np.sqrt(np.clip((apex - HEIGHT) / (2.2 * lift + 22), 0, 1))
    if person.hair.style == "parted":
        bank = np.sin(THETA) * person.hair.parting
        grow = grow * (1 + 0.45 * bank) - 3.5 * np.exp(
            -(((np.sin(THETA) + 0.45 * person.hair.parting) / 0.09) ** 2)
        )
    grow = (
        grow
        + 0.35
        * cut.front_drop
        * smoothstep(95, 55, HEIGHT)
        * smoothstep(60, 25, np.degrees(np.abs(THETA)))
        * 0.35
    )
    taper = 1 - 0.22 * smoothstep(-120, cut.hang_y - 8, HEIGHT) if cut.hang_deg < 180 else 1.0
    line = shape.hairline_y - cut.front_drop + 30 * smoothstep(20, 60, np.degrees(np.abs(THETA))) * -1
    low = 0.3 + 0.7 * smoothstep(0, 34, HEIGHT - line)
    if cut.hang_deg >= 180:
        grow = grow * (0.22 + 0.78 * smoothstep(cut.burn_y, cut.burn_y + 75, HEIGHT + 0 * THETA))
    if not cut.front_drop:
        grow = grow * (1 + (low - 1) * smoothstep(75, 45, np.degrees(np.abs(THETA))))
    return np.asarray((skull + grow) * taper, np.float32)


def _strands(rng: np.random.Generator, curl: float, slant: float) -> Array:
    """Unit-variance noise stretched along the strands, which wave with `curl` and lean with `slant`."""
    size = (FINE * ROWS, FINE * COLUMNS)
    locks = (
        smooth_noise(rng, size, (260, 22)) * 0.8
        + smooth_noise(rng, size, (150, 7)) * 0.8
        + smooth_noise(rng, size, (90, 2.6)) * 0.7
    )
    row, column = np.mgrid[: size[0], : size[1]].astype(np.float32)
    wave = 5 + 26 * curl
    column = column + wave * curl * smooth_noise(rng, size, (46 - 26 * curl, 60 - 34 * curl))
    if slant:
        away = column - size[1] * (0.5 - 0.045 * slant)
        column = column - 0.5 * np.tanh(away / 14) * np.clip(row - 0.08 * size[0], 0, 0.3 * size[0])
    out = cv2.remap(locks, column % (size[1] - 1), row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if curl > 0.5:
        out = 0.55 * out + 0.85 * smooth_noise(rng, size, (9, 9))
    return np.asarray(out / out.std(), np.float32)
