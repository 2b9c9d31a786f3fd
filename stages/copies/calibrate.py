"""Calibrate an embedder: measure its cosines on photos of known people and on edited copies of the photos."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.copies.copy_rule import COPY, SESSION, UNSURE, CopyRule
from facerefs.stages.copies.face_features import FaceFeatures, PairSimilarity
from facerefs.stages.engines.calibration import Calibration

FEWEST_PEOPLE, FEWEST_PHOTOS = 5, 40
MOST_PHOTOS = 2000  # of which all pairs are compared

_PLATEAU = 0.98
_RARE_COPY, _RARE_SHOTS = 0.005, 0.995


@dataclass(frozen=True)
class KindCounts:
    """How many pairs the copy rule, with the measured cosines, takes for copies, unsure pairs and sessions."""

    pairs: int
    copies: int
    unsure: int
    sessions: int


@dataclass(frozen=True)
class CalibrationResult:
    """The calibration, the cosines it was measured on, and the kinds of pairs that the copy rule finds with it."""

    calibration: Calibration
    one_person: Float32s  # two photos of one person
    two_people: Float32s
    copies: Float32s  # a photo and its edited copy
    by_edit: dict[str, KindCounts]
    edits: KindCounts  # all of them
    shots: KindCounts  # all pairs of two photos, none of which should be a copy
    taken_for_copies: tuple[
        tuple[int, int], ...
    ]  # pairs of photos of the set that are copies of each other, which were left out


def measure_calibration(
    features: FaceFeatures, person: Int64s, photo: Int64s, edit: NDArray[np.str_], rule: CopyRule
) -> CalibrationResult:
    """The calibration measured on N faces: of photos as they are, where `edit` is empty, and of their edited copies.

    person: int64 (N,); photo: int64 (N,), the same for a photo and its copies. `rule` says which crops and landmarks
    are near; its cosines are not used.

    same: where the share of pairs of one person above it exceeds that of pairs of two the most (Youden's J), in the
    middle of the plateau. same_shot: a quarter of the way from the most similar two shots to the median copy. copy: as
    far below the cosine that 99.5 % of the copies reach as that is below 1, but no lower than 95 % of the pairs of one
    person, and above all two shots whose crops are near. session: above 99.5 % of the pairs of one person, between
    copy and same_shot. All rounded up to a thousandth. The fractions are choices, made on the two embedders of
    `facerefs.stages.engines.calibration`.

    Raises ValueError with fewer than 5 people, 40 photos, or 40 copies, or if no person has two photos.
    """
    original = np.flatnonzero(edit == "")
    _check(person[original], len(edit) - len(original))
    a, b = (original[rows] for rows in np.triu_indices(len(original), 1))
    shots = features.pairs(a, b)
    alike = _unplanned_copies(shots, rule)
    one = person[a] == person[b]
    within, between = shots.similarity[one & ~alike], shots.similarity[~one & ~alike]
    if not len(within):
        raise ValueError("no person has two photos that differ: give each person several")
    copied, source = _copies(photo, edit, original)
    copies = features.pairs(copied, source)
    calibration = _calibration(within, between, shots.take(~alike), copies.similarity, rule)
    decided = CopyRule(
        rule.hash_bits,
        rule.same_shot_hash_bits,
        rule.landmarks,
        copy_similarity=calibration.copy,
        same_shot_similarity=calibration.same_shot,
        session_similarity=calibration.session,
    )
    of = edit[copied]
    return CalibrationResult(
        calibration=calibration,
        one_person=within,
        two_people=between,
        copies=copies.similarity,
        by_edit={str(name): _kinds(copies.take(of == name), decided) for name in dict.fromkeys(of.tolist())},
        edits=_kinds(copies, decided),
        shots=_kinds(shots.take(~alike), decided),
        taken_for_copies=tuple(zip(photo[a[alike]].tolist(), photo[b[alike]].tolist(), strict=True)),
    )


def _check(person: Int64s, copies: int) -> None:
    people = len(np.unique(person))
    if people < FEWEST_PEOPLE or min(len(person), copies) < FEWEST_PHOTOS:
        raise ValueError(
            f"too few to measure on: {people} people, {len(person)} photos and {copies} edited copies with a face, "
            f"at least {FEWEST_PEOPLE} people and {FEWEST_PHOTOS} photos are needed"
        )


def _unplanned_copies(shots: PairSimilarity, rule: CopyRule) -> NDArray[np.bool_]:
    """True for photos of the set that are copies of each other: crop hashes and landmarks are near."""
    return (shots.hash_distance <= rule.hash_bits) & (shots.landmark_distance <= rule.landmarks)


def _copies(photo: Int64s, edit: NDArray[np.str_], original: Int64s) -> tuple[Int64s, Int64s]:
    """The rows of the edited copies, and the rows of their photos; copies of photos without a face are left out."""
    row_of = dict(zip(photo[original].tolist(), original.tolist(), strict=True))
    copied = [row for row in np.flatnonzero(edit != "").tolist() if int(photo[row]) in row_of]
    return np.array(copied, np.int64), np.array([row_of[int(photo[row])] for row in copied], np.int64)


def _calibration(
    within: Float32s, between: Float32s, shots: PairSimilarity, copies: Float32s, rule: CopyRule
) -> Calibration:
    most_alike, median = float(shots.similarity.max()), float(np.median(copies))
    same_shot = most_alike + max(0.0, median - most_alike) / 4
    rare = float(np.quantile(copies, _RARE_COPY))
    copy = max(2 * rare - 1, float(np.quantile(within, 0.95)))
    near = shots.similarity[shots.hash_distance <= rule.hash_bits]
    if len(near):
        copy = max(copy, float(np.nextafter(near.max(), np.float32(2))))
    same_shot = max(same_shot, copy)
    session = float(np.clip(np.quantile(within, _RARE_SHOTS), copy, same_shot))
    figures = (_youden(within, between), copy, session, same_shot)
    return Calibration(*(math.ceil(figure * 1000 - 1e-6) / 1000 for figure in figures))


def _youden(within: Float32s, between: Float32s) -> float:
    """The cosine in the middle of the plateau of Youden's J: the shares of `within` less `between` above it."""
    steps = np.linspace(-1, 1, 4001)
    above = [1 - np.searchsorted(np.sort(cosines), steps) / len(cosines) for cosines in (within, between)]
    youden = above[0] - above[1]
    plateau = steps[youden >= _PLATEAU * youden.max()]
    return float((plateau[0] + plateau[-1]) / 2)


def _kinds(pairs: PairSimilarity, rule: CopyRule) -> KindCounts:
    kinds = rule.kinds(*pairs.evidence)
    return KindCounts(len(kinds), *(int((kinds == kind).sum()) for kind in (COPY, UNSURE, SESSION)))
