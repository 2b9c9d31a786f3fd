"""What an engine is: three small interfaces, the detection, and the error for weights that are not there.

Images are uint8 (H, W, 3) RGB; coordinates are photo pixels whose centres lie at whole numbers. Every engine
has a `name`, which is stored with what it made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from facerefs.schemas.arrays import Float32s, UInt8Image


class MissingWeights(Exception):  # noqa: N818  it is an answer to a person, not a fault of the program
    """Weights or their runtime are not on this machine, or unusable; the message says in a sentence what to do."""


@dataclass(frozen=True, eq=False)
class Detection:
    """A face in a photo: box (4,) float32 as left, top, right, bottom; score in the detector's own unit.

    points: (5, 2) eyes, nose tip and mouth corners, where the detector gives them.
    """

    box: Float32s
    score: float
    points: Float32s | None = None

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class Detector(Protocol):
    """Finds faces."""

    name: str

    def detect(self, image: UInt8Image) -> list[Detection]:
        """Find all faces of a photo, the largest first."""


class Landmarker(Protocol):
    """Finds the 68 points of iBUG 300-W."""

    name: str

    def landmarks(self, image: UInt8Image, box: Float32s, five: Float32s | None = None) -> Float32s:
        """The points of the face in `box` (4,): float32 (68, 2) in photo pixels.

        five: (5, 2) as in `Detection`, if the detector gave them.
        """


class Embedder(Protocol):
    """Turns a face into a vector whose cosine says who it is."""

    name: str

    def chip(self, image: UInt8Image, landmarks: Float32s) -> UInt8Image:
        """The face with these landmarks (68, 2) as the network wants it: uint8 (S, S, 3)."""

    def embed_chips(self, chips: Sequence[UInt8Image]) -> Float32s:
        """One or more chips -> float32 (N, D) of unit length, whose bits depend on each chip alone."""

    def embed(self, image: UInt8Image, landmarks: Float32s) -> Float32s:
        """The face with these landmarks (68, 2) in the photo: float32 (D,) of unit length."""


def largest_first(detections: list[Detection]) -> list[Detection]:
    """Sort by area, then from left to right and top to bottom, so that the order is the photo's."""
    return sorted(detections, key=lambda d: (-d.area, float(d.box[0]), float(d.box[1])))


def reduced(image: UInt8Image, side_px: int, sharp: bool = True) -> tuple[UInt8Image, Float32s]:
    """Shrink a photo until its longer side is at most side_px; and the factors that take (x, y) back.

    sharp: with a Lanczos filter, which HOG needs; else by averages of areas, in a tenth of the time.
    """
    height, width = image.shape[:2]
    factor = side_px / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(image), np.ones(2, dtype=np.float32)
    import cv2

    size = max(1, round(width * factor)), max(1, round(height * factor))
    if sharp and factor < 0.5:  # the filter leaves no trace of averages at twice the size
        image = np.asarray(
            cv2.resize(image, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_AREA), np.uint8
        )
    if sharp:
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    else:
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, np.array([width / size[0], height / size[1]], dtype=np.float32)


def looks(image: UInt8Image, most_px: int, face_px: float, shown_px: int) -> list[int]:
    """The longer sides to which a photo is reduced, in turn, until a face is found in it.

    First that at which faces of face_px in the photo are shown with shown_px, then most_px, for faces that are
    hard to see or smaller. Where the first is no less, or face_px is 0, most_px alone.
    """
    enough_px = math.ceil(max(image.shape[:2]) * shown_px / face_px) if face_px > 0 else most_px
    return [enough_px, most_px] if enough_px < most_px else [most_px]


def unit(vectors: npt.NDArray[np.floating]) -> Float32s:
    """Scale vectors (..., D) to unit length."""
    exact = np.asarray(vectors, dtype=np.float64)
    scaled: Float32s = (exact / np.linalg.norm(exact, axis=-1, keepdims=True)).astype(np.float32)
    return scaled
