"""A synthetic person: proportions, colours and hair that are the same in all photos of the person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.stages.synthetic_people.palette import (
    CLOTH_TONES,
    HAIR_TONES,
    IRIS_TONES,
    SKIN_TONES,
    Colour,
    colour_of,
    mix,
)
from facerefs.stages.synthetic_people.proportions import HeadShape

HAIR_STYLES = ("bald", "buzz", "short", "parted", "fringe", "bob", "long", "tied", "curly", "curly_long")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
CLOTHES = ("crew", "vee", "turtleneck", "shirt")


@dataclass(frozen=True)
class Mole:
    """A dark mark on the skin; its position is in the frontal view of the neutral face."""

    x_mm: float
    y_mm: float
    radius_mm: float


@dataclass(frozen=True)
class Hair:
    """The hair, beard and eyebrows of a person."""

    style: str
    colour: Colour
    volume: float
    parting: float  # -1 left to 1 right
    curl: float
    beard: str
    brow_weight: float
    brow_colour: Colour


@dataclass(frozen=True)
class Skin:
    """The skin of a person."""

    colour: Colour
    lip_colour: Colour
    melanin: float
    blush: float
    freckles: float
    age: float  # 0 young, 1 old
    moles: tuple[Mole, ...]


@dataclass(frozen=True)
class Person:
    """Everything that is the same in all photos of one person."""

    seed: int
    index: int
    shape: HeadShape
    skin: Skin
    hair: Hair
    iris: Colour
    clothes: str
    cloth_colour: Colour

    @property
    def name(self) -> str:
        return f"person-{self.index:03d}"


_SPREAD = np.sqrt([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53])


def _spread(seed: int, index: int) -> NDArray[np.float64]:
    """A point of a Kronecker sequence: people of one seed cover the space of traits more evenly than random ones."""
    start = np.random.default_rng(np.random.SeedSequence([seed, 7919])).random(len(_SPREAD))
    return np.asarray((start + index * _SPREAD) % 1.0)


def draw_person(seed: int, index: int) -> Person:
    """The person with this number: a pure function of (seed, index)."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index, 1]))
    even = _spread(seed, index)
    feminine, melanin = even[0], even[1]
    age = float(even[2] ** 1.4)
    shape = _draw_shape(rng, even, feminine, age)
    hair = _draw_hair(rng, even, feminine, melanin, age)
    skin = _draw_skin(rng, (feminine, melanin, age), shape, hair)
    dark_eyes = melanin > 0.5
    iris = IRIS_TONES[int(rng.integers(0, 2 if dark_eyes else len(IRIS_TONES)))]
    iris = colour_of(np.array(iris) * (1 - 0.45 * melanin))
    cloth = CLOTH_TONES[int(rng.integers(len(CLOTH_TONES)))]
    return Person(seed, index, shape, skin, hair, iris, str(rng.choice(CLOTHES)), cloth)


def _draw_shape(
    rng: np.random.Generator, even: NDArray[np.float64], feminine: float, age: float
) -> HeadShape:
    def around(mean: float, deviation: float, at: float | None = None) -> float:
        unit = rng.uniform(-1.7, 1.7) if at is None else (at * 2 - 1) * 1.7
        return float(mean + deviation * unit)

    male = 1 - feminine
    nose_y = around(-44 - 2 * male, 3.4, even[3])
    mouth_y = nose_y - around(21.5 + male, 2.0)
    chin_y = mouth_y - around(38 + 4 * male, 4.0, even[4])
    cheek = around(71.3, 3.0, even[5])
    jaw = cheek * around(0.76 + 0.055 * male, 0.04, even[6])
    return HeadShape(
        crown_y=around(109, 3.5),
        hairline_y=around(66 + 4 * male * age, 4.0),
        temple_half=cheek + around(3.5, 1.5),
        cheek_half=cheek,
        jaw_half=jaw,
        jaw_y=mouth_y - around(8, 3.5),
        chin_half=around(15 + 5 * male, 3.0),
        chin_y=chin_y,
        chin_depth=around(4.5 + 2 * male, 2.4),
        flatness=around(2.35, 0.14),
        brow_y=around(20 - 2.5 * male, 2.0, even[7]),
        brow_half=around(20, 1.6),
        brow_tilt=around(0.02, 0.06),
        brow_arch=around(3.2 + 1.6 * feminine, 1.3),
        brow_ridge=around(2.0 + 2.6 * male, 1.2),
        eye_x=around(31.6, 1.7, even[8]),
        eye_half=around(14.6, 1.0, even[9]),
        eye_open=around(10.6 + 0.8 * feminine - 1.4 * age, 1.1),
        eye_tilt_deg=around(3.0, 2.6),
        eye_depth=around(11.3 + 2 * male, 1.5),
        lid_crease=around(3.2, 1.4),
        nose_y=nose_y,
        nose_half=around(16.5 + 1.2 * male, 2.1, even[10]),
        nose_bridge=around(6.4, 1.3),
        nose_depth=around(20 + 2.0 * male, 2.4),
        nose_upturn=around(1.0 + feminine, 1.6),
        nose_hump=around(0.8 * male, 1.2),
        mouth_y=mouth_y,
        mouth_half=around(24.5, 2.1, even[11]),
        upper_lip=around(6.4 + 1.2 * feminine - 1.2 * age, 1.3),
        lower_lip=around(8.4 + 1.2 * feminine - 0.8 * age, 1.5, even[12]),
        mouth_curve=around(0.4, 1.0),
        cheekbone=around(3.6, 1.6),
        neck_half=around(45 + 8 * male, 2.5),
        ear_size=around(29 + 2 * male + 2 * age, 2.0),
        ear_out=around(14.5, 2.4),
    )


