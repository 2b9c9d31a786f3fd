"""Detects losses and gradients that are not finite, without making the host wait for the device at each step."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed


class Diverged(Exception):  # noqa: N818  a message for the user, not a bug
    """Losses, gradients or weights are no longer finite: says where, and which checkpoint is the last good one."""


class NanGuard:
    """Records on the device the first step at which each phase was not finite; the host reads it now and then."""

    def __init__(self, phases: Sequence[str], ranks: Distributed) -> None:
        self._phases = list(phases)
        self._ranks = ranks
        self._first_bad = torch.full((len(phases),), -1, dtype=torch.int64, device=ranks.device)

    def note(self, phase: int, step: int, loss: Tensor, norm: Tensor) -> None:
        """Record whether a phase's loss and gradient norm are finite."""
        bad = ~(torch.isfinite(loss) & torch.isfinite(norm))
        first = self._first_bad[phase]
        self._first_bad[phase] = torch.where(bad & (first < 0), step, first)

    def check(self, networks: Sequence[nn.Module] = ()) -> str | None:
        """A phrase that says where values first were not finite, the same on all ranks; None if all are finite.

        networks: their parameters and buffers are checked, too.
        """
        marks = [float(mark) for mark in self._first_bad.tolist()]
        never = float("inf")
        # Negated, so that the earliest step is the maximum over the ranks.
        earliest = self._ranks.largest([-(mark if mark >= 0 else never) for mark in marks])
        if any(mark > -never for mark in earliest):
            mark = max(earliest)
            phase = self._phases[earliest.index(mark)]
            return f"at step {-mark:.0f} the loss or the gradients of phase {phase} were no finite numbers"
        if self._ranks.any(not _finite(networks)):
            return "weights of the networks are no finite numbers"
        return None


def _finite(networks: Sequence[nn.Module]) -> bool:
    checks = [
        torch.isfinite(tensor).all()
        for network in networks
        for tensor in network.state_dict().values()
        if tensor.is_floating_point()
    ]
    return bool(torch.stack(checks).all()) if checks else True
