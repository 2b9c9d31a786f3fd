"""theta: what exactly was done to a face to degrade it, as typed operations in order, and its JSON.

The JSON is a list of objects, each with its operation under `op` and all of that operation's fields. The text
is canonical: sorted keys, no spaces, floats that read back exactly.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_type_hints


class Range(NamedTuple):
    """The least and the greatest value; both are allowed."""

    low: float
    high: float


Taps: TypeAlias = Annotated[int, Range(1, 511)]
Pixels: TypeAlias = Annotated[int, Range(1, 16_384)]
SigmaPx: TypeAlias = Annotated[float, Range(0.01, 1_000)]
Angle: TypeAlias = Annotated[float, Range(-math.tau, math.tau)]
Shift: TypeAlias = Annotated[float, Range(-255, 255)]


@dataclass(frozen=True)
class Blur:
    """Gaussian blur; sigmas along and across an axis turned by `angle_rad` from x towards y (down)."""

    taps: Taps
    sigma_x_px: SigmaPx
    sigma_y_px: SigmaPx
    angle_rad: Angle

    def __post_init__(self) -> None:
        _check(self)
        _check_odd(self.taps)


@dataclass(frozen=True)
class MotionBlur:
    """Blur along a straight line of `length_px`, turned by `angle_rad` from x towards y (down)."""

    taps: Taps
    length_px: Annotated[float, Range(1, 511)]
    angle_rad: Angle

    def __post_init__(self) -> None:
        _check(self)
        _check_odd(self.taps)
        if self.length_px > self.taps:
            raise ValueError(f"motion_blur: length_px {self.length_px} does not fit into {self.taps} taps")


@dataclass(frozen=True)
class Resize:
    """Resize to a size in pixels."""

    out_w: Pixels
    out_h: Pixels
    mode: Literal["bilinear", "bicubic_antialias"]

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of `sigma` on the scale 0 to 255, the same for all channels if `gray`; then clipped."""

    sigma: Annotated[float, Range(0, 255)]
    gray: bool
    seed: Annotated[int, Range(0, 2**53 - 1)]  # any JSON reader holds it exactly

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Jpeg:
    """JPEG compression by libjpeg."""

    quality: Annotated[int, Range(1, 100)]
    chroma: Literal["4:2:0", "4:4:4"]

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class ColourShift:
    """A constant added to each channel, on the scale 0 to 255; then clipped."""

    red: Shift
    green: Shift
    blue: Shift

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Gray:
    """Luma (ITU-R BT.601) in all three channels."""


Operation: TypeAlias = Blur | MotionBlur | Resize | Noise | Jpeg | ColourShift | Gray
Theta: TypeAlias = tuple[Operation, ...]

OPERATIONS = MappingProxyType(
    {
        "blur": Blur,
        "motion_blur": MotionBlur,
        "resize": Resize,
        "noise": Noise,
        "jpeg": Jpeg,
        "colour_shift": ColourShift,
        "gray": Gray,
    }
)
_NAMES = {operation: name for name, operation in OPERATIONS.items()}
_HINTS = {operation: get_type_hints(operation, include_extras=True) for operation in OPERATIONS.values()}


def to_json(theta: Theta) -> str:
    """Canonical JSON of a theta."""
    records = [
        {"op": _NAMES[type(op)], **{field.name: getattr(op, field.name) for field in fields(op)}}
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
    if not isinstance(records, list):
        raise ValueError(f"theta is a list of operations, not {_shown(records)}")
    return tuple(_operation(record) for record in records)


def describe(theta: Theta) -> str:
    """What was done, in words, as the report prints it."""
    return ", ".join(_words(op) for op in theta) or "unchanged"


def _words(op: Operation) -> str:
    match op:
        case Blur(_, along, across, _) if along == across:
            words = f"blurred (isotropic, sigma {along:.1f} px)"
        case Blur(_, along, across, _):
            words = f"blurred (anisotropic, sigma {along:.1f} x {across:.1f} px)"
        case MotionBlur(_, length, angle):
            words = f"motion-blurred ({length:.1f} px at {math.degrees(angle):.0f} degrees)"
        case Resize(width, height, _):
            words = f"resized to {width} x {height} px"
        case Noise(sigma, gray, _):
            words = f"{'gray ' if gray else ''}noise {sigma:.1f}"
        case Jpeg(quality, _):
            words = f"JPEG quality {quality}"
        case ColourShift(red, green, blue):
            words = f"red, green, blue shifted by {red:+.1f}, {green:+.1f}, {blue:+.1f}"
        case Gray():
            words = "made gray"
    return words


def _operation(record: Any) -> Operation:
    if not isinstance(record, dict) or "op" not in record:
        raise ValueError(f"an operation is an object with a field op, not {_shown(record)}")
    values = dict(record)
    name = values.pop("op")
    if not isinstance(name, str) or name not in OPERATIONS:
        raise ValueError(f"unknown operation {_shown(name)}; known are {', '.join(OPERATIONS)}")
    operation: Any = OPERATIONS[name]
    hints = _HINTS[operation]
    if unknown := sorted(values.keys() - hints.keys()):
        raise ValueError(f"{name}: unknown field {_shown(unknown[0])}")
    if missing := [field for field in hints if field not in values]:
        raise ValueError(f"{name}: field {missing[0]} is missing")
    # Other languages write the float 12.0 as 12.
    made: Operation = operation(**{field: _as_float(values[field], hints[field]) for field in hints})
    return made


def _as_float(value: Any, hint: Any) -> Any:
    whole = get_args(hint)[:1] == (float,) and type(value) is int and abs(value) < 2**53
    return float(value) if whole else value


def _check(op: Operation) -> None:
    name = _NAMES[type(op)]
    for field, hint in _HINTS[type(op)].items():
        value = getattr(op, field)
        kind, *rest = get_args(hint) or (hint,)
        if isinstance(kind, str):
            if value not in (kind, *rest):
                raise ValueError(f"{name}: {field} is one of {', '.join((kind, *rest))}, not {_shown(value)}")
        elif not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ValueError(f"{name}: {field} is of type {kind.__name__}, not {_shown(value)}")
        elif rest and not rest[0].low <= value <= rest[0].high:  # false for NaN
            raise ValueError(f"{name}: {field} is from {rest[0].low} to {rest[0].high}, not {_shown(value)}")


def _check_odd(taps: int) -> None:
    if taps % 2 == 0:
        raise ValueError(f"a blur has an odd number of taps, not {taps}")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in pairs:
        if name in record:
            raise ValueError(f"the field {_shown(name)} stands twice in one object")
        record[name] = value
    return record


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a finite number")


def _shown(value: Any) -> str:
    """A short, printable form of any value, for an error message."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
