"""Images as they would be saved, so that figures are those of files."""

import torch
from torch import Tensor


def levels(images: Tensor) -> Tensor:
    """Images in [-1, 1] as the 256 levels of 8 bits, 0 to 255: whole numbers in float64; NaN stays.

    Halves are rounded to even, as OpenCV does.
    """
    return ((images.to(torch.float64) + 1) * 127.5).round().clamp(0, 255)
