"""Boxes of eyes and mouth from the 68 landmarks, for regions of interest."""

import torch
from torch import Tensor

from facerefs.stages.faces.boxes import EYE_ENLARGE, MIN_HALF_SHARE
from facerefs.stages.faces.geometry import LEFT_EYE, RIGHT_EYE

_PARTS = ((LEFT_EYE, EYE_ENLARGE), (RIGHT_EYE, EYE_ENLARGE), (slice(48, 68), 1.0))


def component_boxes(landmarks: Tensor, size_px: int) -> Tensor:
    """Square boxes of the left eye, the right eye and the mouth: (B, 68, 2) floating -> (B, 3, 4).

    A box is left, top, right, bottom in pixels. The definition of `stages.faces.boxes.component_boxes`, which rounds
    to thousandths, for images of `size_px`; torchvision's `roi_align` takes `list(boxes)` with `aligned=True`
    once 0.5 is added, as its pixel centres lie at halves.
    """
    return torch.stack([_box(landmarks[:, part], enlarge, size_px) for part, enlarge in _PARTS], dim=1)


def _box(points: Tensor, enlarge: float, size_px: int) -> Tensor:
    low, high = points.amin(1), points.amax(1)
    half = ((high - low).amax(-1, keepdim=True) / 2).clamp(min=MIN_HALF_SHARE * size_px) * enlarge
    centre = (low + high) / 2
    return torch.cat([centre - half, centre + half], dim=-1)
