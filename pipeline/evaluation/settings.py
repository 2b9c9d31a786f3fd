"""Settings of `facerefs evaluate`."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

AUTO, JITTER, TRUTH, NONE = "auto", "jitter", "truth", "none"


@dataclass(frozen=True)
class Weights:
    """The networks of the figures: `cache` is the folder `checkpoints` of torch hub, `download` also fetches a missing
    file there, `random` draws weights, whose figures compare with nothing, and `none` leaves the figure out."""

    alexnet: str = "cache"
    """Weights of AlexNet for LPIPS (Alex): a file, `cache`, `download`, `random` or `none`."""
    vgg16: str = "cache"
    """Weights of VGG16 for LPIPS (VGG): a file, `cache`, `download`, `random` or `none`."""
    inception: str = "cache"
    """Weights of FID's Inception, pytorch-fid's file: a file, `cache`, `download`, `random` or `none`."""
    identity: str = "dlib"
    """Face embedder of Deg., IPS, ISC, iPrecision and iRecall: `dlib`, a file of dlib's (.dat), an ONNX file of
    InsightFace or a folder or pack of them, or `none`."""
    landmarks: str = "dlib"
    """Landmark detector of the landmark error: `dlib`, a run of `train landmarks`, or `none`."""
    niqe: str = "basicsr"
    """Statistics of natural images for NIQE: `basicsr` or `none`."""
    musiq: str = "cache"
    """Weights of MUSIQ (KonIQ-10k) for the package pyiqa: a file, `cache` or `none`."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How restored faces are judged."""

    weights: Weights = Weights()
    seen_landmarks: str = AUTO
    """Landmarks of the degraded faces, onto which references are warped: a run of `train landmarks`, `jitter` (those of
    the ground truth with a mean error of 5 % of the eye distance), `truth`, or `auto`: the detector of the run's
    training if it is there, else `jitter`."""
    neighbours: Annotated[int, Ge(1), Le(1000)] = 4
    """Number of nearest neighbours, k, of iPrecision and iRecall."""
    resamples: Annotated[int, Ge(100), Le(1_000_000)] = 2000
    """Number of bootstrap resamples of the people, for intervals."""
    batch_size: Annotated[int, Ge(1), Le(4096)] = 8
    """Samples that are judged at a time."""
    seed: int = 0
    """Seed of the bootstrap, of jittered landmarks and of stochastic models."""
