"""What the loop knows of a model: its networks, their optimisers, and the phases of a step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Networks: TypeAlias = Mapping[str, nn.Module]
Terms: TypeAlias = Mapping[str, Tensor]  # weighted scalars by name; their sum is the loss


@dataclass(frozen=True)
class Phase:
    """One update within a step: these networks learn by this optimiser from this loss.

    name: such as `generator` or `r1`; in the log its terms are called NAME/TERM.
    networks: whose parameters get gradients; all others are frozen meanwhile, and what a model froze stays frozen.
    loss: of a batch; chances come from torch's own generators, which the loop seeds anew for each call.
    interval: lazy regularisation: only every so many steps, its loss then multiplied by as many.
    start_step, end_step: only in the steps after the one and up to the other; the first step is 1.
    force_fp32: in float32 whatever the loop's precision, as second derivatives need it.
    """

    name: str
    optimiser: str
    networks: tuple[str, ...]
    loss: Callable[[DeviceBatch], Terms]
    interval: int = 1
    force_fp32: bool = False
    start_step: int = 0
    end_step: int | None = None

    def due(self, step: int) -> bool:
        """Whether it is part of a step, which count from 1."""
        if step <= self.start_step or (self.end_step is not None and step > self.end_step):
            return False
        return step % self.interval == 0


@dataclass(frozen=True, eq=False)
class TrainingModule:
    """A model that is ready to be trained.

    networks: all that learn, and that a checkpoint holds. averaged: of which a moving average is kept.
    phases: of each step, in this order.
    pictures: what a grid shows of a batch, column by column: images (B, 3, H, W) in [-1, 1] by name.
    scores: what validation measures: figures (B,) by name; NaN where one does not apply to a sample.
    Both get the averaged networks in place of those that are averaged, in eval mode and without gradients.
    check: looks at some samples, of the size at which they are stored, before the first step; raises ValueError in one
        sentence if they cannot be learnt from.
    notes: what a user must know of this run, such as which weights are random; they go into log and checkpoint.
    halved_after: the learning rates of all optimisers are halved after each of these steps.
    between_steps: what happens to networks besides their phases, such as a k-means: is told of each step after its
        phases, on all ranks, and leaves their networks alike. It must not keep a state of its own.
    """

    networks: Networks
    averaged: tuple[str, ...]
    optimisers: Mapping[str, Optimizer]
    phases: Sequence[Phase]
    pictures: Callable[[Networks, DeviceBatch], Mapping[str, Tensor]]
    scores: Callable[[Networks, DeviceBatch], Mapping[str, Tensor]]
    notes: tuple[str, ...] = ()
    check: Callable[[DeviceBatch], None] | None = None
    halved_after: tuple[int, ...] = ()
    between_steps: Callable[[int, Distributed], None] | None = None


class Trainable:
    """What of the networks learns at all, as the model left it when training begins."""

    def __init__(self, networks: Networks) -> None:
        self._of = {name: _learning(network) for name, network in networks.items()}

    def of(self, phase: Phase) -> list[nn.Parameter]:
        """The parameters that a phase moves, in the order of its networks."""
        return [parameter for name in phase.networks for parameter in self._of[name]]

    @contextmanager
    def only(self, phase: Phase) -> Iterator[None]:
        """Within, only the phase's parameters ask for gradients; afterwards all do that did at the beginning."""
        self._ask(phase.networks)
        try:
            yield
        finally:
            self._ask(tuple(self._of))

    def _ask(self, names: tuple[str, ...]) -> None:
        for name, parameters in self._of.items():
            for parameter in parameters:
                parameter.requires_grad_(name in names)


def _learning(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
