"""Random landmark jitter, as augmentation: errors of detectors are smooth, and larger on degraded faces."""

from collections.abc import Sequence

import torch
from torch import Tensor

from facerefs.stages.degrade.operations.philox import BLOCK, uniform

# Choices, as shares of the variance: movement of the whole face (half of it shift, half rotation and scale), shifts of
# whole facial parts, and independent noise of each point.
FACE_SHARE, PART_SHARE, POINT_SHARE = 0.5, 0.3, 0.2

_PART_SIZES = (17, 5, 5, 9, 6, 6, 20)  # jaw, brows, nose, eyes, mouth: in the order of the 68 points
_COUNTS = [1, 1, len(_PART_SIZES), sum(_PART_SIZES)]  # pairs of numbers: shift, turn and scale, parts, points


def jitter_landmarks(landmarks: Tensor, sigma_px: float | Tensor, seeds: Sequence[int]) -> Tensor:
    """The jittered landmarks (B, 68, 2), floating: a pure function of each sample's seed (0 to 2**63 - 1).

    `sigma_px`, one number or one per sample (B,), is the standard deviation of each coordinate over the points of a
    face. The jitter is the sum of a similarity of the whole face about its centre, shifts of its seven parts and noise
    of each point. Random numbers are drawn on the CPU, so they are the same for every device.
    """
    drawn = torch.split(_normal(seeds, 2 * sum(_COUNTS)).view(-1, sum(_COUNTS), 2), _COUNTS, dim=1)
    parts = torch.repeat_interleave(drawn[2], torch.tensor(_PART_SIZES), dim=1)
    own = parts * PART_SHARE**0.5 + drawn[3] * POINT_SHARE**0.5
    shift, turn, own = (
        some.to(landmarks.device, landmarks.dtype, non_blocking=True) for some in (*drawn[:2], own)
    )

    spread = landmarks - landmarks.mean(1, keepdim=True)
    spread = spread / spread.square().sum(-1).mean(1).sqrt().clamp(min=1e-6)[:, None, None]
    real, imaginary = turn.unbind(-1)
    x, y = spread.unbind(-1)
    turned = torch.stack([real * x - imaginary * y, imaginary * x + real * y], dim=-1)
    moved: Tensor = (shift + turned) * (FACE_SHARE / 2) ** 0.5 + own
    sigma: Tensor = torch.as_tensor(sigma_px).to(landmarks)
    return landmarks + moved * sigma.view(-1, 1, 1)


def _normal(seeds: Sequence[int], count: int) -> Tensor:
    """`count` standard normal random numbers for each seed: float64 (B, count) on the CPU."""
    whole = -(-count // BLOCK) * BLOCK
    drawn = uniform(torch.tensor(seeds, dtype=torch.int64), [whole] * len(seeds), torch.float64)
    normal: Tensor = torch.special.ndtri(drawn)
    return normal.view(len(seeds), whole)[:, :count]
