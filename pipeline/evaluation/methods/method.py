"""The interface of what is judged."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from torch import Tensor

from facerefs.pipeline.evaluation.samples import EvaluationBatch

Kind: TypeAlias = Literal["baseline", "run", "folder"]


@dataclass(frozen=True, eq=False)
class Outputs:
    """The faces that a method makes of a batch, as they are saved: images (B, 3, S, S) uint8 on the CPU.

    present: (B,) bool, whether there is an output; where there is none, the image is black.
    """

    images: Tensor
    present: Tensor


class Method(Protocol):
    """What is judged. notes: what the user is told of it."""

    @property
    def name(self) -> str:
        """Its name in the tables."""

    @property
    def kind(self) -> Kind:
        """What it is."""

    @property
    def path(self) -> str:
        """Where it is; empty for a baseline."""

    @property
    def references(self) -> int:
        """How many references it takes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user is told of it, in sentences."""

    def outputs(self, batch: EvaluationBatch) -> Outputs:
        """Its faces for a batch. Raises UserError."""
