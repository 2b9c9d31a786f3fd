"""The degradation recipes of the papers: a new one is one entry here, and can be chosen by its name at once.

`realesrgan` is Real-ESRGAN (Wang et al. 2021) as basicsr's RealESRGANDataset and RealESRGANModel draw it, with the
published options of x4plus. Where it differs, and why:

- Every sample has its own numbers. basicsr draws sizes, modes, kinds of noise and the order of the final pass once
  for a batch, since all images of its batch must have one size.
- The whole aligned face is degraded, not a 400 px crop of a photo, and it is not sharpened first (USM): theta starts
  from the stored ground truth.
- JPEG quality is an integer, as in libjpeg; basicsr draws a real number.
- Shot noise counts 256 photons for white. basicsr counts the values that occur in the image and takes the next
  power of two, which is 256 too, except for images with at most 128 values.
- All sizes are integers, and sampling positions follow from the ratio of sizes. basicsr gives torch a factor instead;
  the difference is less than a pixel over the image.
- A sinc or Gaussian kernel keeps its own taps; basicsr pads all to 21 with zeros, which changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from facerefs.schemas.operations import Range
from facerefs.stages.degrade.draws import derive_seed, draw
from facerefs.stages.degrade.recipe import (
    BlurKinds,
    FinalPass,
    IntRange,
    Pass,
    RandomBlur,
    RandomColour,
    RandomNoise,
    RandomResize,
    Recipe,
)

__all__ = ["RECIPES", "Recipe", "RecipeName", "derive_seed", "draw"]

_GAUSSIANS = BlurKinds(isotropic=1, anisotropic=1)
_GFPGAN = Pass(
    blur=RandomBlur(_GAUSSIANS, taps=IntRange(41, 41), sigma_px=Range(0.1, 10)),
    resize=RandomResize(reduction=Range(0.8, 8)),
    noise=RandomNoise(sigma=Range(0, 20)),
    jpeg_quality=IntRange(60, 100),
)

_NO_BLUR_PX = 0.01  # the least that a kernel can have

_ESRGAN_BLUR = RandomBlur(
    BlurKinds(
        isotropic=0.45,
        anisotropic=0.25,
        generalised_isotropic=0.12,
        generalised_anisotropic=0.03,
        plateau_isotropic=0.12,
        plateau_anisotropic=0.03,
    ),
    taps=IntRange(7, 21),
    sigma_px=Range(0.2, 3),
    generalised_beta=Range(0.5, 4),
    plateau_beta=Range(1, 2),
    sinc_chance=0.1,
)


def _gaussian(sigma_px: Range, reduction: Range, noise: float, jpeg: int) -> Pass:
    """GFPGAN's pass with other ranges: noise up to `noise` and JPEG from quality `jpeg` to 100."""
    return Pass(
        blur=RandomBlur(_GAUSSIANS, sigma_px=sigma_px),
        resize=RandomResize(reduction=reduction),
        noise=RandomNoise(sigma=Range(0, noise)),
        jpeg_quality=IntRange(jpeg, 100),
    )


def _bicubic_and_back(factor: int) -> Recipe:
    """MATLAB's bicubic reduction by the factor, and its bicubic enlargement to the size of the ground truth."""
    sides = (RandomResize(reduction_choices=(by,), modes=("bicubic_antialias",)) for by in (factor, 1))
    return Recipe(f"bicubic_x{factor}", tuple(Pass(resize=resize) for resize in sides))


