"""Real detail: how many of a photo's pixels are more than an enlargement of fewer.

A sharp photo has about as much energy of second differences at full size as at half the size. Interpolation adds none:
an enlarged thumbnail has next to nothing there until it is reduced to the size that it came from.
"""

import math

import numpy as np
import numpy.typing as npt

_EMPTY = 0.1  # share of the strongest coarser octave below which an octave counts as empty (choice, on real photos)
_SMALLEST_PX = 16


def detail_scale(image: npt.NDArray[np.uint8]) -> float:
    """The side of the smallest version that would hold the same detail, as a share of the image's side; at most 1.

    image: uint8 (H, W, 3) RGB. 1 for a sharp photo, about 0.2 to 0.3 for one that was enlarged five times, however
    smoothly, and stored as JPEG; enlargements without interpolation, or with noise added, are not recognised.
    """
    energies = _energies(image)
    strongest = np.maximum.accumulate(energies[::-1])[::-1]
    shares = energies / np.maximum(strongest, 1e-9)
    octave = int(np.argmax(shares >= _EMPTY))  # of a flat image: 0
    if octave == 0:
        return 1.0
    below = energies[octave - 1] / strongest[octave - 1]
    low, high, limit = (math.log(max(share, 1e-9)) for share in (below, shares[octave], _EMPTY))
    empty = octave - 1 + (limit - low) / (high - low)
    return round(math.pow(2, -empty), 3)


def _energies(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean squared Laplacian of the grey image, and of it at half the size, a quarter ..., float64 (octaves,)."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found: list[float] = []
    while min(grey.shape) >= _SMALLEST_PX or not found:
        edges = cv2.Laplacian(grey, cv2.CV_16S, ksize=1)
        found.append(cv2.norm(edges, cv2.NORM_L2SQR) / edges.size)
        height, width = (max(1, side // 2) for side in grey.shape)
        grey = cv2.resize(grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return np.array(found)
