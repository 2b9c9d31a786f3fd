"""Prepare a sample in a worker: choose references, decode, mirror, crop, draw a degradation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from facerefs.schemas.sample import MAX_REFERENCES, MAX_SIDE_PX
from facerefs.stages.degrade.draws import derive_seed
from facerefs.stages.degrade.draws import draw as draw_theta
from facerefs.stages.degrade.recipe import Recipe
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.augment import crop, mirror
from facerefs.trainers.stream.samples.decode import (
    decode_sample,
    stored_references,
    synthesised_references,
)
from facerefs.trainers.stream.samples.reduce import reduced
from facerefs.trainers.stream.samples.sample import Sample


class Prepared(NamedTuple):
    """A sample with its position in the stream."""

    position: int
    sample: Sample
    seed: int  # 0 to 2**63 - 1, of this draw: for what the device draws for the sample


@dataclass(frozen=True)
class FacePreparation:
    """Settings of a face sample; calling it prepares one. All random numbers are pure functions of (seed, position).

    size_px: side of the stored faces; a sample of another size is a `BadSample`.
    references: the number of references. reference_choice: `best` takes the first as stored (best first); `random` and
        `rank` draw distinct ones, `rank` with `rank_weights` as weights of the best, the second and so on (references
        without a weight are never drawn; () means 1 / (rank + 1)). A sample with fewer references gives those it has,
        and the batch is padded; with `require_references` it is a `BadSample`.
    synthesised_share: probability that references are of those made from the target, if the sample has enough of both
        kinds; None does not tell them apart.
    flip_chance: probability to mirror the target. flip_references: `with` the target, `alone` (with the same
        probability, drawn independently), or `never`.
    reduce_px: side to which all faces are reduced first; None keeps the stored size.
    crop_px: side of a crop window at a random place, the same for target and references; None is the whole face.
    degradation: `stored`, or a recipe or its name: then theta is drawn from (seed, key, position), and the stored
        degraded face is not decoded.

    Raises ValueError, in one sentence, for invalid settings.
    """

    seed: int = 0
    size_px: int = 512
    references: int = 1
    reference_choice: Literal["best", "random", "rank"] = "best"
    rank_weights: tuple[float, ...] = ()
    synthesised_share: float | None = None
    require_references: bool = False
    flip_chance: float = 0.5
    flip_references: Literal["with", "alone", "never"] = "with"
    reduce_px: int | None = None
    crop_px: int | None = None
    degradation: str | Recipe = "stored"

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= MAX_SIDE_PX:
            raise ValueError(f"size_px is from 1 to {MAX_SIDE_PX}, not {self.size_px}")
        if not 0 <= self.references <= MAX_REFERENCES:
            raise ValueError(f"references is from 0 to {MAX_REFERENCES}, not {self.references}")
        if self.reference_choice not in ("best", "random", "rank"):
            raise ValueError(f"reference_choice is best, random or rank, not {self.reference_choice!r}")
        if self.rank_weights and self.reference_choice != "rank":
            raise ValueError(f"rank_weights need reference_choice rank, not {self.reference_choice}")
        if not all(0 < weight < float("inf") for weight in self.rank_weights):
            raise ValueError(f"rank_weights are positive, not {self.rank_weights}")
        if self.synthesised_share is not None and not 0 <= self.synthesised_share <= 1:
            raise ValueError(f"synthesised_share is from 0 to 1, not {self.synthesised_share}")
        if not 0 <= self.flip_chance <= 1:
            raise ValueError(f"flip_chance is from 0 to 1, not {self.flip_chance}")
        if self.flip_references not in ("with", "alone", "never"):
            raise ValueError(f"flip_references is with, alone or never, not {self.flip_references!r}")
        if isinstance(self.degradation, str) and self.degradation not in ("stored", *RECIPES):
            known = ", ".join(("stored", *RECIPES))
            raise ValueError(f"degradation is one of {known}, or a recipe, not {self.degradation!r}")
        self._check_window("reduce_px", self.reduce_px, "size_px", self.size_px)
        self._check_window("crop_px", self.crop_px, *self._largest_crop())

    def _largest_crop(self) -> tuple[str, int]:
        return ("size_px", self.size_px) if self.reduce_px is None else ("reduce_px", self.reduce_px)

    def _check_window(self, name: str, side_px: int | None, limit: str, limit_px: int) -> None:
        if side_px is None:
            return
        if not 0 < side_px <= limit_px:
            raise ValueError(f"{name} is from 1 to {limit} {limit_px}, not {side_px}")
        if self.degradation == "stored":
            raise ValueError(
                f"{name} needs a fresh degradation: name a recipe, the stored face is degraded whole, at full size"
            )

    def __call__(self, draw: SampleRequest, files: Mapping[str, bytes]) -> Prepared:
        """The sample of these files, prepared for its position in the stream. Raises BadSample."""
        chosen = self._choose(draw.position, self._candidates(draw.position, files))
        if self.require_references and len(chosen) < self.references:
            raise BadSample(f"the sample has {len(chosen)} references where {self.references} are required")
        stored = self.degradation == "stored"
        sample = decode_sample(files, chosen, degraded=stored, size_px=self.size_px)
        if self.reduce_px is not None:
            sample = reduced(sample, self.reduce_px)
        sample = self._flipped(sample, draw.position)
        if not stored:
            sample = self._degraded_anew(self._cropped(sample, draw.position), draw.position)
        seed = derive_seed(self.seed, f"{sample.key} on the device", draw.position) >> 1
        return Prepared(draw.position, sample, seed)

    def _candidates(self, position: int, files: Mapping[str, bytes]) -> Sequence[int]:
        """The numbers of the references to choose from: all, or those of one kind, if there are enough of it."""
        stored = range(stored_references(files))
        if self.synthesised_share is None:
            return stored
        made = synthesised_references(files)
        wants_made = _uniform(self.seed, position, "synthesised") < self.synthesised_share
        of_kind = [number for number in stored if (number in made) == wants_made]
        return of_kind if len(of_kind) >= max(1, self.references) else stored

    def _choose(self, position: int, candidates: Sequence[int]) -> tuple[int, ...]:
        """The numbers of the chosen references, all distinct: weighted random sampling without replacement.

        Takes the k smallest of exponential variates with the weights as rates: Efraimidis and Spirakis, "Weighted
        random sampling with a reservoir", 2006.
        """
        if self.reference_choice == "best":
            return tuple(candidates[: self.references])
        stored = len(candidates)
        weights = [1.0] * stored
        if self.reference_choice == "rank":
            weights = [1 / (rank + 1) for rank in range(stored)]
            weights = list(self.rank_weights[:stored]) if self.rank_weights else weights
        arrivals = [
            -math.log1p(-_uniform(self.seed, position, f"reference {rank}")) / weight
            for rank, weight in enumerate(weights)
        ]
        order = sorted(range(len(arrivals)), key=arrivals.__getitem__)[: self.references]
        return tuple(candidates[at] for at in order)

    def _flipped(self, sample: Sample, position: int) -> Sample:
        target = _uniform(self.seed, position, "flip") < self.flip_chance
        own = _uniform(self.seed, position, "flip references") < self.flip_chance
        return mirror(sample, target, {"with": target, "alone": own, "never": False}[self.flip_references])

    def _cropped(self, sample: Sample, position: int) -> Sample:
        if self.crop_px is None:
            return sample
        places = self._largest_crop()[1] - self.crop_px + 1
        left, top = (int(_uniform(self.seed, position, name) * places) for name in ("crop left", "crop top"))
        return crop(sample, left, top, self.crop_px)

    def _degraded_anew(self, sample: Sample, position: int) -> Sample:
        recipe = RECIPES[self.degradation] if isinstance(self.degradation, str) else self.degradation
        seed = derive_seed(self.seed, sample.key, position)
        theta = draw_theta(recipe, seed, sample.target.image.shape[0])
        return replace(sample, theta=theta, is_given=False)


def _uniform(seed: int, position: int, name: str) -> float:
    """A random number in [0, 1) with 53 bits, a pure function of the seed, the position in the stream and a name."""
    return (derive_seed(seed, name, position) >> 11) * 2.0**-53