_ALL = (
    # GFPGAN (Wang et al. 2021, as in its published options train_gfpgan_v1), which ENTED uses.
    Recipe("gfpgan", (_GFPGAN,)),
    # Its colour jitter of the degraded image alone. GFPGAN adds it after JPEG and resizing back; here it
    # stands before JPEG, so that the JPEG is the whole degraded face. See `apply_theta` for the difference.
    Recipe(
        "gfpgan_colour",
        (replace(_GFPGAN, colour=RandomColour(shift_chance=0.3, gray_chance=0.01, jitter_chance=0.3)),),
    ),
    # RDFR, eq. 13. The paper names GFPGAN's sampling; so both Gaussians and 41 taps.
    Recipe(
        "rdfr",
        (
            Pass(
                blur=RandomBlur(_GAUSSIANS, sigma_px=Range(0.2, 10)),
                resize=RandomResize(reduction=Range(1, 8)),
                noise=RandomNoise(sigma=Range(0, 15)),
                jpeg_quality=IntRange(60, 100),
            ),
        ),
    ),
    # Pose-varied, eq. 17. Choices, since the paper is silent: GFPGAN's sigmas, motion of 1 to 41 px, and
    # one blur in three is motion.
    Recipe(
        "posevaried",
        (
            Pass(
                blur=RandomBlur(BlurKinds(isotropic=1, anisotropic=1, motion=1)),
                resize=RandomResize(reduction=Range(0.4, 8)),
                noise=RandomNoise(sigma=Range(0, 25)),
                jpeg_quality=IntRange(5, 50),
            ),
        ),
    ),
    # ReFine says "severe"; the ranges are CodeFormer's severe ones (choice).
    Recipe(
        "refine",
        (
            Pass(
                blur=RandomBlur(_GAUSSIANS, sigma_px=Range(1, 15)),
                resize=RandomResize(reduction=Range(4, 30)),
                noise=RandomNoise(sigma=Range(0, 20)),
                jpeg_quality=IntRange(30, 80),
            ),
        ),
    ),
    # The two levels of Ref-LDM's test sets (Hsiao et al. 2024) and the ranges that it is trained with (its published
    # `refldm.yaml` and `ldm/data/ir.py`). There sigma is drawn from 0 on, which divides by zero: here from 0.01 px.
    Recipe(
        "moderate", (_gaussian(sigma_px=Range(_NO_BLUR_PX, 8), reduction=Range(1, 8), noise=15, jpeg=60),)
    ),
    Recipe("severe", (_gaussian(sigma_px=Range(8, 16), reduction=Range(8, 32), noise=20, jpeg=30),)),
    Recipe(
        "refldm", (_gaussian(sigma_px=Range(_NO_BLUR_PX, 16), reduction=Range(1, 32), noise=20, jpeg=30),)
    ),
    # FaceMe (Liu et al. 2025). Choice: 41 taps and both Gaussians, as GFPGAN.
    Recipe("faceme", (_gaussian(sigma_px=Range(0.2, 10), reduction=Range(1, 16), noise=15, jpeg=30),)),
    # RPF and plain super-resolution: MATLAB's antialiased bicubic and nothing else.
    Recipe(
        "bicubic",
        (Pass(resize=RandomResize(reduction_choices=(8, 16, 32, 64), modes=("bicubic_antialias",))),),
    ),
    # Super-resolution of small faces that are enlarged by bicubic interpolation: ReFine's x8 task ("downsize the image
    # and then upscale it by bicubic method"), RDFR's tables 1 and 2 (x8, x16).
    *(_bicubic_and_back(factor) for factor in (8, 16)),
    # Two passes and a final sinc filter. Choice: the final size is a quarter of the face's.
    Recipe(
        "realesrgan",
        (
            Pass(
                blur=_ESRGAN_BLUR,
                resize=RandomResize(
                    factor=Range(0.15, 1.5), up=0.2, down=0.7, keep=0.1, modes=("area", "bilinear", "bicubic")
                ),
                noise=RandomNoise(
                    sigma=Range(1, 30), poisson_scale=Range(0.05, 3), poisson_chance=0.5, gray_chance=0.4
                ),
                jpeg_quality=IntRange(30, 95),
            ),
            Pass(
                blur=replace(_ESRGAN_BLUR, sigma_px=Range(0.2, 1.5), chance=0.8),
                resize=RandomResize(
                    factor=Range(0.3, 1.2),
                    base_reduction=4,
                    up=0.3,
                    down=0.4,
                    keep=0.3,
                    modes=("area", "bilinear", "bicubic"),
                ),
                noise=RandomNoise(
                    sigma=Range(1, 25), poisson_scale=Range(0.05, 2.5), poisson_chance=0.5, gray_chance=0.4
                ),
            ),
        ),
        FinalPass(reduction=4, sinc_chance=0.8, jpeg_quality=IntRange(30, 95)),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _ALL})

if TYPE_CHECKING:
    RecipeName: TypeAlias = str  # mypy knows no types that are made when the program runs
else:
    RecipeName = Literal[tuple(RECIPES)]  # so that a setting takes these names, and no other
