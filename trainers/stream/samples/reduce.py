"""A sample at a smaller size, with all that belongs to it: for networks that work on less than the shards hold."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facerefs.trainers.stream.samples.sample import Face, Sample


def reduced(sample: Sample, size_px: int) -> Sample:
    """The same faces at this side, each pixel the mean of those that it covers.

    Raises ValueError if that is larger than the faces are, or if the sample holds its stored degraded face: that was
    made at full size.
    """
    side = sample.target.image.shape[0]
    if not 0 < size_px <= side:
        raise ValueError(f"faces of {side} px cannot be reduced to {size_px} px")
    if sample.degraded is not None:
        raise ValueError(
            "a reduced face needs a degradation of its own: the stored one belongs to the full size"
        )
    return replace(
        sample,
        target=_face(sample.target, size_px),
        boxes=_points(sample.boxes, size_px / side),
        references=tuple(_face(face, size_px) for face in sample.references),
    )


def _face(face: Face, size_px: int) -> Face:
    return replace(
        face,
        image=_image(face.image, size_px),
        landmarks=_points(face.landmarks, size_px / face.image.shape[0]),
        mask=None if face.mask is None else _image(face.mask, size_px),
    )


def _image(image: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(image).resize((size_px, size_px), Image.Resampling.BOX))


def _points(points: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Coordinates, whose whole numbers are centres of pixels."""
    moved: NDArray[np.float32] = (points + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)
    return moved
