"""The training loop: batches in, phases in their order, averages, and at times a look, a validation, a checkpoint."""

from collections.abc import Callable, Sequence

import torch

from facerefs.trainers.distributed import Ranks
from facerefs.trainers.loop.adam import at_rate, halvings
from facerefs.trainers.loop.ema import Averages
from facerefs.trainers.loop.gradients import average_gradients, clipped_norm
from facerefs.trainers.loop.metric_averager import Means
from facerefs.trainers.loop.nan_guard import Guard
from facerefs.trainers.loop.phases import Trainable
from facerefs.trainers.loop.precision import computing
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.loop.settings import Loop
from facerefs.trainers.loop.training_module import Phase, Trainee
from facerefs.trainers.stream.batches.device import DeviceBatches
from facerefs.trainers.stream.batches.device_batch import ReadyBatch


def run_loop(
    trainee: Trainee,
    averages: Averages,
    batches: DeviceBatches,
    images: int,
    step: int,
    loop: Loop,
    ranks: Ranks,
    after: Callable[[int, bool, Means, Guard], None],
    stop: Callable[[], bool],
) -> int:
    """Train from the step after `step` on; returns the last step, the settings' one unless `stop` said so.

    images: of a batch, over all ranks. after: is told of each step, whether it is the last one, what its phases came to
    and what watches over them. Whatever it raises, as Diverged, it raises on all ranks, and that ends the loop.
    """
    update = Update(trainee, loop, ranks)
    stopping = step >= loop.steps
    while not stopping:
        step += 1
        drawn = [next(batches) for _ in range(loop.accumulate)]
        for number, phase in enumerate(trainee.phases):
            if phase.due(step):
                update(number, phase, step, drawn)
        if trainee.between_steps is not None:
            seed_torch(loop.seed, "between steps", step)
            trainee.between_steps(step, ranks)
        averages.update(trainee.networks, images * loop.accumulate)
        stopping = ranks.any(stop()) or step == loop.steps
        after(step, stopping, update.means, update.guard)
    return step


class Update:
    """One phase of one step, and what is noted of it."""

    def __init__(self, trainee: Trainee, loop: Loop, ranks: Ranks) -> None:
        self._trainee, self._loop, self._ranks = trainee, loop, ranks
        self._trainable = Trainable(trainee.networks)
        self.means = Means()
        self.guard = Guard([phase.name for phase in trainee.phases], ranks)

    def __call__(self, number: int, phase: Phase, step: int, batches: Sequence[ReadyBatch]) -> None:
        """Move the phase's networks by one step of its optimiser."""
        loop, ranks = self._loop, self._ranks
        parameters = self._trainable.of(phase)
        losses = []
        with self._trainable.only(phase):
            for at, batch in enumerate(batches):
                seed_torch(loop.seed, phase.name, step, at, ranks.rank)
                with computing(loop, ranks.device, phase.exact):
                    terms = phase.loss(batch)
                    loss = (
                        phase.every
                        / len(batches)
                        * torch.stack([term.float() for term in terms.values()]).sum()
                    )
                loss.backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
                for name, term in terms.items():
                    self.means.add(f"{phase.name}/{name}", term)
        average_gradients(parameters, ranks)
        norm = clipped_norm(parameters, loop.clip_norm)
        self.guard.note(number, step, torch.stack(losses).sum(), norm)
        self.means.add(f"{phase.name}/gradient_norm", norm)
        optimiser = self._trainee.optimisers[phase.optimiser]
        with at_rate(optimiser, halvings(self._trainee.halved_after, step)):
            optimiser.step()
        for parameter in parameters:
            parameter.grad = None
