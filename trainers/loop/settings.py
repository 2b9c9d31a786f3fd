"""Settings that every model's training has."""

from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from facerefs.stages.degrade.recipe import Recipe

Positive = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Loop:
    """How long, how exactly and how watched. Steps count updates of the networks, batches of all ranks together."""

    steps: Positive = 100_000
    """Steps after which training ends; a step is one update from `accumulate` batches."""
    seed: int = 0
    """Seed of everything random in training."""
    accumulate: Positive = 1
    """Batches whose gradients are added up to one step."""
    clip_norm: Annotated[float, Gt(0)] | None = None
    """Largest norm of the gradients of a phase, longer ones are scaled down; null does not clip."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of the computation: `tf32` for products on a GPU, `bfloat16` by autocast."""
    channels_last: bool = False
    """Whether images are kept in the memory format channels-last, which is often faster on a GPU."""
    compile: bool = False
    """Whether the networks are compiled by torch.compile."""
    average_half_life_images: Annotated[float, Gt(0)] = 10_000.0
    """Images after which an old weight counts half in the moving average of the weights (EMA)."""
    log_every: Positive = 50
    """Steps between two lines of the log."""
    validate_every: Positive = 1_000
    """Steps between two validations, each with its figures and a grid of pictures."""
    validation_samples: Positive = 64
    """Samples that a validation measures."""
    grid_samples: Positive = 8
    """Samples that a grid shows."""
    checkpoint_every: Positive = 1_000
    """Steps between two checkpoints."""
    keep_checkpoints: Positive = 3
    """How many checkpoints are kept, the newest ones."""


@dataclass(frozen=True)
class Data:
    """What of the shards a model sees."""

    batch_size: Positive = 4
    """Samples in a batch, of all processes together."""
    references: Annotated[int, Ge(0), Le(64)] = 1
    """References that are read with each sample; 0 trains without."""
    reference_choice: Literal["best", "random", "rank"] = "best"
    """Which references of a sample are read: the best ones, random ones, or random ones of which the better are
    likelier."""
    degradation: str | Recipe = "gfpgan"
    """How faces are degraded anew each time: the name of a recipe, or one of your own; `stored` takes the face in
    the shard."""
    flip_chance: Share = 0.5
    """Probability that a sample is mirrored, from 0 to 1."""
    sampling: Literal["sample", "identity"] = "sample"
    """Whether each sample or each person is drawn equally often."""
    workers: Annotated[int, Ge(0)] = 2
    """Processes that read and prepare samples, for each training process; 0 does it in the training process."""
    validation_split: Literal["val", "test", "train"] = "val"
    """Split that validation measures."""


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba, "Adam", 2015."""

    lr: Annotated[float, Gt(0)] = 2e-3
    """Learning rate."""
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay of the mean of the gradients, per step."""
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the mean of the squared gradients, per step."""


def is_setting(item: Field[Any]) -> bool:
    """Whether a field of a dataclass is a setting: not private, and not filled from what several dataclasses share."""
    return item.init and not item.name.startswith("_") and not item.metadata.get("shared", False)


def to_dict(value: Any) -> Any:
    """Settings as plain values, which YAML, JSON and a checkpoint can hold.

    A dataclass as a dictionary of its settings, tuples as lists, all else as it is.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_dict(getattr(value, item.name)) for item in fields(value) if is_setting(item)}
    if isinstance(value, dict):
        return {key: to_dict(one) for key, one in value.items()}
    return [to_dict(one) for one in value] if isinstance(value, list | tuple) else value
