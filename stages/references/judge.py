"""What the guards of a set say against pairs that somebody else chose: the rules of `select`, without its choice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.schemas.guard import Guard
from facerefs.stages.copies.copy_rule import COPY, SESSION, UNSURE, CopyRule
from facerefs.stages.copies.face_features import (
    FACE_FEATURES,
    FaceFeatures,
    PairSimilarity,
    landmark_distance,
)
from facerefs.stages.engines.calibration import calibration_of
from facerefs.stages.search.similarity import one_embedder

FIGURES = ("yaw", "pitch", "face_px", "sharpness", "niqe", "brisque")
JUDGED_COLUMNS = (*FACE_FEATURES, *FIGURES, "image", "embedder", "reject", "reject_detail")
"""The columns of `faces` that are needed."""

Finding = tuple[Guard, str]


class Limits(Protocol):
    """The settings of `select` that limit pairs; null sets no limit."""

    @property
    def rule(self) -> CopyRule:
        """The copy rule, not calibrated."""

    @property
    def same_session(self) -> bool:
        """Whether a shot of the same session may be a reference."""

    @property
    def min_similarity(self) -> float | None:
        """Least cosine."""

    @property
    def max_similarity(self) -> float | None:
        """Largest cosine."""

    @property
    def max_pose_gap_deg(self) -> float | None:
        """Most degrees."""

    @property
    def min_size_ratio(self) -> float | None:
        """Least `face_px` as a share of the target's crop."""

    @property
    def min_reference_sharpness(self) -> float | None:
        """Least sharpness."""

    @property
    def max_reference_niqe(self) -> float | None:
        """Highest NIQE."""

    @property
    def max_reference_brisque(self) -> float | None:
        """Highest BRISQUE."""


@dataclass(frozen=True)
class Thresholds:
    """The figures by which pairs are judged."""

    rule: CopyRule  # calibrated
    same: float  # cosine from which two faces are one person


def thresholds(limits: Limits, embedder: str, same: float | None) -> Thresholds:
    """The thresholds for an embedder. same: that of the settings. Raises ValueError if the embedder is not known."""
    return Thresholds(
        limits.rule.calibrated(embedder), calibration_of(embedder).same if same is None else same
    )


@dataclass(frozen=True)
class JudgedPairs:
    """N pairs with how alike they are and what speaks against each; arrays of length N."""

    alike: PairSimilarity
    landmark_distance: Float32s  # as they are, not mirrored
    pose_gap: Float32s  # degrees, NaN if unknown
    findings: list[list[Finding]]

    @cached_property
    def guards(self) -> list[list[str] | None]:
        """The guards that speak against each pair, for the column `guards`; None if there are none."""
        return [[str(guard) for guard, _ in found] or None for found in self.findings]

    @cached_property
    def details(self) -> list[str | None]:
        """What they say, in one text; None if there are none."""
        return ["; ".join(detail for _, detail in found) or None for found in self.findings]


def judged(
    faces: pa.Table,
    people: Sequence[str | None],
    targets: Int64s,
    references: Int64s,
    limits: Limits,
    same: float | None,
) -> JudgedPairs:
    """The pairs of these rows of `faces`, judged.

    faces: JUDGED_COLUMNS of faces that have landmarks and embeddings. people: the person of each face by the build's
    own labels and clusters, None if unknown. same: the setting `cluster.same`.
    Raises ValueError if the faces come from several embedders, or from one whose cosines are not known.
    """
    features = FaceFeatures.of(faces)
    alike = features.pairs(targets, references)
    figures = {name: np.asarray(faces[name].to_numpy(), np.float32) for name in (*FIGURES, "crop_size")}
    gaps = [np.abs(figures[name][targets] - figures[name][references]) for name in ("yaw", "pitch")]
    pose_gap = np.maximum(*gaps)
    apart = landmark_distance(features.landmarks[targets], features.landmarks[references])
    findings: list[list[Finding]] = [[] for _ in targets]
    if len(targets):
        known = thresholds(limits, one_embedder(faces["embedder"]), same)
        ratio = figures["face_px"][references] / figures["crop_size"][targets]
        of_references = {name: values[references] for name, values in figures.items()}
        for found in (
            _of_shots(alike, known, limits.same_session),
            _of_photos(faces, targets, references),
            _strangers(alike.similarity, known.same),
            _two_people(people, targets, references),
            _rejected(faces, targets, references),
            _beyond(Guard.LOW_QUALITY, _quality_limits(limits, of_references)),
            _beyond(Guard.LIMITS, _pair_limits(limits, alike.similarity, pose_gap, ratio)),
        ):
            for pair, finding in found:
                findings[pair].append(finding)
    return JudgedPairs(alike, apart, pose_gap, findings)


