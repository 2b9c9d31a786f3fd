"""The recipe `refine` for faces that were reduced first: its lengths shrink with the face, noise and JPEG do not."""

from schemas.operations import Range
from stages.degrade.recipe import BlurKinds, RandomBlur, RandomNoise, RandomResize, Recipe, Round, WholeRange

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
