"""Spatial minimum loss of ReFine: at each location the output is close to the ground truth or to the reference."""

import torch
from torch import Tensor


def spatial_minimum(to_truth: Tensor, to_reference: Tensor, valid: Tensor) -> Tensor:
    """`E[min(L(x^, x), L(x^, y_w))]`, eq. 2, a scalar: the mean over all locations of all images.

    to_truth, to_reference: distances (B, 1, H, W) of the output to the truth and to the warped reference.
    valid: (B, 1, H, W), above 0 where the warped reference comes from within a reference; elsewhere only the truth
        counts (choice: the paper says nothing of a warp's edges).

    Where both distances are alike, each gets half of the gradient.
    """
    return torch.where(valid > 0, torch.minimum(to_truth, to_reference), to_truth).mean()
