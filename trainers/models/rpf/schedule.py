"""RPF's schedule as data (section IV.B): which module learns in which steps, from which samples."""

from dataclasses import dataclass
from typing import Literal

from facerefs.trainers.loop.settings import Positive

Module = Literal["warping", "synthesis", "refinement"]
Stage = Literal["refinement", "reference"]


@dataclass(frozen=True)
class TrainingStage:
    """One module learns, in the steps after the one and up to the other; all else is frozen meanwhile.

    samples: what of a sample it sees: `single` faces, degraded and true, or `pairs` with a reference.
    """

    module: Module
    block: int  # from 1
    start_step: int
    end_step: int
    samples: Literal["single", "pairs"]

    @property
    def steps(self) -> int:
        """How many steps it learns."""
        return self.end_step - self.start_step

    @property
    def network(self) -> str:
        """The name of the network that learns."""
        return f"{self.module}_{self.block}"

    @property
    def critic(self) -> str | None:
        """The network that judges it meanwhile, and learns in the same steps; a warping module has none."""
        return None if self.module == "warping" else f"{self.module}_critic_{self.block}"


@dataclass(frozen=True)
class Schedule:
    """Steps of each module, and which stages a run has.

    The paper's five epochs are of 70,000 single faces and of 27,291 pairs, each a step. `reference` alone starts from
    `weights.refinement`.
    """

    stages: tuple[Stage, ...] = ("refinement", "reference")
    """What a run trains: the refinement modules on single faces, the modules that see a reference, or both in
    turn."""
    refinement_steps: Positive = 350_000
    """Steps of all refinement modules, which learn at the same time."""
    warping_steps: Positive = 136_455
    """Steps of the warping module of each block."""
    synthesis_steps: Positive = 136_455
    """Steps of the synthesis module of each block."""


def training_stages(schedule: Schedule, blocks: int) -> tuple[TrainingStage, ...]:
    """The paper's schedule as data.

    First all refinement modules, each on its own and in the same steps (choice: none depends on another, and so a batch
    is read once for all). Then, from the coarsest block to the finest, warping, and after it synthesis.
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
