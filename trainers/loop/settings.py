"""Settings common to the training of all models."""

from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from facerefs.stages.degrade.recipe import Recipe

Positive = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Loop:
    """The length, precision, logging and validation of training. A step is one update; batches are over all ranks."""

    steps: Positive = 100_000
    """Steps after which training ends; a step is one update from `accumulate` batches."""
    seed: int = 0
    """Seed of everything random in training."""
    accumulate: Positive = 1
    """Batches whose gradients are accumulated in one step."""
    clip_norm: Annotated[float, Gt(0)] | None = None
    """Largest gradient norm of a phase; larger gradients are scaled down. null does not clip."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of the computation: `tf32` for products on a GPU, `bfloat16` by autocast."""
    channels_last: bool = False
    """Whether images are kept in the memory format channels-last, which is often faster on a GPU."""
    compile: bool = False
    """Whether the networks are compiled by torch.compile."""
    average_half_life_images: Annotated[float, Gt(0)] = 10_000.0
    """Half-life of the moving average of the weights (EMA), in images."""
    log_every: Positive = 50
    """Steps between two lines of the log."""
    validate_every: Positive = 1_000
    """Steps between two validations; each logs metrics and an image grid."""
    validation_samples: Positive = 64
    """Number of samples in a validation."""
    grid_samples: Positive = 8
    """Number of samples in an image grid."""
    checkpoint_every: Positive = 1_000
    """Steps between two checkpoints."""
    keep_checkpoints: Positive = 3
    """Number of checkpoints to keep; older ones are removed."""


@dataclass(frozen=True)
class Data:
    """How samples are read from the shards and prepared for a model."""

    batch_size: Positive = 4
    """Samples in a batch, over all training processes together."""
    references: Annotated[int, Ge(0), Le(64)] = 1
    """Number of references read with each sample; 0 trains without references."""
    reference_choice: Literal["best", "random", "rank"] = "best"
    """Which references of a sample are read: the best ones, random ones, or random ones with the better ones more
    likely (`rank`)."""
    synthesised_share: Share | None = None
    """Share, from 0 to 1, of samples with both photos and synthesised references that give a synthesised one; null
    does not tell them apart."""
    degradation: str | Recipe = "gfpgan"
    """How faces are degraded: the name of a recipe, or a recipe of your own, draws a new degradation each time;
    `stored` takes the degraded face in the shard."""
    flip_chance: Share = 0.5
    """Probability that a sample is mirrored, from 0 to 1."""
    sampling: Literal["sample", "identity"] = "sample"
    """How samples are drawn: `sample` draws each sample equally often, `identity` each person."""
    workers: Annotated[int, Ge(0)] = 2
    """Worker processes that read and prepare samples, for each training process; 0: the training process does it."""
    validation_split: Literal["val", "test", "train"] = "val"
    """Split used for validation."""


@dataclass(frozen=True)
class Adam:
    """Settings of the optimiser Adam: Kingma and Ba, "Adam", 2015."""

    lr: Annotated[float, Gt(0)] = 2e-3
    """Learning rate."""
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay of the mean of the gradients, per step."""
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the mean of the squared gradients, per step."""


def is_setting(item: Field[Any]) -> bool:
    """Whether a dataclass field is a setting: not private, and not filled from a value shared by several classes."""
    return item.init and not item.name.startswith("_") and not item.metadata.get("shared", False)


def to_dict(value: Any) -> Any:
    """Settings as plain values for YAML, JSON and checkpoints.

    A dataclass becomes a dictionary of its settings and a tuple a list; other values stay unchanged.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_dict(getattr(value, item.name)) for item in fields(value) if is_setting(item)}
    if isinstance(value, dict):
        return {key: to_dict(one) for key, one in value.items()}
    return [to_dict(one) for one in value] if isinstance(value, list | tuple) else value
