"""Shared parts of the presets for small faces: training length, and recipes of the papers scaled to small faces.

Lengths in a recipe shrink with the face, noise and JPEG do not.
"""

from facerefs.schemas.operations import Range
from facerefs.stages.degrade.recipe import (
    BlurKinds,
    IntRange,
    Pass,
    RandomBlur,
    RandomNoise,
    RandomResize,
    Recipe,
)
from facerefs.trainers.loop.settings import Loop

TINY_LOOP = Loop(
    steps=2_000,
    average_half_life_images=500.0,
    validate_every=500,
    checkpoint_every=500,
    validation_samples=32,
)

_GAUSSIANS = BlurKinds(isotropic=1, anisotropic=1)

# The recipe `refine` of 512 px, scaled to 256 px: the degraded face has 17 to 128 px in both.
REFINE_256 = Recipe(
    "refine_256",
    (
        Pass(
            blur=RandomBlur(_GAUSSIANS, taps=IntRange(21, 21), sigma_px=Range(0.5, 7.5)),
            resize=RandomResize(reduction=Range(2.0, 15.0)),
            noise=RandomNoise(sigma=Range(0.0, 20.0)),
            jpeg_quality=IntRange(30, 80),
        ),
    ),
)


def _at_64_px(
    name: str,
    most_sigma_px: float,
    most_noise: float,
    jpeg_quality: IntRange,
    kinds: BlurKinds = _GAUSSIANS,
    motion_px: Range = RandomBlur.motion_px,
) -> Recipe:
    """A recipe for 64 px. Only severe ones (choice): a face reduced by less than 1.5 would hardly look degraded."""
    return Recipe(
        name,
        (
            Pass(
                blur=RandomBlur(kinds, IntRange(7, 7), Range(0.2, most_sigma_px), motion_px),
                resize=RandomResize(reduction=Range(1.5, 4.0)),
                noise=RandomNoise(sigma=Range(0.0, most_noise)),
                jpeg_quality=jpeg_quality,
            ),
        ),
    )


_WITH_MOTION = BlurKinds(isotropic=1, anisotropic=1, motion=1)

TINY_REFINE = _at_64_px("tiny_refine", 2.0, 20.0, IntRange(30, 80))
TINY_GFPGAN = _at_64_px("tiny_gfpgan", 1.5, 20.0, IntRange(60, 100))
TINY_RDFR = _at_64_px("tiny_rdfr", 1.5, 15.0, IntRange(60, 100))
TINY_POSEVARIED = _at_64_px("tiny_posevaried", 1.5, 25.0, IntRange(5, 50), _WITH_MOTION, Range(1.0, 7.0))
