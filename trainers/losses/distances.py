"""Distances between images pixel by pixel, to the nearer of two targets (ReFine), and between identities (ReFine)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def pixel_distances(one: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
    """Maps (B, 1, H, W) of the mean absolute difference over channels, from images (B, C, H, W) to each other one."""
    return [(one - other).abs().mean(1, keepdim=True) for other in others]


def spatial_minimum(to_truth: Tensor, to_reference: Tensor, valid: Tensor) -> Tensor:
    """`E[min(L(x^, x), L(x^, y_w))]`, ReFine, eq. 2, a scalar: the mean over all locations of all images.

    to_truth, to_reference: distances (B, 1, H, W) of the output to the truth and to the warped reference.
    valid: (B, 1, H, W), above 0 where the warped reference comes from within a reference; elsewhere only the truth
        counts (choice: the paper does not mention the edges of a warp).

    Where both distances are equal, each gets half of the gradient.
    """
    return torch.where(valid > 0, torch.minimum(to_truth, to_reference), to_truth).mean()


def identity_loss(a: Tensor, b: Tensor) -> Tensor:
    """Mean of 1 - cos(a, b) over embeddings (B, D): ReFine, eq. 4. A scalar in float32, 0 to 2.

    Pairs with a vector of zeros (no embedding) are ignored; 0 if no pair is left.
    """
    known = (a.any(dim=1) & b.any(dim=1)).float()
    cosines = functional.cosine_similarity(a.float(), b.float())
    return ((1 - cosines) * known).sum() / known.sum().clamp_min(1)