def _draw_hair(
    rng: np.random.Generator, even: NDArray[np.float64], feminine: float, melanin: float, age: float
) -> Hair:
    weights = {
        "bald": 0.9 * (1 - feminine) ** 2 * (0.4 + age),
        "buzz": 0.9 * (1 - feminine) * (0.5 + melanin),
        "short": 1.6 * (1 - feminine) + 0.15,
        "parted": 1.4 * (1 - feminine) + 0.1,
        "fringe": 0.4 + 0.8 * feminine,
        "bob": 1.4 * feminine,
        "long": 1.8 * feminine,
        "tied": 0.9 * feminine,
        "curly": 0.6 + 0.8 * melanin,
        "curly_long": 1.1 * feminine,
    }
    share = np.cumsum(list(weights.values())) / sum(weights.values())
    style = HAIR_STYLES[min(int(np.searchsorted(share, even[13])), len(HAIR_STYLES) - 1)]
    natural = ["black", "espresso", "brown"] if melanin > 0.5 else list(HAIR_TONES)[:8]
    tone = natural[int(even[14] * len(natural))]
    if age > 0.62:
        tone = str(rng.choice(["grey", "white", tone]))
    colour = np.array(HAIR_TONES[tone]) * rng.uniform(0.85, 1.15)
    brow = (
        colour * np.array([0.26, 0.20, 0.18]) if tone in {"blond", "honey", "white", "grey"} else colour * 0.7
    )
    bearded = feminine < 0.5 and even[15] < 0.7
    beard = str(rng.choice(BEARDS[1:])) if bearded else "none"
    return Hair(
        style=style,
        colour=colour_of(colour),
        volume=float(rng.uniform(0.75, 1.3)),
        parting=float(rng.choice([-1, 1]) * rng.uniform(0.3, 1)),
        curl=float(rng.uniform(0.6, 1.0)) if "curly" in style else float(rng.uniform(0, 0.25)),
        beard=beard,
        brow_weight=float(rng.uniform(0.6, 1.0) + 0.35 * (1 - feminine)),
        brow_colour=colour_of(brow * min(1.0, (0.11 - 0.08 * melanin) / brow.max())),
    )


def _draw_skin(
    rng: np.random.Generator, traits: tuple[float, float, float], shape: HeadShape, hair: Hair
) -> Skin:
    feminine, melanin, age = traits
    tone = mix(SKIN_TONES, melanin) * rng.uniform(0.94, 1.06) * rng.uniform(0.96, 1.04, 3)
    lips = tone * np.array([0.86, 0.50, 0.52]) + np.array([0.02, 0.0, 0.005])
    lips *= 1 - 0.12 * feminine * rng.random()
    return Skin(
        colour=colour_of(tone),
        lip_colour=colour_of(lips),
        melanin=float(melanin),
        blush=float(rng.uniform(0.3, 1.0)),
        freckles=float(rng.random() ** 3) if melanin < 0.4 else 0.0,
        age=age,
        moles=_draw_moles(rng, shape, hair),
    )


def _draw_moles(rng: np.random.Generator, shape: HeadShape, hair: Hair) -> tuple[Mole, ...]:
    """Two to four moles on visible skin: on the cheeks, and on the chin or forehead where there is no hair."""
    spots = [
        (side * rng.uniform(24, 46), rng.uniform(shape.nose_y - 4, -19.0))
        for side in (-1, 1)
        for _ in range(2)
    ]
    if hair.beard == "none":
        spots.append((rng.uniform(-14, 14), shape.chin_y + rng.uniform(11, 16)))
    if hair.style not in {"fringe"}:
        spots.append((rng.uniform(-28, 28), rng.uniform(shape.brow_y + 15, shape.hairline_y - 14)))
    chosen = sorted(rng.permutation(len(spots))[: rng.integers(2, 5)])
    return tuple(Mole(float(spots[i][0]), float(spots[i][1]), float(rng.uniform(0.9, 1.7))) for i in chosen)
