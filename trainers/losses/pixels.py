"""The plainest distance between images, for runs without pretrained features."""

from collections.abc import Sequence

from torch import Tensor


def pixel_distances(one: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
    """Mean absolute differences over the channels: images (B, C, H, W) -> (B, 1, H, W) to each of the others."""
    return [(one - other).abs().mean(1, keepdim=True) for other in others]
