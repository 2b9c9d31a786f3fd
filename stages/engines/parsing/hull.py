"""A mask of the face region, from its 68 landmarks."""

import math

import torch
from torch import Tensor

FOREHEAD = 0.5
_DIRECTIONS = 720
_JAW_ENDS = slice(0, 17, 16)  # beside the ears
_CHIN = 8
_BROWS = slice(17, 27)
_INNER_BROWS = slice(21, 23)
_TEMPLES = 0.85  # the ellipse's width, as a multiple of the distance between the ears


@torch.no_grad()
def face_hull(
    landmarks: Tensor, height: int, width: int, forehead: float = FOREHEAD, feather_px: float = 0.0
) -> Tensor:
    """Masks of faces: the convex hull of the landmarks, extended over the forehead.

    landmarks: (B, 68, 2) floating, in pixels. Returns float32 (B, 1, height, width), 1 on pixels whose centre
    lies in the hull, else 0. The forehead extends above the middle of the brows by `forehead` times the distance
    from there to the chin (choice: in the classical proportions of a face, hairline to brows = brows to nose = nose
    to chin, this is 0.5; on real photos it reaches the hairline). `feather_px` is the standard deviation of a Gaussian
    blur.
    """
    points = landmarks.float()
    if forehead > 0:
        points = torch.cat([points, _forehead(points, forehead)], dim=1)
    mask = _hull(points, height, width)
    if feather_px > 0:
        mask = _smooth(height, feather_px, mask) @ mask @ _smooth(width, feather_px, mask).mT
    return mask


def _forehead(points: Tensor, height: float) -> Tensor:
    """Points (B, 23, 2) around the forehead: the brows, raised, and half an ellipse over the ears.

    On a turned head, the brows alone would cut off the visible temple, and the ellipse alone the side turned away.
    """
    brow = points[:, _INNER_BROWS].mean(1, keepdim=True)
    up = brow - points[:, _CHIN, None]
    across = 0.85 * (_counted(10, points) / 4.5 - 1)
    heights = (1 - across.square()).sqrt().to(points.dtype)[:, None]  # lower to the temples
    raised = points[:, _BROWS] + height * heights * up

    left, right = points[:, _JAW_ENDS].unsqueeze(2).unbind(1)
    middle = (left + right) / 2
    level = ((brow - middle) * up).sum(-1, keepdim=True) / up.square().sum(-1, keepdim=True).clamp(min=1e-6)
    arc = (math.pi * _counted(13, points) / 12).to(points.dtype)[:, None]
    ellipse = middle + arc.cos() * _TEMPLES * (right - left) / 2 + arc.sin() * (height + level) * up
    return torch.cat([raised, ellipse], dim=1)


def _counted(count: int, like: Tensor) -> Tensor:
    """0, 1, ... `count` - 1 in float64, created on the device: a copy from the host would make a GPU wait."""
    return torch.arange(count, device=like.device, dtype=torch.float64)


def _hull(points: Tensor, height: int, width: int) -> Tensor:
    """The mask of the convex hull of points (B, N, 2): float32 (B, 1, height, width).

    The hull is where p . d <= max_i p_i . d for all directions d: here half a degree apart, which adds 0.3 px
    at most in the middle of an edge of 150 px. So each row of pixels has a first and a last x in the hull.
    """
    angles = (torch.arange(_DIRECTIONS, device=points.device) + 0.5) * (2 * math.pi / _DIRECTIONS)
    across, down = angles.cos(), angles.sin()
    # No matrix product: autocast, or TF32, would round pixels.
    reach = (points[..., :1] * across + points[..., 1:] * down).amax(1)
    rows = torch.arange(height, device=points.device, dtype=points.dtype)
    bound = (reach[:, None] - rows[:, None] * down) / across
    right = across > 0
    last = torch.where(right, bound, math.inf).amin(-1)[:, :, None]
    first = torch.where(right, -math.inf, bound).amax(-1)[:, :, None]
    columns = torch.arange(width, device=points.device, dtype=points.dtype)
    return ((columns >= first) & (columns <= last)).float()[:, None]


def _smooth(length: int, sigma_px: float, like: Tensor) -> Tensor:
    """The matrix (length, length) of a Gaussian blur; pixels outside the image have no weight."""
    pixels = torch.arange(length, device=like.device, dtype=like.dtype)
    return torch.softmax(-((pixels[:, None] - pixels) / sigma_px).square() / 2, dim=-1)
