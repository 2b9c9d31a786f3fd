"""Memory shared between a worker and its parent process."""

import math

import torch
from torch import Tensor
from torch.utils.data import get_worker_info


def empty_shared(*shape: int) -> Tensor:
    """An uninitialised uint8 tensor; in a worker in shared memory, as torch's `default_collate` does it."""
    empty = torch.empty(0, dtype=torch.uint8)
    if get_worker_info() is None:
        return empty.resize_(shape)
    size = math.prod(shape)
    shared = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
    return empty.set_(shared, 0, (size,), (1,)).view(shape)
