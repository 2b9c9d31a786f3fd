"""The interface between a model and the loop: networks, optimisers, and the phases of a step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.points import PointsSource, jittered
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Networks: TypeAlias = Mapping[str, nn.Module]
Terms: TypeAlias = Mapping[str, Tensor]  # weighted scalars by name; their sum is the loss


@dataclass(frozen=True)
class Phase:
    """One update within a step: some networks are trained with one optimiser on one loss.

    name: such as `generator` or `r1`; in the log its terms are called NAME/TERM.
    networks: their parameters get gradients; all others are frozen during the phase, and parameters that the model
        froze stay frozen.
    loss: of a batch; random numbers come from torch's own generators, which the loop seeds before each call.
    interval: lazy regularisation: run only every `interval` steps, with the loss multiplied by `interval`.
    start_step, end_step: run only in steps after `start_step`, up to and including `end_step`; the first step is 1.
    force_fp32: run in float32 whatever the loop's precision, for second derivatives.
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
        """Whether the phase runs in a step; steps count from 1."""
        if step <= self.start_step or (self.end_step is not None and step > self.end_step):
            return False
        return step % self.interval == 0


@dataclass(frozen=True, eq=False)
class TrainingModule:
    """A model prepared for training.

    networks: all that are trained and stored in checkpoints. averaged: those of which a moving average is kept.
    phases: of each step, in this order.
    pictures: the columns of an image grid for a batch: images (B, 3, H, W) in [-1, 1] by name.
    scores: validation metrics for a batch: values (B,) by name; NaN where one does not apply to a sample.
    Both get the averages in place of the averaged networks, in eval mode and without gradients.
    points: source of the landmarks of degraded faces, onto which references are warped; in validation too, where jitter
        takes the place of the truth.
    check: called with some samples, at their stored size, before the first step; raises ValueError in one sentence if
        they cannot be used for training.
    notes_about: called with the same samples after `check`; returns further notes. Raises MissingWeights.
    notes: what a user must know about this run, such as which weights are random; written to log and checkpoint.
    halved_after: the learning rates of all optimisers are halved after each of these steps.
    between_steps: updates of networks outside the phases, such as a k-means: called with the step after its phases, on
        all ranks; the networks must stay the same on all ranks. It must not keep a state of its own.
    """

    networks: Networks
    averaged: tuple[str, ...]
    optimisers: Mapping[str, Optimizer]
    phases: Sequence[Phase]
    pictures: Callable[[Networks, DeviceBatch], Mapping[str, Tensor]]
    scores: Callable[[Networks, DeviceBatch], Mapping[str, Tensor]]
    notes: tuple[str, ...] = ()
    points: PointsSource = field(default_factory=jittered)
    check: Callable[[DeviceBatch], None] | None = None
    notes_about: Callable[[DeviceBatch], tuple[str, ...]] | None = None
    halved_after: tuple[int, ...] = ()
    between_steps: Callable[[int, Distributed], None] | None = None


class Trainable:
    """The trainable parameters of the networks: those that the model had not frozen when training began."""

    def __init__(self, networks: Networks) -> None:
        self._of = {name: _learning(network) for name, network in networks.items()}

    def of(self, phase: Phase) -> list[nn.Parameter]:
        """The parameters that a phase trains, in the order of its networks."""
        return [parameter for name in phase.networks for parameter in self._of[name]]

    @contextmanager
    def only(self, phase: Phase) -> Iterator[None]:
        """A context in which only the phase's parameters require gradients; afterwards all trainable ones do again."""
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
