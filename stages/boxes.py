"""Boxes: of eyes and mouth from the 68 landmarks, and which detected face a listed box means."""

from collections.abc import Sequence
from typing import Any

import numpy as np

EYE_ENLARGE = 1.4
MIN_HALF_SHARE = 16 / 512
MIN_OVERLAP = 0.2
_POINTS = {"left_eye": slice(36, 42), "right_eye": slice(42, 48), "mouth": slice(48, 68)}


def component_boxes(landmarks: np.ndarray[Any, Any], crop_size: int) -> dict[str, list[float]]:
    """Square boxes left, top, right, bottom in crop pixels around the centres of the eyes and of the mouth.

    `landmarks` (68, 2) in crop pixels. A box reaches as far as its points do, at least 16 px each way at 512,
    and eyes are enlarged 1.4 times (the pose-varied network's local discriminators take their regions so, as
    GFPGAN does). "Left" is the left of the image, as in the iBUG numbering: the person's right eye.
    """
    boxes = {}
    for name, points in _POINTS.items():
        low, high = landmarks[points].min(axis=0), landmarks[points].max(axis=0)
        half = max(float((high - low).max()) / 2, MIN_HALF_SHARE * crop_size)
        half *= EYE_ENLARGE if name.endswith("eye") else 1
        x, y = (low + high) / 2
        boxes[name] = [round(float(value), 3) for value in (x - half, y - half, x + half, y + half)]
    return boxes


def matching(listed: Sequence[float], found: Sequence[Sequence[float]]) -> list[int]:
    """Index of the face that a list means: the one with the largest overlap, or none -> 0 or 1 index.

    Boxes are left, top, right, bottom in photo pixels. Overlap is intersection over union, at least MIN_OVERLAP:
    detectors frame faces more or less tightly, and another face in the photo hardly overlaps at all.
    """
    if not found:
        return []
    boxes, box = np.asarray(found, dtype=np.float64), np.asarray(listed, dtype=np.float64)
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    overlap = shared / (areas - shared)
    best = int(overlap.argmax())
    return [best] if overlap[best] >= MIN_OVERLAP else []
