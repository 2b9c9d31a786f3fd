"""All that an evaluation on a set needs, opened and checked before anything is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.judges.networks import Judges, load_judges
from facerefs.pipeline.evaluation.methods.baselines import baselines
from facerefs.pipeline.evaluation.methods.method import Method
from facerefs.pipeline.evaluation.methods.open import open_methods
from facerefs.pipeline.evaluation.options import EvaluateOptions
from facerefs.pipeline.evaluation.samples import (
    EvaluationBatch,
    EvaluationSet,
    SampleFacts,
    open_evaluation_set,
)
from facerefs.pipeline.evaluation.settings import AUTO, JITTER, TRUTH, EvaluationSettings
from facerefs.schemas.arrays import UInt8Image
from facerefs.trainers.geometry.points import TRUTH as TRUE_POINTS
from facerefs.trainers.geometry.points import PointsSource, detected, jittered
from facerefs.trainers.loop.checkpoint import CheckpointError
from facerefs.trainers.models.run import load_finder


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

    def pictures(self, samples: Sequence[SampleFacts]) -> dict[str, dict[str, UInt8Image]]:
        """The images of samples, by key and name: degraded, outputs, ground truth, reference. Runs have them cached."""
        made = {}
        for batch in self.batches([sample.row for sample in samples]):
            columns = {method.name: method.outputs(batch) for method in self.methods}
            truth, references = batch.truth, batch.first_references
            for number, facts in enumerate(batch.facts):
                images = {"degraded": columns["degraded"].images[number]}
                images |= {
                    method.name: columns[method.name].images[number]
                    for method in self.methods
                    if method.kind != "baseline" and columns[method.name].present[number]
                }
                images["ground truth"] = truth[number]
                if facts.references:
                    images["reference (as it is)"] = references[number]
                made[facts.key] = {name: _pixels(image) for name, image in images.items()}
        return made


def _pixels(image: Tensor) -> UInt8Image:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def open_work(
    options: EvaluateOptions, place: str, settings: EvaluationSettings, device: torch.device, cache: Path
) -> Work:
    """Open the set at `place`, the methods and the networks. Raises UserError."""
    points = _points(settings.seen_landmarks, device)
    judged = open_evaluation_set(place, options.split, options.size_px, options.samples, settings.seed)
    opened = open_methods(options.methods, judged, settings, points, device, cache / "outputs", options.names)
    judged = replace(judged, references=max([1, *(method.references for method in opened)]))
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
