"""The parameters of a synthesised reference: their ranges, how they are drawn, and their JSON."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from facerefs.schemas.fields import Number, Whole
from facerefs.schemas.operations import Range, shown
from facerefs.schemas.sample import SYNTHESIS
from facerefs.stages.degrade.draws import derive_seed

_LONGEST = 2_000  # characters of JSON
_DECIMALS = 4


@dataclass(frozen=True)
class Synthesis:
    """Changes of pose, expression, light, age and texture of a face. All zeros and a gain of 1 leave it unchanged.

    mirrored, grain_seed: whole numbers. There is no roll, since alignment undoes it. Raises ValueError for a number out
    of bounds. Choice: within the bounds, a reference made from a single photo stays plausible. (ENTED, whose references
    these replace, uses a GAN.)
    """

    BOUNDS: ClassVar[dict[str, Range]] = {
        field.name: Range(field.kind.low, field.kind.high)
        for field in SYNTHESIS
        if isinstance(field.kind, Number)
    }
    WHOLE: ClassVar[dict[str, Whole]] = {
        field.name: field.kind for field in SYNTHESIS if isinstance(field.kind, Whole)
    }

    mirrored: int = 0  # 1: made from the mirror image; all that follows is of that image
    yaw_deg: float = 0.0  # added to the target's: positive towards the right edge of the photo
    pitch_deg: float = 0.0  # added to the target's: positive up
    brows: float = 0.0  # 1 up, -1 down
    smile: float = 0.0  # corners of the mouth: 1 up and outwards, -1 down and inwards
    light_azimuth_deg: float = 0.0  # of an added light: positive from the right of the photo
    light_elevation_deg: float = 0.0  # positive from above
    light_strength: float = 0.0  # 0 none, 1 strong shading
    gain: float = 1.0  # of brightness
    warmth: float = 0.0  # -1 cool to 1 warm
    ageing: float = 0.0  # of the skin's texture: -1 smooth to 1 rough
    grain: float = 0.0  # share of the skin's finest texture that is noise instead
    grain_seed: int = 0

    def __post_init__(self) -> None:
        for name, bounds in self.BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} of a synthesis is a number, not {shown(value)}")
            if not bounds.low <= value <= bounds.high:
                raise ValueError(
                    f"{name} of a synthesis is {bounds.low:g} to {bounds.high:g}, not {shown(value)}"
                )
        for name, kind in self.WHOLE.items():
            if fault := kind.fault(f"{name} of a synthesis", getattr(self, name)):
                raise ValueError(fault)


def draw(seed: int, target: str, number: int) -> Synthesis:
    """The parameters of one reference: a pure function of the set's seed, the target's id and the reference's number.

    seed and number: at least 0. References with even and with odd numbers turn to opposite sides. Drawn by Philox,
    equal on every machine. Choice of ranges: a reference has as little of its target's detail as a second photo has,
    and a face embedder still finds it more alike than that photo (docs/curation.md).
    """
    at = iter(_uniforms(derive_seed(seed, f"synthesis {target}", number), 13))
    first_side = 1 if derive_seed(seed, f"synthesis {target}", 0) % 2 else -1

    def between(low: float, high: float) -> float:
        return round(low + (high - low) * next(at), _DECIMALS)

    return Synthesis(
        yaw_deg=first_side * (-1) ** (number % 2) * between(10, 18),
        pitch_deg=between(-9, 9),
        smile=between(-0.8, 0.8),
        light_azimuth_deg=between(-75, 75),
        light_elevation_deg=between(0, 50),
        light_strength=between(0.2, 0.7),
        gain=between(0.85, 1.2),
        warmth=between(-0.7, 0.7),
        ageing=between(-0.9, 0.9),
        brows=between(-0.9, 0.9),
        grain=between(0.6, 1),
        grain_seed=int(next(at) * 2**32),
        mirrored=int(next(at) * 2),
    )


def draw_json(seed: int, target: str, number: int) -> str:
    """`draw` as the canonical JSON that the tables and the samples hold."""
    return to_json(draw(seed, target, number))


def to_json(synthesis: Synthesis) -> str:
    """Canonical JSON: an object with all fields, sorted keys, no spaces, floats that read back exactly."""
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
    """Numbers in [0, 1) of 53 bits; NumPy's bit generators are the same on every machine and in every version."""
    words = np.random.Philox(key=seed).random_raw(count)
    return [float(word >> np.uint64(11)) * 2.0**-53 for word in words]
