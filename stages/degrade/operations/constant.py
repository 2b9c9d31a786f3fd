"""Small tensors of given numbers, beside images."""

from typing import Any

import torch
from torch import Tensor


def constant(values: Any, like: Tensor) -> Tensor:
    """The numbers `values`, (nested) tuples or lists, as `like.new_tensor(values)` makes them.

    Unlike there, the host does not wait for a GPU. CUDA puts ordinary memory aside before the call returns ("API
    synchronization behavior" in its documentation), so the numbers may be freed then.
    """
    return torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True)
