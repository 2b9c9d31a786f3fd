"""Distances between images pixel by pixel, to the nearer of two targets (ReFine), and between identities."""

import math
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


def embedding_distance(a: Tensor, b: Tensor) -> Tensor:
    """|phi(X) - phi(X')|_1, a scalar, of unit vectors (B, D): pose-varied, eq. 15, and RPF, eq. 9.

    Choice: the mean over their elements, scaled to a mean square of 1, as embeddings have it before they are
    normalised. So the papers' weights, 10 beside 8 for the pixels and 1 beside 1, are in proportion for any D.
    """
    return math.sqrt(a.shape[1]) * (a - b).abs().mean()
