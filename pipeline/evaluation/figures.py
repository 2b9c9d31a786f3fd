"""The figures of all methods on all samples; every network's pass is made once, and kept in the cache."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from facerefs.pipeline.evaluation.judges.cache import FigureCache, digest_of
from facerefs.pipeline.evaluation.judges.networks import (
    IDENTITY,
    INCEPTION,
    LANDMARKS,
    ImageScorer,
    Judges,
    PairScorer,
)
from facerefs.pipeline.evaluation.methods.method import Outputs
from facerefs.pipeline.evaluation.metrics import METRICS
from facerefs.pipeline.evaluation.samples import EvaluationBatch, SampleFacts, as_seen
from facerefs.schemas.arrays import Float64s
from facerefs.trainers.metrics.frechet import frechet_distance, gaussian_of
from facerefs.trainers.metrics.identity_hits import identity_hits
from facerefs.trainers.metrics.nme import nme

TRUTH, REFERENCE = "\0truth", "\0reference"  # no method can be called so
_PAIR_VERSION = "1"  # of how images are given to the networks: raise it if figures change


@dataclass(frozen=True, eq=False)
class Figures:
    """All figures. values: by metric, (methods, samples) float64, NaN where there is none; whole: of a metric that is
    of all samples together, by metric, (methods,). present: (methods, samples). reasons: why others are in neither.
    """

    methods: tuple[str, ...]
    samples: tuple[SampleFacts, ...]
    values: Mapping[str, Float64s]
    whole: Mapping[str, Float64s]
    present: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"
    reasons: Mapping[str, str]


@dataclass(eq=False)
class Collector:
    """Gathers what the networks make of each batch, and makes the figures of it at the end."""

    methods: tuple[str, ...]
    judges: Judges
    cache: FigureCache
    device: torch.device
    samples: list[SampleFacts] = field(default_factory=list)
    present: dict[str, list[Tensor]] = field(default_factory=dict)
    pairs: dict[tuple[str, str], list[Tensor]] = field(default_factory=dict)  # by metric and method
    vectors: dict[tuple[str, str], list[Tensor]] = field(default_factory=dict)  # by network and column

    @torch.no_grad()
    def add(self, batch: EvaluationBatch, outputs: Mapping[str, Outputs]) -> None:
        """Judge the outputs of a batch, by method."""
        self.samples += batch.facts
        count = len(batch.facts)
        truth = Outputs(batch.truth, torch.ones(count, dtype=torch.bool))
        reference = Outputs(batch.first_references, (batch.seen.reference_count > 0).cpu())
        for name in self.methods:
            self.present.setdefault(name, []).append(outputs[name].present)
        digests = {name: _digests(one.images) for name, one in outputs.items()}
        digests |= {TRUTH: _digests(truth.images), REFERENCE: _digests(reference.images)}
        for pair in self.judges.pairs:
            self._pair(pair, truth, outputs, digests)
        columns = {**outputs, TRUTH: truth, REFERENCE: reference}
        landmarks = batch.seen.landmarks.cpu()
        places = dict.fromkeys(columns, landmarks) | {REFERENCE: batch.seen.reference_landmarks[:, 0].cpu()}
        for network, scorer in self.judges.images.items():
            wanted = _columns_for(network, columns)
            made = score_images(scorer, self.cache, self.device, wanted, places, digests)
            for name, values in made.items():
                self.vectors.setdefault((network, name), []).append(values)

    def _pair(
        self,
        scorer: PairScorer,
        truth: Outputs,
        outputs: Mapping[str, Outputs],
        digests: Mapping[str, Sequence[str]],
    ) -> None:
        key = f"{scorer.metric} {_PAIR_VERSION} {scorer.source.key}"
        joint = {
            name: [_joint(one, other) for one, other in zip(digests[name], digests[TRUTH], strict=True)]
            for name in self.methods
        }
        known = self.cache.find(key, [one for some in joint.values() for one in some], np.float64)
        wanted = [
            name
            for name in self.methods
            if any(
                digest not in known
                for digest, is_there in zip(joint[name], outputs[name].present.tolist(), strict=True)
                if is_there
            )
        ]
        if wanted:
            seen = [as_seen(outputs[name].images, self.device) for name in wanted]
            made = scorer.compute(as_seen(truth.images, self.device), seen)
            for name, values in zip(wanted, made, strict=True):
                fresh = dict(zip(joint[name], values.double().cpu().numpy().reshape(-1, 1), strict=True))
                self.cache.keep(key, fresh)
                known |= fresh
        for name in self.methods:
            found = [float(known[one][0]) if one in known else np.nan for one in joint[name]]
            values = torch.tensor(found, dtype=torch.float64)
            self.pairs.setdefault((scorer.metric, name), []).append(
                torch.where(outputs[name].present, values, torch.nan)
            )

    def figures(self, neighbours: int, reference_set: Tensor | None = None) -> Figures:
        """All figures. reference_set: Inception features (N, 2048) for FID; None: of the ground truths."""
        reasons: dict[str, str] = {}
        values = {
            metric: _rows([torch.cat(self.pairs[metric, name]) for name in self.methods])
            for metric in (scorer.metric for scorer in self.judges.pairs)
        }
        for network in ("niqe", "musiq"):
            if network in self.judges.images:
                values[network] = _rows([self._vectors(network, name)[:, 0] for name in self.methods])
        if LANDMARKS in self.judges.images:
            values["landmark_error"] = _rows([self._landmark_error(name) for name in self.methods])
        if IDENTITY in self.judges.images:
            values |= self._identity(neighbours, reasons)
        whole: dict[str, Float64s] = {}
        if INCEPTION in self.judges.images:
            fid = self._fid(reference_set, reasons)
            whole |= {} if "fid" in reasons else {"fid": fid}
        present = torch.stack([torch.cat(self.present[name]) for name in self.methods]).numpy()
        ordered = {metric: values[metric] for metric in METRICS if metric in values and metric not in reasons}
        return Figures(self.methods, tuple(self.samples), ordered, whole, present, reasons)

    def _vectors(self, network: str, column: str) -> Tensor:
        return torch.cat(self.vectors[network, column])

    def _landmark_error(self, name: str) -> Tensor:
        found, truth = (self._vectors(LANDMARKS, one).view(-1, 68, 2) for one in (name, TRUTH))
        return 100 * nme(found, truth)

    def _identity(self, neighbours: int, reasons: dict[str, str]) -> dict[str, Float64s]:
        truth, reference = self._vectors(IDENTITY, TRUTH), self._vectors(IDENTITY, REFERENCE)
        codes: dict[str, int] = {}
        people = torch.tensor([codes.setdefault(sample.identity, len(codes)) for sample in self.samples])
        isc = _rows([_cosine(self._vectors(IDENTITY, name), truth) for name in self.methods])
        found = {
            "isc": isc,
            "deg": np.degrees(np.arccos(isc.clip(-1, 1))),
            "ips": _rows([_cosine(self._vectors(IDENTITY, name), reference) for name in self.methods]),
        }
        hits: dict[str, list[Tensor]] = {"iprecision": [], "irecall": []}
        for name in self.methods:
            made = self._vectors(IDENTITY, name)
            there = ~made.isnan().any(1)
            for metric, (ones, others) in {
                "iprecision": (there, torch.ones_like(there)),
                "irecall": (torch.ones_like(there), there),
            }.items():
                points, faces = (made, truth) if metric == "iprecision" else (truth, made)
                row = torch.full((len(made),), torch.nan, dtype=torch.float64)
                try:
                    row[ones] = identity_hits(
                        points[ones], people[ones], faces[others], people[others], neighbours
                    ).double()
                except ValueError as error:
                    reasons[metric] = str(error)
                hits[metric].append(row)
        return found | {metric: torch.stack(rows).numpy() for metric, rows in hits.items()}

    def _fid(self, reference_set: Tensor | None, reasons: dict[str, str]) -> Float64s:
        found = np.full(len(self.methods), np.nan)
        try:
            against = gaussian_of(
                (self._vectors(INCEPTION, TRUTH) if reference_set is None else reference_set).numpy()
            )
            for number, name in enumerate(self.methods):
                made = self._vectors(INCEPTION, name)
                found[number] = frechet_distance(gaussian_of(made[~made.isnan().any(1)].numpy()), against)
        except ValueError as error:
            reasons["fid"] = str(error)
        return found


def score_images(
    scorer: ImageScorer,
    cache: FigureCache,
    device: torch.device,
    columns: Mapping[str, Outputs],
    landmarks: Mapping[str, Tensor],
    digests: Mapping[str, Sequence[str]],
) -> dict[str, Tensor]:
    """What a network makes of the images of each column, (B, D); NaN where there is no image."""
    key = f"{scorer.name} {_PAIR_VERSION} {scorer.source.key}"
    places = [
        (name, number)
        for name, column in columns.items()
        for number, is_there in enumerate(column.present.tolist())
        if is_there
    ]
    of_place = {
        (name, number): digest_of(digests[name][number], landmarks[name][number])
        if scorer.with_landmarks
        else digests[name][number]
        for name, number in places
    }
    known = cache.find(key, list(of_place.values()), scorer.dtype)
    wanted = {digest: place for place, digest in of_place.items() if digest not in known}
    if wanted:
        images = torch.stack([columns[name].images[number] for name, number in wanted.values()])
        points = torch.stack([landmarks[name][number] for name, number in wanted.values()]).to(device)
        made = scorer.compute(as_seen(images, device), points).cpu().numpy().astype(scorer.dtype)
        fresh = dict(zip(wanted, made, strict=True))
        cache.keep(key, fresh)
        known |= fresh
    width = len(next(iter(known.values()))) if known else 1
    values = {name: torch.full((len(column.present), width), torch.nan) for name, column in columns.items()}
    values = (
        {name: column.to(torch.float64) for name, column in values.items()}
        if scorer.dtype == np.float64
        else values
    )
    for (name, number), digest in of_place.items():
        values[name][number] = torch.from_numpy(known[digest].copy())
    return values


def _columns_for(network: str, columns: Mapping[str, Outputs]) -> dict[str, Outputs]:
    """The images that a network has to see: those of all methods, and what they are compared with."""
    beside = {IDENTITY: (TRUTH, REFERENCE), INCEPTION: (TRUTH,), LANDMARKS: (TRUTH,)}.get(network, ())
    return {
        name: column for name, column in columns.items() if name not in (TRUTH, REFERENCE) or name in beside
    }


def _rows(rows: Sequence[Tensor]) -> Float64s:
    return torch.stack([row.double() for row in rows]).numpy()


def _digests(images: Tensor) -> list[str]:
    return [digest_of(image) for image in images]


def _joint(one: str, other: str) -> str:
    return hashlib.sha256(f"{one} {other}".encode()).hexdigest()


def _cosine(ones: Tensor, others: Tensor) -> Tensor:
    return torch.cosine_similarity(ones.double(), others.double())
