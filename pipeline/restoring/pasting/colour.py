"""Give a restored face the colours of the photo around it."""

import numpy as np

from facerefs.schemas.arrays import Float32s, UInt8Image

_REACH = 1 / 8  # standard deviation of the filter that tells colour from detail, as a share of the side
_LEAST_WEIGHT = 1e-3


def match_colours(restored: UInt8Image, before: UInt8Image, mask: Float32s) -> Float32s:
    """The restored face float32 (S, S, 3) with the coarse colours of the face before, in 0 to 255.

    before: the same square of the photo; mask: (S, S), the face. Only differences coarser than an eighth of the square
    are undone, so what the model drew stays, and no edge shows where the mask ends. A face of a grey photo is grey.
    """
    import cv2

    made = restored.astype(np.float32)
    sigma = _REACH * restored.shape[0]
    weight = np.maximum(cv2.GaussianBlur(mask, (0, 0), sigma), _LEAST_WEIGHT)[..., None]
    difference = (before.astype(np.float32) - made) * mask[..., None]
    matched = made + np.asarray(cv2.GaussianBlur(difference, (0, 0), sigma), np.float32) / weight
    if _is_grey(before):
        matched = np.repeat(matched @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    return np.asarray(matched, np.float32)


def _is_grey(pixels: UInt8Image) -> bool:
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