def _of_shots(alike: PairSimilarity, known: Thresholds, same_session: bool) -> Iterator[tuple[int, Finding]]:
    kinds = known.rule.kinds(*alike.evidence)
    shots = np.flatnonzero(kinds >= UNSURE)
    some = alike.take(shots)
    for pair, why in zip(shots.tolist(), known.rule.why(kinds[shots], *some.evidence), strict=True):
        is_copy = kinds[pair] == COPY
        yield pair, (Guard.COPY, f"a copy: {why}") if is_copy else (Guard.UNSURE, f"perhaps one shot: {why}")
    for pair in np.flatnonzero((kinds == SESSION) & (not same_session)).tolist():
        said = f"cosine {alike.similarity[pair]:.3f} (from {known.rule.session_similarity:.3f})"
        yield pair, (Guard.SESSION, f"one session: {said}")


def _of_photos(faces: pa.Table, targets: Int64s, references: Int64s) -> Iterator[tuple[int, Finding]]:
    image = faces["image"].to_numpy()
    for pair in np.flatnonzero(image[targets] == image[references]).tolist():
        yield pair, (Guard.SAME_PHOTO, "two faces of one photo")


def _strangers(similarity: Float32s, same: float) -> Iterator[tuple[int, Finding]]:
    for pair in np.flatnonzero(~(similarity >= same)).tolist():
        yield pair, (Guard.STRANGER, f"cosine {similarity[pair]:.3f}, one person from {same:.3f}")


def _two_people(
    people: Sequence[str | None], targets: Int64s, references: Int64s
) -> Iterator[tuple[int, Finding]]:
    for pair, (target, reference) in enumerate(zip(targets.tolist(), references.tolist(), strict=True)):
        one, other = people[target], people[reference]
        if one is not None and other is not None and one != other:
            yield pair, (Guard.TWO_PEOPLE, f"{one} and {other}")


def _rejected(faces: pa.Table, targets: Int64s, references: Int64s) -> Iterator[tuple[int, Finding]]:
    """What the limits of `analyse` say against target and reference."""
    reject, detail = faces["reject"].to_pylist(), faces["reject_detail"].to_pylist()
    for pair, (target, reference) in enumerate(zip(targets.tolist(), references.tolist(), strict=True)):
        for name, face in (("target", target), ("reference", reference)):
            if reject[face] is not None:
                yield pair, (Guard.LOW_QUALITY, f"{name} {reject[face]}: {detail[face]}")


def _quality_limits(limits: Limits, of_references: dict[str, Float32s]) -> list[tuple[Any, ...]]:
    return [
        ("sharpness", of_references["sharpness"], limits.min_reference_sharpness, np.greater_equal),
        ("NIQE", of_references["niqe"], limits.max_reference_niqe, np.less_equal),
        ("BRISQUE", of_references["brisque"], limits.max_reference_brisque, np.less_equal),
    ]


def _pair_limits(
    limits: Limits, similarity: Float32s, pose_gap: Float32s, ratio: Float32s
) -> list[tuple[Any, ...]]:
    return [
        ("cosine", similarity, limits.min_similarity, np.greater_equal),
        ("cosine", similarity, limits.max_similarity, np.less_equal),
        ("pose gap", pose_gap, limits.max_pose_gap_deg, np.less_equal),
        ("size ratio", ratio, limits.min_size_ratio, np.greater_equal),
    ]


def _beyond(guard: Guard, checks: list[tuple[Any, ...]]) -> Iterator[tuple[int, Finding]]:
    """The pairs that do not keep limits that are set; an unknown figure does not."""
    for name, values, limit, keeps in checks:
        if limit is None:
            continue
        word = "at least" if keeps is np.greater_equal else "at most"
        broken: NDArray[np.bool_] = ~keeps(values, limit)
        for pair in np.flatnonzero(broken).tolist():
            yield pair, (guard, f"{name} {values[pair]:.3g}, {word} {limit:g}")
