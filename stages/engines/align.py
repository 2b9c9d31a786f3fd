"""A face in FFHQ's alignment, made in one way for the training set and for a restoration."""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.engine import Detection, Landmarker
from facerefs.stages.faces.geometry import Crop, apply_transform, ffhq_transform, warp

_FACE_BOX = (0.19, 0.31, 0.79, 0.92)  # in FFHQ's crop: the median of dlib's boxes on 38 aligned photos


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a face is in its photo, and its aligned crop.

    points: landmarks (68, 2) in photo pixels. transform: float32 (2, 3), photo pixels to crop pixels, rounded as the
    table `faces` stores it. landmarks: float32 (68, 2) in crop pixels.
    """

    points: Float32s
    transform: Float32s
    landmarks: Float32s
    crop: Crop


def align(photo: UInt8Image, face: Detection, landmarker: Landmarker, size_px: int) -> Alignment:
    """The alignment of a face that was detected in a photo. Raises ValueError if its landmarks span no face."""
    points = landmarker.landmarks(photo, face.box, face.points)
    transform = ffhq_transform(points, size_px).astype(np.float32)
    landmarks = apply_transform(transform, points).astype(np.float32)
    return Alignment(points, transform, landmarks, warp(photo, transform, size_px))


def landmarks_of_crop(crop: UInt8Image, landmarker: Landmarker) -> Float32s:
    """The landmarks (68, 2) of a face that is aligned already, in its pixels."""
    return landmarker.landmarks(crop, np.array(_FACE_BOX, np.float32) * crop.shape[0])
