"""Where the landmarks of degraded faces come from: nobody who restores a face has those of the clean one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from facerefs.trainers.geometry.jitter import jitter_landmarks
from facerefs.trainers.metrics.nme import eye_distance

DETECTOR_NME = 0.05
"""Mean error of `train landmarks` on rendered faces, of all strengths of the recipe `refine` (docs/performance.md)."""

# The mean length of a normal error with two coordinates, in standard deviations of one of them.
_LENGTH = math.sqrt(math.pi / 2)


@dataclass(frozen=True, eq=False)
class PointsSource:
    """Finds the landmarks of degraded faces.

    kind: short, for the names of figures. name: for the user. find: landmarks (B, 68, 2) of the clean faces, degraded
    faces (B, 3, H, W) in [-1, 1] and a seed for each (0 to 2**63 - 1) -> (B, 68, 2), the same for the same arguments.
    instead: the source that takes its place in validation; None if a user has this one too.
    """

    kind: Literal["truth", "jitter", "detector"]
    name: str
    find: Callable[[Tensor, Tensor, Sequence[int]], Tensor]
    instead: "PointsSource | None" = None

    @property
    def note(self) -> str:
        """What the log and the checkpoint say."""
        ending = "" if self.instead is None else f"; in validation {self.instead.name}"
        return f"landmarks of degraded faces: {self.name}{ending}"

    @property
    def at_test(self) -> "PointsSource":
        """The source for validation: one that a user has, too."""
        return self if self.instead is None else self.instead


def jittered(nme: float = DETECTOR_NME) -> PointsSource:
    """The landmarks of the clean faces, moved as a detector errs.

    nme: mean error, as a share of the distance between the outer corners of the eyes.
    """

    def find(truth: Tensor, _degraded: Tensor, seeds: Sequence[int]) -> Tensor:
        return jitter_landmarks(truth, eye_distance(truth) * (nme / _LENGTH), seeds)

    return PointsSource("jitter", f"jitter, those of the clean faces with a mean error of {nme:.1%}", find)


def detected(run: str, finder: Callable[[Tensor], Tensor]) -> PointsSource:
    """The landmarks that a detector finds. run: its name for the user. finder: degraded faces -> (B, 68, 2)."""

    @torch.no_grad()
    def find(truth: Tensor, degraded: Tensor, _seeds: Sequence[int]) -> Tensor:
        return finder(degraded).to(truth)

    return PointsSource("detector", f"detector, the run {run}", find)


def true(nme: float = DETECTOR_NME) -> PointsSource:
    """The landmarks of the clean faces, for targets of losses and for comparison; in validation they are jittered."""

    def find(truth: Tensor, _degraded: Tensor, _seeds: Sequence[int]) -> Tensor:
        return truth

    return PointsSource("truth", "truth, those of the clean faces", find, jittered(nme))


TRUTH = true()
