"""The baselines beside every model: the degraded face, the warped reference pasted in, and the reference itself."""

from dataclasses import dataclass
from typing import Literal

import torch

from facerefs.pipeline.evaluation.methods.method import Kind, Outputs
from facerefs.pipeline.evaluation.samples import EvaluationBatch, as_saved
from facerefs.stages.engines.parsing.hull import face_hull

_FEATHER = 1 / 64  # of the side, the softness of the pasted face's border: choice


@dataclass(frozen=True)
class Baseline:
    """What everybody has without a model. points: the source of the landmarks for the warp, in words."""

    name: Literal["degraded", "pasted", "reference"]
    points: str
    kind: Kind = "baseline"
    path: str = ""
    references: int = 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What the baseline is."""
        return (
            {
                "degraded": "degraded: the degraded face, resized back bilinearly",
                "pasted": "pasted: the degraded face, with the face of the first reference warped onto its landmarks "
                f"({self.points})",
                "reference": "reference: the first reference, as it is",
            }[self.name],
        )

    def outputs(self, batch: EvaluationBatch) -> Outputs:
        """The degraded faces, or what is made of the first references, where there are any."""
        seen = batch.seen
        there = (seen.reference_count > 0).cpu()
        if self.name == "reference":
            return Outputs(batch.first_references, there)
        assert seen.degraded is not None  # noqa: S101 (the set gives them)
        assert seen.warped is not None  # noqa: S101
        assert seen.valid is not None  # noqa: S101
        if self.name == "degraded":
            return Outputs(as_saved(seen.degraded), torch.ones_like(there))
        side = seen.degraded.shape[-1]
        hull = face_hull(seen.seen_landmarks, side, side, feather_px=side * _FEATHER)
        share = hull * seen.valid[:, 0]
        return Outputs(as_saved(seen.degraded + (seen.warped[:, 0] - seen.degraded) * share), there)


def baselines(points: str) -> list[Baseline]:
    """All baselines, in the order in which tables show them."""
    return [Baseline("degraded", points), Baseline("pasted", points), Baseline("reference", points)]
