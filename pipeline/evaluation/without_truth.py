"""Judging pictures without ground truth: NIQE, MUSIQ, FID against a set, and IPS if there are references."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from facerefs.pipeline import text
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.figures import Figures, score_images
from facerefs.pipeline.evaluation.folders import Folders
from facerefs.pipeline.evaluation.judges.cache import FigureCache, digest_of
from facerefs.pipeline.evaluation.judges.networks import IDENTITY, INCEPTION, NIQE_LEAST_PX
from facerefs.pipeline.evaluation.methods.folder import read_output
from facerefs.pipeline.evaluation.methods.method import Outputs
from facerefs.pipeline.evaluation.metrics import METRICS
from facerefs.pipeline.evaluation.progress import Progress
from facerefs.pipeline.evaluation.reference_set import reference_features
from facerefs.pipeline.evaluation.result import Evaluation, interval_notes, summarise
from facerefs.pipeline.evaluation.samples import SampleFacts
from facerefs.pipeline.evaluation.statistics import Bootstrap
from facerefs.schemas.arrays import Float64s
from facerefs.stages.engines.engine import Landmarker
from facerefs.trainers.metrics.frechet import frechet_distance, gaussian_of
from facerefs.trainers.networks.inception import FEATURES

_NO_TRUTH = "it needs ground truths: add --data"
_NO_SET = "it needs pictures to compare with: add --reference-set"
_NO_REFERENCES = "it needs references: add --references with a folder of aligned faces, named as the outputs"
_ONE = "one"


def judge_folders(opened: Folders, cache: FigureCache, console: Console) -> Evaluation:
    """The figures of all pictures. Raises UserError."""
    judge = _PictureJudge(opened, cache)
    progress = Progress(len(opened.names), lambda line: console.print(line, highlight=False))
    columns: dict[tuple[str, str], list[float]] = {}
    features: dict[str, list[Tensor]] = {method.name: [] for method in opened.methods}
    for name in opened.names:
        for method in opened.methods:
            path = method.files.get(name)
            picture = None if path is None else _Picture.of(path)
            for metric in judge.metrics:
                value = (
                    float("nan")
                    if picture is None
                    else judge.figure(metric, picture, opened.references.get(name))
                )
                columns.setdefault((metric, method.name), []).append(value)
            if picture is not None and judge.wants_features:
                features[method.name].append(judge.vector(INCEPTION, picture))
        progress.add(1)
    values = {
        metric: np.array([columns[metric, method.name] for method in opened.methods])
        for metric in METRICS
        if metric in judge.metrics
    }
    missing = _missing(opened)
    against, whole = "", {}
    if judge.wants_features:
        reference, against = reference_features(
            opened.options.reference_set, opened.judges, cache, opened.device
        )
        assert reference is not None  # noqa: S101 (there is a set, and Inception)
        try:
            whole["fid"] = _fid(list(features.values()), reference)
        except ValueError as error:
            missing["fid"] = str(error)
    return _result(opened, values, whole, missing, against, judge)


@dataclass(eq=False)
class _PictureJudge:
    """Judges pictures one by one, since they may differ in size. small: how many are too small for NIQE."""

    opened: Folders
    cache: FigureCache
    small: set[Path] = field(default_factory=set)

    @cached_property
    def metrics(self) -> list[str]:
        """The figures of single pictures."""
        known = self.opened.judges.images
        own = [metric for metric in ("niqe", "musiq") if metric in known]
        return [*own, "ips"] if IDENTITY in known and self.opened.references else own

    @property
    def wants_features(self) -> bool:
        """Whether FID is computed."""
        return INCEPTION in self.opened.judges.images and self.opened.options.reference_set is not None

    def figure(self, metric: str, picture: "_Picture", reference: Path | None) -> float:
        """A figure of a picture; NaN where it has none."""
        if metric == "ips":
            if reference is None:
                return float("nan")
            ones, others = (self.vector(IDENTITY, one).double() for one in (picture, _Picture.of(reference)))
            return float(torch.cosine_similarity(ones, others, dim=0))
        if metric == "niqe" and min(picture.image.shape[1:]) < NIQE_LEAST_PX:
            self.small.add(picture.path)
            return float("nan")
        return float(self._score(metric, picture, torch.zeros(68, 2))[0])

    def vector(self, network: str, picture: "_Picture") -> Tensor:
        """What a network makes of a picture: (D,). Raises UserError if a face is to be embedded and is not square."""
        if network != IDENTITY:
            return self._score(network, picture, torch.zeros(68, 2))
        if picture.image.shape[1] != picture.image.shape[2]:
            raise UserError(
                f"{picture.path} is not square, and IPS needs aligned faces: leave out --references"
            )
        return self._score(network, picture, self._landmarks(picture.image))

    def _score(self, network: str, picture: "_Picture", points: Tensor) -> Tensor:
        column = {_ONE: Outputs(picture.image[None], torch.ones(1, dtype=torch.bool))}
        scorer, digests = self.opened.judges.images[network], {_ONE: [picture.digest]}
        return score_images(scorer, self.cache, self.opened.device, column, {_ONE: points[None]}, digests)[
            _ONE
        ][0]

    def _landmarks(self, image: Tensor) -> Tensor:
        from facerefs.stages.engines.align import landmarks_of_crop

        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        return torch.from_numpy(landmarks_of_crop(pixels, self._landmarker))

    @cached_property
    def _landmarker(self) -> Landmarker:
        from facerefs.stages.engines.load import load_landmarker

        return load_landmarker("dlib", None, "cpu")


@dataclass(frozen=True, eq=False)
class _Picture:
    """A decoded picture (3, H, W), uint8, and the digest of its pixels."""

    path: Path
    image: Tensor
    digest: str

    @classmethod
    def of(cls, path: Path) -> "_Picture":
        image = torch.from_numpy(np.ascontiguousarray(read_output(path).pixels)).permute(2, 0, 1)
        return cls(path, image, digest_of(image))


def _fid(features: Sequence[Sequence[Tensor]], reference: Tensor) -> Float64s:
    against = gaussian_of(reference.numpy())
    none = torch.empty(0, FEATURES)
    made = [torch.stack(list(some)) if some else none for some in features]
    return np.array([frechet_distance(gaussian_of(some.numpy()), against) for some in made])


def _missing(opened: Folders) -> dict[str, str]:
    """Why figures are not computed, by metric, in the order of all figures."""
    missing = dict(opened.judges.missing)
    for name, metric in METRICS.items():
        if metric.against == "truth" or name in ("iprecision", "irecall"):
            missing[name] = _NO_TRUTH
    if opened.options.reference_set is None:
        missing.setdefault("fid", _NO_SET)
    if not opened.references:
        missing.setdefault("ips", _NO_REFERENCES)
    return {name: missing[name] for name in METRICS if name in missing}


def _result(
    opened: Folders,
    values: dict[str, Float64s],
    whole: dict[str, Float64s],
    missing: dict[str, str],
    against: str,
    judge: _PictureJudge,
) -> Evaluation:
    names, methods, nan = opened.names, opened.methods, float("nan")
    samples = tuple(
        SampleFacts(number, name, name, "", nan, nan, nan, int(name in opened.references))
        for number, name in enumerate(names)
    )
    present = np.array([[name in method.files for name in names] for method in methods])
    figures = Figures(tuple(method.name for method in methods), samples, values, whole, present, {})
    bootstrap = Bootstrap(names, opened.settings.resamples, opened.settings.seed)
    used = {name: source for name, source in opened.judges.used.items() if name not in missing}
    found, differences, groups = summarise(figures, methods, bootstrap, used)
    return Evaluation(
        data="",
        split="",
        set_digest="",
        size_px=0,
        samples=len(names),
        people=len(names),
        against=against,
        methods=found,
        differences=differences,
        groups=groups,
        networks=used,
        not_computed=missing,
        notes=tuple(_notes(opened, against, judge)),
        left_out={},
        figures=figures,
    )


def _notes(opened: Folders, against: str, judge: _PictureJudge) -> Iterator[str]:
    yield "without --data nobody knows who is in a picture: intervals are over pictures, not over people"
    yield from interval_notes(len(opened.names), "pictures")
    for method in opened.methods:
        if method.missing:
            yield f"{method.name}: {text.plural(len(method.missing), 'picture')} of the other folders not there"
    if judge.small:
        pictures = text.plural(len(judge.small), "picture")
        yield f"NIQE is not computed of {pictures} below {NIQE_LEAST_PX} px"
    if "ips" in judge.metrics:
        without = len(opened.names) - len(opened.references)
        if without:
            yield f"IPS is not computed of {text.plural(without, 'picture')} without a reference"
        yield "IPS: pictures are taken as aligned faces, and dlib finds their landmarks"
    if opened.extra_references:
        yield f"{text.plural(len(opened.extra_references), 'reference')} of no picture in {opened.options.references}"
    if against:
        yield f"FID is against {against}"
