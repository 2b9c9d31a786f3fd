"""Mirror or crop a sample with its landmarks, boxes, masks and theta; the arguments are never changed in place."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from facerefs.schemas.operations import Mirror, Operation
from facerefs.schemas.theta import Theta
from facerefs.stages.faces.landmarks import MIRRORED_68
from facerefs.trainers.stream.samples.sample import Face, Sample


def mirror(sample: Sample, target: bool = True, references: bool = True) -> Sample:
    """The sample with the target (and its degraded face), the references, or both mirrored left to right.

    Points keep their numbers: point 36 is the outer corner of the eye on the left of the image, before and after.
    If T(x, theta) is the stored degraded face, T(mirrored x, mirrored theta) is that face mirrored. Mirroring twice
    gives the original.
    """
    if references:
        sample = replace(sample, references=tuple(map(mirror_face, sample.references)))
    if not target:
        return sample
    return replace(
        sample,
        target=mirror_face(sample.target),
        boxes=mirror_boxes(sample.boxes, sample.target.image.shape[1]),
        degraded=None if sample.degraded is None else mirror_image(sample.degraded),
        theta=mirror_theta(sample.theta),
    )


def mirror_face(face: Face) -> Face:
    """The mirrored face. The embedding is kept: embedders are designed to give the same one for both."""
    return Face(
        image=mirror_image(face.image),
        landmarks=mirror_landmarks(face.landmarks, face.image.shape[1]),
        embedding=face.embedding,
        mask=None if face.mask is None else mirror_image(face.mask),
        parser=face.parser,
    )


def mirror_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mirrored copy of (H, W) or (H, W, C). Uses torch, which is 20 times as fast as NumPy here."""
    mirrored: NDArray[np.uint8] = torch.from_numpy(image).flip(1).numpy()
    return mirrored


def mirror_landmarks(landmarks: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The 68 landmarks (68, 2) in the mirrored image."""
    mirrored: NDArray[np.float32] = landmarks[MIRRORED_68]
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored


def mirror_boxes(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The boxes (3, 4) in the mirrored image: left eye, right eye, mouth; left is the left of the image."""
    mirrored = boxes[[1, 0, 2]]
    mirrored[:, [0, 2]] = width - 1 - mirrored[:, [2, 0]]
    return mirrored


def mirror_theta(theta: Theta) -> Theta:
    """(Mirror, *theta, Mirror), where adjacent pairs of Mirror cancel out."""
    reduced: list[Operation] = []
    for op in (Mirror(), *theta, Mirror()):
        if isinstance(op, Mirror) and reduced and isinstance(reduced[-1], Mirror):
            reduced.pop()
        else:
            reduced.append(op)
    return tuple(reduced)


def crop(sample: Sample, left: int, top: int, size_px: int) -> Sample:
    """The sample cropped to one square window, the same in the target and all references, which are aligned alike.

    Raises ValueError if the window is not inside the image, or if the sample holds its stored degraded face: that
    belongs to the whole face.
    """
    height, width = sample.target.image.shape[:2]
    if not (size_px > 0 and 0 <= left <= width - size_px and 0 <= top <= height - size_px):
        raise ValueError(
            f"a window of {size_px} px at ({left}, {top}) leaves an image of {width}x{height} px"
        )
    if sample.degraded is not None:
        raise ValueError("a crop needs a degradation of its own: the stored one belongs to the whole face")
    shift = np.array([left, top], np.float32)
    return replace(
        sample,
        target=_crop_face(sample.target, left, top, size_px),
        boxes=sample.boxes - np.tile(shift, 2),
        references=tuple(_crop_face(face, left, top, size_px) for face in sample.references),
    )


def _crop_face(face: Face, left: int, top: int, size_px: int) -> Face:
    window = (slice(top, top + size_px), slice(left, left + size_px))
    return replace(
        face,
        image=face.image[window].copy(),
        landmarks=face.landmarks - np.array([left, top], np.float32),
        mask=None if face.mask is None else face.mask[window].copy(),
    )
