"""theta: the exact degradation of a face as a sequence of typed operations, and its JSON.

The JSON is a list of objects, each with its operation under `op` and all of that operation's fields. The text
is canonical: sorted keys, no spaces, and floats that are read back exactly.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeAlias, get_args

from facerefs.schemas.operations import (
    HINTS,
    NAMES,
    OPERATIONS,
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    Mirror,
    MotionBlur,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Resize,
    Saturation,
    SincBlur,
    shown,
)

Theta: TypeAlias = tuple[Operation, ...]


def to_json(theta: Theta) -> str:
    """Canonical JSON of a theta."""
    records = [
        {"op": NAMES[type(op)], **{field.name: getattr(op, field.name) for field in fields(op)}}
        for op in theta
    ]
    return json.dumps(records, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> Theta:
    """Theta from JSON.

    Raises ValueError with one sentence: not JSON, an unknown operation, an unknown, missing or repeated
    field, a wrong type, a value out of range, NaN or infinity.
    """
    try:
        records = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"theta cannot be read: {error}") from None
    return from_records(records)


def from_records(records: Any) -> Theta:
    """Theta from the parsed JSON. Raises ValueError with one sentence, as `from_json`."""
    if not isinstance(records, list):
        raise ValueError(f"theta is a list of operations, not {shown(records)}")
    return tuple(_operation(record) for record in records)


def describe(theta: Theta) -> str:
    """A description of theta in words, for the report."""
    return ", ".join(_words(op) for op in theta) or "unchanged"


def _words(op: Operation) -> str:  # noqa: PLR0912 (one line for each operation)
    match op:
        case Mirror():
            words = "mirrored"
        case Blur(_, along, across, _) if along == across:
            words = f"blurred (isotropic, sigma {along:.1f} px)"
        case Blur(_, along, across, _):
            words = f"blurred (anisotropic, sigma {along:.1f} x {across:.1f} px)"
        case GeneralisedBlur(_, along, across, _, beta):
            words = f"blurred (generalised, sigma {along:.1f} x {across:.1f} px, beta {beta:.1f})"
        case PlateauBlur(_, along, across, _, beta):
            words = f"blurred (plateau, sigma {along:.1f} x {across:.1f} px, beta {beta:.1f})"
        case SincBlur(_, cutoff):
            words = f"sinc-filtered (cutoff {cutoff / math.pi:.2f} of Nyquist)"
        case MotionBlur(_, length, angle):
            words = f"motion-blurred ({length:.1f} px at {math.degrees(angle):.0f} degrees)"
        case Resize(width, height, _):
            words = f"resized to {width} x {height} px"
        case Noise(sigma, gray, _):
            words = f"{'gray ' if gray else ''}noise {sigma:.1f}"
        case PoissonNoise(scale, gray, _):
            words = f"{'gray ' if gray else ''}shot noise x {scale:.1f}"
        case Jpeg(quality, _):
            words = f"JPEG quality {quality}"
        case ColourShift(red, green, blue):
            words = f"red, green, blue shifted by {red:+.1f}, {green:+.1f}, {blue:+.1f}"
        case Brightness(factor):
            words = f"brightness x {factor:.2f}"
        case Contrast(factor):
            words = f"contrast x {factor:.2f}"
        case Saturation(factor):
            words = f"saturation x {factor:.2f}"
        case Hue(turn):
            words = f"hue turned by {360 * turn:+.0f} degrees"
        case Gray():
            words = "made gray"
    return words


def _operation(record: Any) -> Operation:
    if not isinstance(record, dict) or "op" not in record:
        raise ValueError(f"an operation is an object with a field op, not {shown(record)}")
    values = dict(record)
    name = values.pop("op")
    if not isinstance(name, str) or name not in OPERATIONS:
        raise ValueError(f"unknown operation {shown(name)}; known are {', '.join(OPERATIONS)}")
    operation: Any = OPERATIONS[name]
    hints = HINTS[operation]
    if unknown := sorted(values.keys() - hints.keys()):
        raise ValueError(f"{name}: unknown field {shown(unknown[0])}")
    if missing := [field for field in hints if field not in values]:
        raise ValueError(f"{name}: field {missing[0]} is missing")
    # Other languages write the float 12.0 as 12.
    made: Operation = operation(**{field: _as_float(values[field], hints[field]) for field in hints})
    return made


def _as_float(value: Any, hint: Any) -> Any:
    whole = get_args(hint)[:1] == (float,) and type(value) is int and abs(value) < 2**53
    return float(value) if whole else value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in pairs:
        if name in record:
            raise ValueError(f"the field {shown(name)} stands twice in one object")
        record[name] = value
    return record


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a finite number")
