"""Reduce a sample to a smaller size, with landmarks, boxes and masks: for networks smaller than the stored faces."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facerefs.trainers.stream.samples.sample import Face, Sample


def reduced(sample: Sample, size_px: int) -> Sample:
    """The sample with faces of side `size_px`, each pixel the mean of those that it covers (box filter).

    Raises ValueError if `size_px` is larger than the faces, or if the sample holds its stored degraded face: that was
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
    """The scaled coordinates; pixel centres are at whole numbers."""
    moved: NDArray[np.float32] = (points + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)
    return moved
