"""Boxes of eyes and mouth from the 68 landmarks, and matching of listed boxes to detected faces."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_EYE_ENLARGE = 1.4
_MIN_HALF_SHARE = 16 / 512
MIN_OVERLAP = 0.2
_POINTS = {
    "left_eye": slice(36, 42),
    "right_eye": slice(42, 48),
    "mouth": slice(48, 68),
}  # as `facerefs.schemas.sample.BOXES`


def component_boxes(landmarks: np.ndarray[Any, Any], crop_size: int) -> dict[str, list[float]]:
    """Square boxes left, top, right, bottom in crop pixels around the centres of the eyes and of the mouth.

    `landmarks` (68, 2) in crop pixels. A box is as large as its points need, at least 16 px each way at 512, and eye
    boxes are enlarged 1.4 times (as in the local discriminators of GFPGAN and of the pose-varied network). "Left" is
    the left of the image, as in the iBUG numbering: the person's right eye.
    """
    boxes = {}
    for name, points in _POINTS.items():
        low, high = landmarks[points].min(axis=0), landmarks[points].max(axis=0)
        half = max(float((high - low).max()) / 2, _MIN_HALF_SHARE * crop_size)
        half *= _EYE_ENLARGE if name.endswith("eye") else 1
        x, y = (low + high) / 2
        boxes[name] = [round(float(value), 3) for value in (x - half, y - half, x + half, y + half)]
    return boxes


def match_boxes(listed: Sequence[Sequence[float]], found: Sequence[Sequence[float]]) -> dict[int, int]:
    """For each detected face the listed box that belongs to it: index of the face -> index of the box.

    Boxes are left, top, right, bottom in photo pixels. A listed box belongs to the face with which it overlaps most.
    Where several belong to one face, the one with the largest overlap gets it (the first of equals), and the others get
    none. Overlap is intersection over union, at least MIN_OVERLAP: detectors frame faces more or less tightly, and
    another face in the photo hardly overlaps at all.
    """
    if not listed or not found:
        return {}
    overlap = overlaps(np.asarray(listed, np.float64)[:, None], np.asarray(found, np.float64)[None])
    face, best = overlap.argmax(axis=1), overlap.max(axis=1)
    worst_first = np.argsort(-best, kind="stable")[::-1]  # later entries replace earlier ones
    return {int(face[box]): int(box) for box in worst_first if best[box] >= MIN_OVERLAP}


def overlaps(boxes: np.ndarray[Any, Any], others: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Intersection over union (...) of boxes (..., 4) and others (..., 4)."""
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    area, other = (np.prod(some[..., 2:] - some[..., :2], axis=-1) for some in (boxes, others))
    return np.asarray(shared / (area + other - shared))
