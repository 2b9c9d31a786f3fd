"""Settings that every model's training has."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from facerefs.stages.degrade.recipe import Recipe

Positive = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Loop:
    """How long, how exactly and how watched. Steps count updates of the networks, batches of all ranks together."""

    steps: Positive = 100_000
    seed: int = 0
    accumulate: Positive = 1  # batches to a step
    clip_norm: Annotated[float, Gt(0)] | None = None  # of the gradients of a phase
    precision: Literal["float32", "tf32", "bfloat16"] = (
        "float32"  # tf32: of a GPU's products; bfloat16: autocast
    )
    channels_last: bool = False
    compile: bool = False
    average_half_life_images: Annotated[float, Gt(0)] = 10_000.0  # of the moving average of weights
    log_every: Positive = 50
    validate_every: Positive = 1_000  # figures and a grid of pictures
    validation_samples: Positive = 64
    grid_samples: Positive = 8
    checkpoint_every: Positive = 1_000
    keep_checkpoints: Positive = 3


@dataclass(frozen=True)
class Data:
    """What of the shards a model sees. `degradation`: a recipe, its name, or `stored`."""

    batch_size: Positive = 4  # of all ranks together
    references: Annotated[int, Ge(0), Le(64)] = 1
    reference_choice: Literal["best", "random", "rank"] = "best"
    degradation: str | Recipe = "gfpgan"
    flip_chance: Share = 0.5
    sampling: Literal["sample", "identity"] = "sample"
    workers: Annotated[int, Ge(0)] = 2  # processes that read, of each rank
    validation_split: Literal["val", "test", "train"] = "val"


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba, "Adam", 2015."""

    lr: Annotated[float, Gt(0)] = 2e-3
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.0
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.99
