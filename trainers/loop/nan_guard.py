"""A watch for losses and gradients that are no numbers any more, which does not hold up the device."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed


class Diverged(Exception):  # noqa: N818  it is an answer to a person, not a fault of the program
    """Training came to losses or gradients that are no finite numbers: where, and what is left."""


class NanGuard:
    """Notes on the device the first step at which a phase went wrong; the host asks now and then."""

    def __init__(self, phases: Sequence[str], ranks: Distributed) -> None:
        self._phases = list(phases)
        self._ranks = ranks
        self._first_bad = torch.full((len(phases),), -1, dtype=torch.int64, device=ranks.device)

    def note(self, phase: int, step: int, loss: Tensor, norm: Tensor) -> None:
        """Take in a phase's loss and the norm of its gradients."""
        bad = ~(torch.isfinite(loss) & torch.isfinite(norm))
        first = self._first_bad[phase]
        self._first_bad[phase] = torch.where(bad & (first < 0), step, first)

    def check(self, networks: Sequence[nn.Module] = ()) -> str | None:
        """Where it went wrong first, the same on all ranks; None if all is well.

        networks: of which every parameter and buffer is looked at too.
        """
        marks = [float(mark) for mark in self._first_bad.tolist()]
        never = float("inf")
        # As negative numbers the earliest is the largest.
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
