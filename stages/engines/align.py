"""A face in FFHQ's alignment, made in one way for the training set and for a restoration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.engine import Detection, Detector, Landmarker
from facerefs.stages.faces.boxes import overlaps
from facerefs.stages.faces.geometry import Crop, apply_transform, ffhq_transform, misalignment, warp

_FACE_BOX = (0.19, 0.31, 0.79, 0.92)  # in FFHQ's crop: the median of dlib's boxes on 38 aligned photos
_IN_PLACE = 0.65  # overlap from which a found face is where FFHQ's alignment has it: 0.71 to 0.95 on 76 aligned photos
_GREY = 128


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


def detect_close(photo: UInt8Image, detector: Detector) -> list[Detection]:
    """The faces of a photo as `Detector.detect`; if none is found, those that are found with a margin around it.

    A face that fills the photo can be too large for a detector.
    """
    if found := detector.detect(photo):
        return found
    margin = max(photo.shape[:2]) // 2
    padded = np.pad(photo, ((margin, margin), (margin, margin), (0, 0)), constant_values=_GREY)
    return [
        Detection(face.box - margin, face.score, None if face.points is None else face.points - margin)
        for face in detector.detect(padded)
    ]


def most_in_place(faces: Sequence[Detection], side_px: int) -> int:
    """The number of the face that lies most as FFHQ's alignment has it in a photo of side_px; there is at least one."""
    return int(np.argmax([overlaps(face.box, _frame(side_px)) for face in faces]))


def kept(
    photo: UInt8Image, face: Detection, landmarker: Landmarker, size_px: int, most: float
) -> tuple[Alignment, float]:
    """A face that is aligned already, without a warp, and its `misalignment`.

    photo: uint8 (H, H, 3), where H is size_px or a whole multiple of it; a larger one is reduced by the mean of each
    block of pixels. Where the landmarks say that the face is misaligned by more than `most`, though it was found where
    it should be, they are looked for from there: on few turned faces they have slid off (choice).
    Raises ValueError if the landmarks span no face.
    """
    side_px = photo.shape[0]
    points = landmarker.landmarks(photo, face.box, face.points)
    apart = misalignment(ffhq_transform(points, side_px), side_px)
    if apart > most and overlaps(face.box, _frame(side_px)) >= _IN_PLACE:
        points = landmarks_of_crop(photo, landmarker)
        apart = misalignment(ffhq_transform(points, side_px), side_px)
    factor = side_px // size_px
    shift = (1 / factor - 1) / 2
    transform = np.array([[1 / factor, 0, shift], [0, 1 / factor, shift]], np.float32)
    landmarks = apply_transform(transform, points).astype(np.float32)
    return Alignment(points, transform, landmarks, Crop(_block_means(photo, factor), 0.0)), apart


def _frame(side_px: int) -> Float32s:
    return np.array(_FACE_BOX, np.float32) * np.float32(side_px)


def _block_means(photo: UInt8Image, factor: int) -> UInt8Image:
    """The mean of each block of factor x factor pixels, halves rounded up; the photo itself for a factor of 1."""
    if factor == 1:
        return photo
    height, width = (side // factor for side in photo.shape[:2])
    sums = photo.reshape(height, factor, width, factor, 3).sum(axis=(1, 3), dtype=np.uint32)
    return np.asarray((2 * sums + factor**2) // (2 * factor**2), np.uint8)


def landmarks_of_crop(crop: UInt8Image, landmarker: Landmarker) -> Float32s:
    """The landmarks (68, 2) of a face that is aligned already, in its pixels."""
    return landmarker.landmarks(crop, _frame(crop.shape[0]))
