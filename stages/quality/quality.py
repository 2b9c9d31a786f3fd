"""Quality measures of an aligned face: sharpness, NIQE and BRISQUE, all at 512x512, so that faces can be compared."""

import numpy as np
from PIL import Image

from facerefs.schemas.arrays import UInt8Image

_SIDE_PX = 512  # of all measurements


def at_quality_size(crop: UInt8Image) -> UInt8Image:
    """The aligned face (S, S, 3) resized to 512x512."""
    if crop.shape[0] == _SIDE_PX:
        return crop
    return np.asarray(Image.fromarray(crop).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS))


def sharpness(crop: UInt8Image) -> float:
    """The variance of the Laplacian of the middle half of an aligned face (S, S, 3), at 512x512; 0 is flat.

    The focus measure LAPV of Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (2000), with the
    4-neighbour Laplacian on grey levels 0 to 255. The middle half of an FFHQ crop goes from brows to mouth: hair,
    background and filled borders do not count.
    """
    quarter = _SIDE_PX // 4
    middle = slice(quarter - 1, 3 * quarter + 1)
    grey = np.asarray(Image.fromarray(at_quality_size(crop)[middle, middle]).convert("L"), dtype=np.float64)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def niqe(crop: UInt8Image) -> float | None:
    """NIQE of an aligned face (S, S, 3) at 512x512; lower is more natural; None if it is undefined.

    Raises stages.quality.basicsr.BasicsrMissingError if basicsr, which brings its parameters, is not installed.
    """
    from facerefs.stages.quality.niqe import niqe as of_image

    return of_image(at_quality_size(crop))


def brisque(crop: UInt8Image) -> float | None:
    """BRISQUE of an aligned face (S, S, 3) at 512x512; lower is better; None if it is undefined.

    Raises stages.engines.engine.MissingWeights if the package brisque, which brings its model, is not installed.
    """
    from facerefs.stages.quality.brisque import brisque as of_image

    return of_image(at_quality_size(crop))
