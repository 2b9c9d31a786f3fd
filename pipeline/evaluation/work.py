"""All that an evaluation on a set needs, opened and checked before anything is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.methods.baselines import baselines
from facerefs.pipeline.evaluation.methods.method import Method
from facerefs.pipeline.evaluation.methods.open import open_methods
from facerefs.pipeline.evaluation.networks import Judges, load_judges
from facerefs.pipeline.evaluation.options import EvaluateOptions
from facerefs.pipeline.evaluation.samples import EvaluationBatch, EvaluationSet, open_evaluation_set
from facerefs.pipeline.evaluation.settings import AUTO, JITTER, TRUTH, EvaluationSettings
from facerefs.trainers.geometry.points import TRUTH as TRUE_POINTS
from facerefs.trainers.geometry.points import PointsSource, detected, jittered
from facerefs.trainers.loop.checkpoint import CheckpointError
from facerefs.trainers.models.run import load_finder

_MOST_REFERENCES = 64


@dataclass(frozen=True, eq=False)
class Work:
    """The set, the methods, and what judges them."""

    settings: EvaluationSettings
    device: torch.device
    judged: EvaluationSet
    points: PointsSource
    methods: Sequence[Method]
    judges: Judges

    def batches(self, rows: Sequence[int]) -> Iterator[EvaluationBatch]:
        """Batches of these rows of the set."""
        return self.judged.batches(rows, self.settings.batch_size, self.device, self.points)


def open_work(
    options: EvaluateOptions, place: str, settings: EvaluationSettings, device: torch.device, cache: Path
) -> Work:
    """Open the set at `place`, the methods and the networks. Raises UserError."""
    points = _points(settings.seen_landmarks, device)
    judged = open_evaluation_set(
        place, options.split, options.size_px, _MOST_REFERENCES, options.samples, settings.seed
    )
    opened = open_methods(options.methods, judged, settings, points, device, cache / "outputs")
    judges = load_judges(settings.weights, judged.size_px, device, with_truth=True)
    return Work(settings, device, judged, points, [*baselines(points.name), *opened], judges)


def _points(setting: str, device: torch.device) -> PointsSource:
    """The landmarks of degraded faces. Raises UserError."""
    if setting in (AUTO, JITTER):
        return jittered()
    if setting == TRUTH:
        return TRUE_POINTS
    try:
        return detected(setting, load_finder(Path(setting).expanduser(), device))
    except CheckpointError as error:
        raise UserError(
            f"seen_landmarks is {AUTO}, {JITTER}, {TRUTH} or a run of train landmarks: {error}"
        ) from None
