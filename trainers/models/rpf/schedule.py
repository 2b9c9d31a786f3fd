"""RPF's schedule as data (section IV.B): which module learns in which steps, from which samples."""

from dataclasses import dataclass
from typing import Literal

from facerefs.trainers.loop.settings import Positive

Module = Literal["warping", "synthesis", "refinement"]
Stage = Literal["refinement", "reference"]


@dataclass(frozen=True)
class TrainingStage:
    """One module learns, in the steps after `start_step` up to `end_step`; all other modules are frozen.

    samples: what it trains on: `single` faces, degraded and true, or `pairs` with a reference.
    """

    module: Module
    block: int  # from 1
    start_step: int
    end_step: int
    samples: Literal["single", "pairs"]

    @property
    def steps(self) -> int:
        """The number of steps in which it learns."""
        return self.end_step - self.start_step

    @property
    def network(self) -> str:
        """The name of the network that learns."""
        return f"{self.module}_{self.block}"

    @property
    def critic(self) -> str | None:
        """The name of its critic, which learns in the same steps; None for a warping module."""
        return None if self.module == "warping" else f"{self.module}_critic_{self.block}"


@dataclass(frozen=True)
class Schedule:
    """Steps of each module, and the stages of a run.

    The paper trains five epochs, on 70,000 single faces and on 27,291 pairs, one step each. The stage `reference` alone
    starts from `weights.refinement`.
    """

    stages: tuple[Stage, ...] = ("refinement", "reference")
    """Stages of the run: `refinement` trains the refinement modules on single faces, `reference` the modules that use
    a reference."""
    refinement_steps: Positive = 350_000
    """Steps of all refinement modules, which are trained at the same time."""
    warping_steps: Positive = 136_455
    """Steps of the warping module of each block."""
    synthesis_steps: Positive = 136_455
    """Steps of the synthesis module of each block."""


def training_stages(schedule: Schedule, blocks: int) -> tuple[TrainingStage, ...]:
    """The paper's schedule as data.

    First all refinement modules, independently but in the same steps (choice: none depends on another, so each batch is
    read only once). Then, from the coarsest block to the finest, warping, and after it synthesis.
    """
    stages: list[TrainingStage] = []
    begin = 0
    if "refinement" in schedule.stages:
        begin = schedule.refinement_steps
        stages += [TrainingStage("refinement", block, 0, begin, "single") for block in range(1, blocks + 1)]
    if "reference" in schedule.stages:
        for block in range(1, blocks + 1):
            middle = begin + schedule.warping_steps
            end = middle + schedule.synthesis_steps
            stages.append(TrainingStage("warping", block, begin, middle, "pairs"))
            stages.append(TrainingStage("synthesis", block, middle, end, "pairs"))
            begin = end
    return tuple(stages)
