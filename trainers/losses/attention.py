"""Attention reconstruction: the reference, moved by the attention matrices, must look like the ground truth."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from facerefs.trainers.networks.attention import carried


def attention_reconstruction(
    reference: Tensor,
    truth: Tensor,
    extraction: Mapping[int, Tensor],
    distribution: Mapping[int, Tensor],
    over_sides: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """ENTED, eq. 11, a scalar in float32: at each side the mean absolute difference (choice), summed over the sides.

    over_sides: `mean` averages them instead, as the published code of Ren et al. 2022 does.

    reference, truth: images (B, 3, H, W), resized to each side bilinearly. extraction, distribution: the matrices
    (B, k, side * side) by side; at least one.
    """
    terms = []
    for side, taken in extraction.items():
        small, wanted = (
            interpolate(images.float(), (side, side), mode="bilinear", align_corners=False)
            for images in (reference, truth)
        )
        terms.append((wanted - carried(small, taken, distribution[side])).abs().mean())
    differences = torch.stack(terms)
    return differences.sum() if over_sides == "sum" else differences.mean()
