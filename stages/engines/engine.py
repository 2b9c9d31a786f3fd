"""The interfaces of engines (detector, landmarker, embedder, parser), a detection, and the error for missing weights.

Images are uint8 (H, W, 3) RGB; coordinates are photo pixels whose centres lie at whole numbers. Every engine
has a `name`, which is stored with its results.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from facerefs.schemas.arrays import Float32s, UInt8Image


class MissingWeights(Exception):  # noqa: N818  it is an answer to a user, not an error of the program
    """Weights or their runtime are missing on this machine, or unusable; the message says what to do, in a sentence."""


@dataclass(frozen=True, eq=False)
class Detection:
    """A face in a photo: box (4,) float32 as left, top, right, bottom; score in the detector's own unit.

    points: (5, 2) eyes, nose tip and mouth corners, if the detector finds them.
    """

    box: Float32s
    score: float
    points: Float32s | None = None

    @property
    def area(self) -> float:
        """The area of the box in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class Detector(Protocol):
    """A face detector."""

    name: str

    def detect(self, image: UInt8Image) -> list[Detection]:
        """All faces of a photo, the largest first."""


class Landmarker(Protocol):
    """A detector of the 68 facial landmarks of iBUG 300-W."""

    name: str

    def landmarks(self, image: UInt8Image, box: Float32s, five: Float32s | None = None) -> Float32s:
        """The landmarks of the face in `box` (4,): float32 (68, 2) in photo pixels.

        five: (5, 2) as in `Detection`, if the detector found them.
        """


class Embedder(Protocol):
    """A face embedder: a vector for each face, so that the cosine of two vectors tells whether they are one person."""

    name: str

    def chip(self, image: UInt8Image, landmarks: Float32s) -> UInt8Image:
        """The face with these landmarks (68, 2), aligned as the network expects it: uint8 (S, S, 3)."""

    def embed_chips(self, chips: Sequence[UInt8Image]) -> Float32s:
        """Embeddings of chips: float32 (N, D) of unit length; each row depends on its own chip only, bit for bit."""


class FaceParser(Protocol):
    """A face parser: tells which pixels of an aligned face are of the face, and not of hair, neck or background."""

    name: str

    def mask(self, face: UInt8Image, landmarks: Float32s) -> UInt8Image | None:
        """255 on facial pixels, elsewhere 0: uint8 (S, S); None if the engine finds no face there.

        face: uint8 (S, S, 3), aligned. landmarks: (68, 2) in its pixels.
        """


def largest_first(detections: list[Detection]) -> list[Detection]:
    """The detections sorted by area, then left to right and top to bottom, so that the order is always the same."""
    return sorted(detections, key=lambda d: (-d.area, float(d.box[0]), float(d.box[1])))


def shrink_to(image: UInt8Image, side_px: int, sharp: bool = True) -> tuple[UInt8Image, Float32s]:
    """The photo reduced to a longer side of at most side_px, and the factors (2,) that map (x, y) back to the photo.

    sharp: with a Lanczos filter, which HOG needs; else by area averages, in a tenth of the time.
    """
    height, width = image.shape[:2]
    factor = side_px / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(image), np.ones(2, dtype=np.float32)
    import cv2

    size = max(1, round(width * factor)), max(1, round(height * factor))
    if (
        sharp and factor < 0.5
    ):  # averaging to twice the final size first is faster and leaves no trace after the filter
        image = np.asarray(
            cv2.resize(image, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_AREA), np.uint8
        )
    if sharp:
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    else:
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, np.array([width / size[0], height / size[1]], dtype=np.float32)


def search_sides_px(image: UInt8Image, most_px: int, face_px: float, shown_px: int) -> list[int]:
    """The sizes (longer side, px) to which a photo is reduced, one after the other, until a face is found.

    First the size at which a face of face_px in the photo has shown_px; then most_px, for faces that are smaller or
    hard to find. Only most_px if the first size is not smaller, or if face_px is 0.
    """
    enough_px = math.ceil(max(image.shape[:2]) * shown_px / face_px) if face_px > 0 else most_px
    return [enough_px, most_px] if enough_px < most_px else [most_px]


def unit_length(vectors: npt.NDArray[np.floating]) -> Float32s:
    """Vectors (..., D) scaled to unit length, float32."""
    exact = np.asarray(vectors, dtype=np.float64)
    scaled: Float32s = (exact / np.linalg.norm(exact, axis=-1, keepdims=True)).astype(np.float32)
    return scaled
