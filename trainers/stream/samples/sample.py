"""A decoded training sample: a face, its degraded version, and references of the same person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.theta import Theta


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    landmarks: NDArray[np.float32]  # (68, 2) in pixels, pixel centres at whole numbers
    embedding: NDArray[np.float32]  # (D,), unit length; (0,) if the sample has none
    mask: NDArray[np.uint8] | None = None  # (H, W), 255 where the face is; None if the sample has none
    parser: str = ""  # engine that made the mask; empty if the sample does not say


@dataclass(frozen=True, eq=False)
class Sample:
    """A ground truth with its references. "Left" in the boxes is the left of the image."""

    key: str
    identity: str
    target: Face  # ground truth
    boxes: NDArray[np.float32]  # (3, 4): left eye, right eye, mouth: left, top, right, bottom, of the target
    references: tuple[Face, ...]  # best first, as stored, or as chosen
    degraded: NDArray[np.uint8] | None  # (h, w, 3), as stored; None if a new degradation is drawn
    theta: Theta  # the degradation that makes `degraded` from the target
    is_given: bool = False  # `degraded` is a published image: nobody knows its theta, which is empty
