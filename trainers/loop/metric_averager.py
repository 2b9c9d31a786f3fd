"""Means of scalars that are summed on the device, so that the host does not wait for each value."""

import torch
from torch import Tensor

from facerefs.trainers.distributed import Distributed


class MetricAverager:
    """The sum and the count of scalars, by name."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add one scalar of any floating dtype."""
        value = value.detach().double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def take(self, ranks: Distributed) -> dict[str, float]:
        """The means by name over all ranks, which must have added the same names; resets. Waits for the device."""
        names = sorted(self._sums)
        sums = torch.stack([self._sums[name] for name in names]).tolist() if names else []
        means = ranks.means([total / self._counts[name] for name, total in zip(names, sums, strict=True)])
        self._sums, self._counts = {}, {}
        return dict(zip(names, means, strict=True))
