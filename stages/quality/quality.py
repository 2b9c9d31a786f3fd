"""How good an aligned face is: sharpness, NIQE and BRISQUE, at one size so that they compare."""

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE_PX = 512  # all figures are taken at this size, so that they compare


def at_quality_size(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The aligned face uint8 (S, S, 3) at 512x512."""
    if crop.shape[0] == _SIDE_PX:
        return crop
    return np.asarray(Image.fromarray(crop).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS))


def sharpness(crop: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the middle half of an aligned face, at 512x512; 0 is flat.

    crop: uint8 (S, S, 3). The focus measure LAPV of Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy" (2000), with the 4-neighbour Laplacian on grey levels 0 to 255. The middle half of an FFHQ
    crop is brows to mouth: hair, background and filled borders have no say.
    """
    quarter = _SIDE_PX // 4
    middle = slice(quarter - 1, 3 * quarter + 1)
    grey = np.asarray(Image.fromarray(at_quality_size(crop)[middle, middle]).convert("L"), dtype=np.float64)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def niqe(crop: npt.NDArray[np.uint8]) -> float | None:
    """NIQE of an aligned face uint8 (S, S, 3) at 512x512; lower is more natural; None where it is undefined.

    Raises stages.quality.basicsr.BasicsrMissingError if basicsr, which brings its parameters, is not installed.
    """
    from facerefs.stages.quality.niqe import niqe as of_image

    return of_image(at_quality_size(crop))


def brisque(crop: npt.NDArray[np.uint8]) -> float | None:
    """BRISQUE of an aligned face uint8 (S, S, 3) at 512x512; lower is better; None where it is undefined.

    Raises stages.engines.engine.MissingWeights if the package brisque, which brings its model, is not installed.
    """
    from facerefs.stages.quality.brisque import brisque as of_image

    return of_image(at_quality_size(crop))
