"""The training loop: for each step, read batches, run the phases in order, update the averages, call a hook."""

from collections.abc import Callable, Sequence

import torch

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.metric_averager import MetricAverager
from facerefs.trainers.loop.nan_guard import NanGuard
from facerefs.trainers.loop.optimisers import at_rate, average_gradients, clipped_norm, halvings
from facerefs.trainers.loop.precision import computing
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.loop.settings import Loop
from facerefs.trainers.loop.training_module import Phase, Trainable, TrainingModule
from facerefs.trainers.stream.batches.device import DeviceBatches
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


def run_loop(
    training_module: TrainingModule,
    averages: EMA,
    batches: DeviceBatches,
    images: int,
    step: int,
    loop: Loop,
    ranks: Distributed,
    after: Callable[[int, bool, MetricAverager, NanGuard], None],
    stop: Callable[[], bool],
) -> int:
    """Train from the step after `step` on; returns the last step done: `loop.steps`, or earlier if `stop()` was true.

    images: in a batch, over all ranks. after: called after each step with the step, whether it is the last one, the
    metrics and the NaN guard. If it raises an error such as Diverged, it does so on all ranks, which ends the loop.
    """
    update = Update(training_module, loop, ranks)
    stopping = step >= loop.steps
    while not stopping:
        step += 1
        drawn = [next(batches) for _ in range(loop.accumulate)]
        for number, phase in enumerate(training_module.phases):
            if phase.due(step):
                update(number, phase, step, drawn)
        if training_module.between_steps is not None:
            seed_torch(loop.seed, "between steps", step)
            training_module.between_steps(step, ranks)
        averages.update(training_module.networks, images * loop.accumulate)
        stopping = ranks.any(stop()) or step == loop.steps
        after(step, stopping, update.means, update.guard)
    return step


class Update:
    """Runs one phase of one step, and records its metrics."""

    def __init__(self, training_module: TrainingModule, loop: Loop, ranks: Distributed) -> None:
        self._trainee, self._loop, self._ranks = training_module, loop, ranks
        self._trainable = Trainable(training_module.networks)
        self.means = MetricAverager()
        self.guard = NanGuard([phase.name for phase in training_module.phases], ranks)

    def __call__(self, number: int, phase: Phase, step: int, batches: Sequence[DeviceBatch]) -> None:
        """Update the phase's networks by one step of its optimiser."""
        loop, ranks = self._loop, self._ranks
        parameters = self._trainable.of(phase)
        losses = []
        with self._trainable.only(phase):
            for at, batch in enumerate(batches):
                seed_torch(loop.seed, phase.name, step, at, ranks.rank)
                with computing(loop, ranks.device, phase.force_fp32):
                    terms = phase.loss(batch)
                    loss = (
                        phase.interval
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
