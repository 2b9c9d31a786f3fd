"""Recipes: from which ranges the parameters of a degradation are drawn, one recipe per paper, and the draw.

Every drawn number has a name, and is the SHA-256 of (seed, name). So there is no order of drawing, the
numbers are the same on every machine and with every library, and a new parameter never changes the others.
"""

import hashlib
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from schemas.operations import Blur, ColourShift, Gray, Jpeg, MotionBlur, Noise, Operation, Range, Resize
from schemas.theta import Theta

BlurKind = Literal["isotropic", "anisotropic", "motion"]


_GFPGAN_SIGMA_PX = Range(0.1, 10)
_TO_THE_EDGE_PX = Range(1, 41)


@dataclass(frozen=True)
class Recipe:
    """Blur, resize, noise, colour, JPEG, in this order; what is None or has no chance is left out.

    Ranges are uniform. The side of the image is divided by `scale`; several scales are equally likely.
    """

    scale: Range | tuple[float, ...]
    blurs: tuple[BlurKind, ...] = ("isotropic", "anisotropic")  # equally likely
    taps: int = 41
    sigma_px: Range = _GFPGAN_SIGMA_PX
    motion_px: Range = _TO_THE_EDGE_PX
    resize: Literal["bilinear", "bicubic_antialias"] = "bilinear"
    noise_sigma: Range | None = None  # 0-255
    colour_shift_chance: float = 0
    colour_shift: float = 20  # at most this, up or down, on each channel; 0-255
    gray_chance: float = 0
    jpeg_quality: tuple[int, int] | None = None  # both ends included


_GFPGAN = Recipe(scale=Range(0.8, 8), noise_sigma=Range(0, 20), jpeg_quality=(60, 100))

RECIPES = MappingProxyType(
    {
        # GFPGAN (Wang et al. 2021, as in its published options train_gfpgan_v1), which ENTED uses.
        "gfpgan": _GFPGAN,
        # Its colour jitter of the degraded image alone. GFPGAN adds it after JPEG and resizing back; here it
        # stands before JPEG, so that the JPEG is the whole degraded face. See `engine` for the difference.
        # Its further jitter of brightness, contrast, saturation and hue is not here.
        "gfpgan_colour": Recipe(
            scale=_GFPGAN.scale,
            noise_sigma=_GFPGAN.noise_sigma,
            jpeg_quality=_GFPGAN.jpeg_quality,
            colour_shift_chance=0.3,
            gray_chance=0.01,
        ),
        # RDFR, eq. 13. The paper names GFPGAN's sampling; so both Gaussians and 41 taps.
        "rdfr": Recipe(
            sigma_px=Range(0.2, 10), scale=Range(1, 8), noise_sigma=Range(0, 15), jpeg_quality=(60, 100)
        ),
        # Pose-varied, eq. 17. Choices, since the paper is silent: GFPGAN's sigmas, motion of 1 to 41 px, and
        # one blur in three is motion.
        "posevaried": Recipe(
            blurs=("isotropic", "anisotropic", "motion"),
            scale=Range(0.4, 8),
            noise_sigma=Range(0, 25),
            jpeg_quality=(5, 50),
        ),
        # ReFine says "severe"; the ranges are CodeFormer's severe ones (choice).
        "refine": Recipe(
            sigma_px=Range(1, 15), scale=Range(4, 30), noise_sigma=Range(0, 20), jpeg_quality=(30, 80)
        ),
        # RPF and plain super-resolution: MATLAB's antialiased bicubic and nothing else.
        "bicubic": Recipe(blurs=(), scale=(8, 16, 32, 64), resize="bicubic_antialias"),
    }
)


def theta_seed(dataset_seed: int, key: str, draw: int) -> int:
    """Seed of one theta, 0 to 2**64 - 1; `draw` counts the thetas of one sample (0, or the epoch)."""
    return _digest(f"{dataset_seed}/{draw}/{key}")


def draw(recipe: Recipe, seed: int, size_px: int) -> Theta:
    """Draw a theta for a square image of `size_px`; the same arguments give the same theta, always.

    Parameters are drawn under these names: blur, sigma_x, sigma_y, angle, motion, scale, noise, noise_seed,
    colour_shift, red, green, blue, gray, jpeg.
    """
    theta: list[Operation] = []
    if recipe.blurs:
        theta.append(_blur(recipe, seed))
    out_px = max(1, int(size_px // _scale(recipe.scale, seed)))
    theta.append(Resize(out_w=out_px, out_h=out_px, mode=recipe.resize))
    if recipe.noise_sigma:
        noise_seed = _digest(f"{seed}/noise_seed") >> 11
        theta.append(Noise(sigma=_between(recipe.noise_sigma, seed, "noise"), gray=False, seed=noise_seed))
    if _uniform(seed, "colour_shift") < recipe.colour_shift_chance:
        shift = Range(-recipe.colour_shift, recipe.colour_shift)
        theta.append(ColourShift(*(_between(shift, seed, channel) for channel in ("red", "green", "blue"))))
    if _uniform(seed, "gray") < recipe.gray_chance:
        theta.append(Gray())
    if recipe.jpeg_quality:
        low, high = recipe.jpeg_quality
        quality = low + int(_uniform(seed, "jpeg") * (high - low + 1))
        theta.append(
            Jpeg(quality=quality, chroma="4:2:0")
        )  # what OpenCV and libjpeg do unless told otherwise
    return tuple(theta)


def _blur(recipe: Recipe, seed: int) -> Operation:
    kind = recipe.blurs[int(_uniform(seed, "blur") * len(recipe.blurs))]
    angle_rad = _between(Range(-math.pi, math.pi), seed, "angle")
    if kind == "motion":
        return MotionBlur(recipe.taps, _between(recipe.motion_px, seed, "motion"), angle_rad)
    sigma_x_px = _between(recipe.sigma_px, seed, "sigma_x")
    if kind == "isotropic":
        return Blur(recipe.taps, sigma_x_px, sigma_x_px, 0.0)
    return Blur(recipe.taps, sigma_x_px, _between(recipe.sigma_px, seed, "sigma_y"), angle_rad)


def _scale(scale: Range | tuple[float, ...], seed: int) -> float:
    if isinstance(scale, Range):
        return _between(scale, seed, "scale")
    return scale[int(_uniform(seed, "scale") * len(scale))]


def _between(ends: Range, seed: int, name: str) -> float:
    return ends.low + (ends.high - ends.low) * _uniform(seed, name)


def _uniform(seed: int, name: str) -> float:
    """Uniform in [0, 1), of 53 bits."""
    return (_digest(f"{seed}/{name}") >> 11) * 2.0**-53


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
