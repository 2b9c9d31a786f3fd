"""Layers that compute in float32 under autocast, because their outputs are read as numbers and not as features.

bfloat16 has 8 significant bits: between 64 and 128, two neighbouring values are 0.5 apart. That is enough for features,
which many layers mix, but not for a coordinate, the logits of a place, or features whose nearest code is looked for.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def in_float32(layer: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """The layer's output for values (B, ...) in float32 or better, also under autocast."""
    exact = values.to(torch.promote_types(values.dtype, torch.float32))
    if not torch.amp.is_autocast_available(exact.device.type):  # such as `meta`
        return layer(exact)
    with torch.autocast(exact.device.type, enabled=False):
        return layer(exact)
