"""The trainings of an ablation: which model, arm and seed, with which settings, in which folder."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.ablations.arms import AS_IT_IS, LONGER, SCHEDULES, WITHOUT, Arm
from facerefs.pipeline.config.read_settings import read_settings
from facerefs.pipeline.errors import UserError
from facerefs.trainers.loop.checkpoint import checkpoints, read, step_of
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.model import Model, Restorer

_CHECKPOINTS = 4


@dataclass(frozen=True)
class Training:
    """One training of an arm with a seed; it starts with the weights of `first`, the model as it is.

    variant: the settings of the arm, or `as it is`. adds: see `Arm`.
    """

    name: str
    variant: str
    adds: bool
    model: Model
    first: Model
    run: Path

    @property
    def seed(self) -> int:
        return self.model.loop.seed

    def is_done(self) -> bool:
        """Whether it has ended. Raises UserError if the folder holds a training with other settings."""
        kept = checkpoints(self.run / CHECKPOINTS_FOLDER)
        if not kept:
            return False
        if read(kept[-1]).settings != to_dict(self.model):
            raise UserError(
                f"{self.run} holds a training with other settings: remove it, or choose another --out"
            )
        return step_of(kept[-1]) >= self.model.loop.steps


def without_ablation() -> list[str]:
    """The restorers whose idea cannot be left out."""
    restorers = [name for name in MODULES if isinstance(presets(name)["tiny"], Restorer)]
    return [name for name in restorers if name not in WITHOUT]


def trainings(
    name: str,
    arms: Sequence[Arm],
    seed: int,
    out: Path,
    steps: int | None = None,
    faces: int = 10_000,
    settings: Sequence[str] = (),
) -> Iterator[Training]:
    """A model's training as it is, and those of its arms, all with the same seed.

    settings: of all arms, above those of the preset `tiny`. faces: at most so many are judged.
    Raises UserError for settings that cannot be.
    """
    tiny: Any = presets(name)["tiny"]

    def model_of(variant: str) -> Model:
        given = [
            *lasting(name, tiny, steps, LONGER.get(variant, {})),
            f"loop.seed={seed}",
            f"loop.validation_samples={faces}",
            *settings,
            *([] if variant == AS_IT_IS else variant.split()),
        ]
        model: Model = read_settings(type(tiny), "loop.steps=1000", settings=given, under=to_dict(tiny))
        return model

    first = model_of(AS_IT_IS)
    for variant, adds in [(AS_IT_IS, False), *((arm.settings, arm.adds) for arm in arms)]:
        yield Training(name, variant, adds, model_of(variant), first, folder_of(out, name, variant, seed))


def folder_of(out: Path, name: str, variant: str, seed: int) -> Path:
    """The folder of a training."""
    return out / name / variant.replace(" ", "_") / f"seed-{seed}"


def lasting(
    name: str, tiny: Model, steps: int | None, longer: Mapping[str, int] = MappingProxyType({})
) -> list[str]:
    """Settings for a training of so many steps, or of a few more, so that its schedule is scaled in whole numbers.

    The moving average of the weights is scaled too, and validation is at the end.
    """
    counts = {key: _setting(tiny, key) for key in SCHEDULES.get(name, ())}
    own = tiny.loop.steps
    unit = own // math.gcd(own, *counts.values())
    total = own if steps is None else -(-steps // unit) * unit
    return [
        f"loop.steps={total}",
        f"loop.validate_every={total}",
        f"loop.checkpoint_every={max(1, total // _CHECKPOINTS)}",
        f"loop.average_half_life_images={tiny.loop.average_half_life_images * total / own}",
        *(f"{key}={count * total // own * longer.get(key, 1)}" for key, count in counts.items()),
    ]


def _setting(model: Model, key: str) -> int:
    value: Any = model
    for name in key.split("."):
        value = getattr(value, name)
    return int(value)
