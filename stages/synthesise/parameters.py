"""How a reference is made from its target: the parameters, how they are drawn, and their JSON."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from facerefs.schemas.operations import Range, shown
from facerefs.stages.degrade.draws import derive_seed

_LONGEST = 2_000  # characters of JSON
_DECIMALS = 4


@dataclass(frozen=True)
class Synthesis:
    """Another pose, expression, light and age of the same face. All zeros, and a gain of 1, leave it as it is.

    There is no roll, which alignment undoes. Raises ValueError for a number beyond its bounds. Choice: the bounds are
    as far as a single photo stays plausible; ENTED, whose references this stands in for, edits pose and age by a GAN.
    """

    BOUNDS: ClassVar[dict[str, Range]] = {
        "yaw_deg": Range(-15, 15),
        "pitch_deg": Range(-10, 10),
        "smile": Range(-1, 1),
        "light_azimuth_deg": Range(-90, 90),
        "light_elevation_deg": Range(-60, 80),
        "light_strength": Range(0, 1),
        "gain": Range(0.6, 1.6),
        "warmth": Range(-1, 1),
        "ageing": Range(-1, 1),
    }

    yaw_deg: float = 0.0  # added to the target's: positive towards the right edge of the photo
    pitch_deg: float = 0.0  # likewise: positive up
    smile: float = 0.0  # corners of the mouth: 1 up and out, -1 down and in
    light_azimuth_deg: float = 0.0  # of an added light: positive from the right of the photo
    light_elevation_deg: float = 0.0  # positive from above
    light_strength: float = 0.0  # 0 none, 1 strong shading
    gain: float = 1.0  # of brightness
    warmth: float = 0.0  # -1 cool to 1 warm
    ageing: float = 0.0  # of the skin's texture: -1 smooth to 1 rough

    def __post_init__(self) -> None:
        for name, bounds in self.BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} of a synthesis is a number, not {shown(value)}")
            if not bounds.low <= value <= bounds.high:
                raise ValueError(
                    f"{name} of a synthesis is {bounds.low:g} to {bounds.high:g}, not {shown(value)}"
                )


def draw(seed: int, target: str, number: int) -> Synthesis:
    """The synthesis of one reference: a pure function of the set's seed, the target's face and the reference's number.

    seed and number: at least 0. References with even and with odd numbers turn to opposite sides. Drawn by Philox, so
    that every machine draws the same. Choice of ranges: enough to be no copy, little enough to be the same person.
    """
    at = iter(_uniforms(derive_seed(seed, f"synthesis {target}", number), 9))
    first_side = 1 if derive_seed(seed, f"synthesis {target}", 0) % 2 else -1

    def between(low: float, high: float) -> float:
        return round(low + (high - low) * next(at), _DECIMALS)

    return Synthesis(
        yaw_deg=first_side * (-1) ** (number % 2) * between(8, 15),
        pitch_deg=between(-7, 7),
        smile=between(-0.7, 0.7),
        light_azimuth_deg=between(-75, 75),
        light_elevation_deg=between(0, 50),
        light_strength=between(0.2, 0.7),
        gain=between(0.85, 1.2),
        warmth=between(-0.7, 0.7),
        ageing=between(-0.9, 0.9),
    )


def draw_json(seed: int, target: str, number: int) -> str:
    """`draw` as the canonical JSON that the tables and the samples hold."""
    return to_json(draw(seed, target, number))


def to_json(synthesis: Synthesis) -> str:
    """Canonical JSON: an object of all fields, sorted keys, no spaces, floats that read back exactly."""
    return json.dumps(asdict(synthesis), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> Synthesis:
    """A synthesis from JSON.

    Raises ValueError with one sentence: not JSON, too long, an unknown, missing or repeated field, a wrong type, a
    number out of bounds, NaN or infinity.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a synthesis has at most {_LONGEST} characters, not {len(text)}")
    try:
        record = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a synthesis cannot be read: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"a synthesis is an object, not {shown(record)}")
    names = {field.name for field in fields(Synthesis)}
    if wrong := sorted(names ^ record.keys()):
        what = "lacks" if wrong[0] in names else "has the unknown field"
        raise ValueError(f"a synthesis {what} {shown(wrong[0])}")
    return Synthesis(**record)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a field is there twice")
    return record


def _uniforms(seed: int, count: int) -> list[float]:
    """In [0, 1), of 53 bits: bit generators of NumPy give the same on every machine and in every version."""
    words = np.random.Philox(key=seed).random_raw(count)
    return [float(word >> np.uint64(11)) * 2.0**-53 for word in words]
