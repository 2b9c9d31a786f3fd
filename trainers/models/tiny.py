"""What presets for small faces share: how long they train, and recipes of the papers for faces that were reduced first.

Of a recipe lengths shrink with the face, noise and JPEG do not.
"""

from schemas.operations import Range
from stages.degrade.recipe import BlurKinds, RandomBlur, RandomNoise, RandomResize, Recipe, Round, WholeRange
from trainers.loop.settings import Loop

TINY_LOOP = Loop(
    steps=2_000,
    average_half_life_images=500.0,
    validate_every=500,
    checkpoint_every=500,
    validation_samples=32,
)

_GAUSSIANS = BlurKinds(isotropic=1, anisotropic=1)

# At 256 px all that `refine` does at 512: the degraded face has 17 to 128 px either way.
REFINE_256 = Recipe(
    "refine_256",
    (
        Round(
            blur=RandomBlur(_GAUSSIANS, taps=WholeRange(21, 21), sigma_px=Range(0.5, 7.5)),
            resize=RandomResize(reduction=Range(2.0, 15.0)),
            noise=RandomNoise(sigma=Range(0.0, 20.0)),
            jpeg_quality=WholeRange(30, 80),
        ),
    ),
)

# At 64 px its severe half (choice): what is reduced less than 1.5 times here would hardly look degraded.
TINY_REFINE = Recipe(
    "tiny_refine",
    (
        Round(
            blur=RandomBlur(_GAUSSIANS, taps=WholeRange(7, 7), sigma_px=Range(0.2, 2.0)),
            resize=RandomResize(reduction=Range(1.5, 4.0)),
            noise=RandomNoise(sigma=Range(0.0, 20.0)),
            jpeg_quality=WholeRange(30, 80),
        ),
    ),
)

# The others at 64 px, their severe halves too (choice).
TINY_GFPGAN = Recipe(
    "tiny_gfpgan",
    (
        Round(
            blur=RandomBlur(_GAUSSIANS, taps=WholeRange(7, 7), sigma_px=Range(0.2, 1.5)),
            resize=RandomResize(reduction=Range(1.5, 4.0)),
            noise=RandomNoise(sigma=Range(0.0, 20.0)),
            jpeg_quality=WholeRange(60, 100),
        ),
    ),
)
TINY_RDFR = Recipe(
    "tiny_rdfr",
    (
        Round(
            blur=RandomBlur(_GAUSSIANS, taps=WholeRange(7, 7), sigma_px=Range(0.2, 1.5)),
            resize=RandomResize(reduction=Range(1.5, 4.0)),
            noise=RandomNoise(sigma=Range(0.0, 15.0)),
            jpeg_quality=WholeRange(60, 100),
        ),
    ),
)
TINY_POSEVARIED = Recipe(
    "tiny_posevaried",
    (
        Round(
            blur=RandomBlur(
                BlurKinds(isotropic=1, anisotropic=1, motion=1),
                taps=WholeRange(7, 7),
                sigma_px=Range(0.2, 1.5),
                motion_px=Range(1.0, 7.0),
            ),
            resize=RandomResize(reduction=Range(1.5, 4.0)),
            noise=RandomNoise(sigma=Range(0.0, 25.0)),
            jpeg_quality=WholeRange(5, 50),
        ),
    ),
)
