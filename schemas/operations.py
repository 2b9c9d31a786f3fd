"""The operations that degrade a face, each a small typed record that validates itself.

Kernels have an odd number of taps; angles turn from x towards y, which points down; noise and shifts are on the
scale 0 to 255. A record holds everything that is needed to repeat the operation exactly.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_type_hints


class Range(NamedTuple):
    """The minimum and the maximum of a value; both are allowed."""

    low: float
    high: float


Taps: TypeAlias = Annotated[int, Range(1, 511)]
Pixels: TypeAlias = Annotated[int, Range(1, 16_384)]
SigmaPx: TypeAlias = Annotated[float, Range(0.01, 1_000)]
Angle: TypeAlias = Annotated[float, Range(-math.tau, math.tau)]
Beta: TypeAlias = Annotated[float, Range(0.1, 20)]
Shift: TypeAlias = Annotated[float, Range(-255, 255)]
Seed: TypeAlias = Annotated[int, Range(0, 2**53 - 1)]  # any JSON reader represents it exactly
Factor: TypeAlias = Annotated[float, Range(0, 10)]
ResizeMode: TypeAlias = Literal["bilinear", "bicubic", "area", "bicubic_antialias"]


class _Checked:
    """Base of all records: raises ValueError with one sentence for a value of the wrong type or out of range."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Mirror(_Checked):
    """Horizontal flip. The theta of a flipped face is (Mirror, *theta, Mirror): its result is flipped likewise."""


@dataclass(frozen=True)
class Blur(_Checked):
    """Gaussian blur; the sigmas are along and across an axis rotated by `angle_rad`."""

    taps: Taps
    sigma_x_px: SigmaPx
    sigma_y_px: SigmaPx
    angle_rad: Angle


@dataclass(frozen=True)
class GeneralisedBlur(_Checked):
    """Generalised Gaussian kernel, exp(-d^(2 beta) / 2) of the Gaussian's distance d: heavy-tailed for beta < 1."""

    taps: Taps
    sigma_x_px: SigmaPx
    sigma_y_px: SigmaPx
    angle_rad: Angle
    beta: Beta


@dataclass(frozen=True)
class PlateauBlur(_Checked):
    """Plateau-shaped kernel, 1 / (1 + d^(2 beta)) of the Gaussian's distance d."""

    taps: Taps
    sigma_x_px: SigmaPx
    sigma_y_px: SigmaPx
    angle_rad: Angle
    beta: Beta


@dataclass(frozen=True)
class SincBlur(_Checked):
    """Circular low-pass (sinc) filter with cutoff `cutoff_rad` per pixel: gives ringing, as after over-sharpening."""

    taps: Taps
    cutoff_rad: Annotated[float, Range(0.01, math.pi)]


@dataclass(frozen=True)
class MotionBlur(_Checked):
    """Motion blur along a straight line of `length_px`, rotated by `angle_rad`."""

    taps: Taps
    length_px: Annotated[float, Range(1, 511)]
    angle_rad: Angle

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length_px > self.taps:
            raise ValueError(f"motion_blur: length_px {self.length_px} does not fit into {self.taps} taps")


@dataclass(frozen=True)
class Resize(_Checked):
    """Resize to a size in pixels; `bicubic_antialias` as in MATLAB, the other modes as in OpenCV."""

    out_w: Pixels
    out_h: Pixels
    mode: ResizeMode


@dataclass(frozen=True)
class Noise(_Checked):
    """Additive Gaussian noise with standard deviation `sigma`, the same for all channels if `gray`; then clipped."""

    sigma: Annotated[float, Range(0, 255)]
    gray: bool
    seed: Seed


@dataclass(frozen=True)
class PoissonNoise(_Checked):
    """Shot noise at 256 photons for white, times `scale`; if `gray`, the luma's for all channels; then clipped."""

    scale: Annotated[float, Range(0, 20)]
    gray: bool
    seed: Seed


@dataclass(frozen=True)
class Jpeg(_Checked):
    """JPEG compression by libjpeg."""

    quality: Annotated[int, Range(1, 100)]
    chroma: Literal["4:2:0", "4:4:4"]


@dataclass(frozen=True)
class ColourShift(_Checked):
    """A constant added to each channel; then clipped."""

    red: Shift
    green: Shift
    blue: Shift


@dataclass(frozen=True)
class Brightness(_Checked):
    """All channels multiplied by `factor`; then clipped."""

    factor: Factor


@dataclass(frozen=True)
class Contrast(_Checked):
    """The difference of each value to the image's mean luma is multiplied by `factor`; then clipped."""

    factor: Factor


@dataclass(frozen=True)
class Saturation(_Checked):
    """The difference of each value to the pixel's luma is multiplied by `factor`; then clipped."""

    factor: Factor


@dataclass(frozen=True)
class Hue(_Checked):
    """Hue rotated by `turn`, a fraction of the colour circle."""

    turn: Annotated[float, Range(-0.5, 0.5)]


@dataclass(frozen=True)
class Gray(_Checked):
    """Luma (ITU-R BT.601) in all three channels."""


AnyBlur: TypeAlias = Blur | GeneralisedBlur | PlateauBlur | SincBlur | MotionBlur
Operation: TypeAlias = (
    Mirror
    | AnyBlur
    | Resize
    | Noise
    | PoissonNoise
    | ColourShift
    | Brightness
    | Contrast
    | Saturation
    | Hue
    | Gray
    | Jpeg
)

OPERATIONS = MappingProxyType(
    {
        "mirror": Mirror,
        "blur": Blur,
        "generalised_blur": GeneralisedBlur,
        "plateau_blur": PlateauBlur,
        "sinc_blur": SincBlur,
        "motion_blur": MotionBlur,
        "resize": Resize,
        "noise": Noise,
        "poisson_noise": PoissonNoise,
        "colour_shift": ColourShift,
        "brightness": Brightness,
        "contrast": Contrast,
        "saturation": Saturation,
        "hue": Hue,
        "gray": Gray,
        "jpeg": Jpeg,
    }
)
NAMES = MappingProxyType({operation: name for name, operation in OPERATIONS.items()})
HINTS = MappingProxyType(
    {operation: get_type_hints(operation, include_extras=True) for operation in OPERATIONS.values()}
)


def _check(op: Any) -> None:
    name = NAMES[type(op)]
    for field, hint in HINTS[type(op)].items():
        value = getattr(op, field)
        kind, *rest = get_args(hint) or (hint,)
        if isinstance(kind, str):
            if value not in (kind, *rest):
                raise ValueError(f"{name}: {field} is one of {', '.join((kind, *rest))}, not {shown(value)}")
        elif not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ValueError(f"{name}: {field} is of type {kind.__name__}, not {shown(value)}")
        elif rest and not rest[0].low <= value <= rest[0].high:  # false for NaN
            raise ValueError(f"{name}: {field} is from {rest[0].low} to {rest[0].high}, not {shown(value)}")
    if "taps" in HINTS[type(op)] and op.taps % 2 == 0:
        raise ValueError(f"a blur has an odd number of taps, not {op.taps}")


def shown(value: Any) -> str:
    """A short, printable form of any value, for an error message."""
    try:
        text = ascii(value)
    except RecursionError:  # deeply nested lists
        return "..."
    return text if len(text) <= 60 else text[:57] + "..."
