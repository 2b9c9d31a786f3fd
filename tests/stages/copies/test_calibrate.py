"""What a calibration measures, on synthetic faces whose cosines are known."""

from dataclasses import replace

import numpy as np
import pytest

from facerefs.stages.copies.calibrate import measure_calibration
from facerefs.stages.copies.copy_rule import CopyRule
from facerefs.stages.copies.face_features import FaceFeatures
from tests.stages.synthetic import unit

PEOPLE, SHOTS, EDITS = 8, 6, ("cropped", "grey")
FAR = np.uint64(0xFFFF_FFFF)


def world(seed: int = 0) -> tuple[FaceFeatures, np.ndarray, np.ndarray, np.ndarray]:
    """People of 6 photos, two edited copies of each: features, person, photo, edit."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(PEOPLE), SHOTS)
    photos = len(person)
    centres = unit(rng.normal(size=(PEOPLE, 64)))
    vectors = unit(centres[person] + 0.6 * unit(rng.normal(size=(photos, 64))))
    points = rng.uniform(0.2, 0.8, (photos, 68, 2))
    phash = rng.integers(0, 2**64, photos, np.uint64)
    copies = [unit(vectors + 0.15 * unit(rng.normal(size=(photos, 64)))) for _ in EDITS]
    times = 1 + len(EDITS)
    features = FaceFeatures(
        landmarks=np.tile(points, (times, 1, 1)).astype(np.float32),
        last=np.full(photos * times, 511 / 512, np.float32),
        vectors=np.concatenate([vectors, *copies]).astype(np.float32),
        phash=np.tile(phash, times),
        phash_mirror=np.tile(phash ^ FAR, times),
        hashed=np.ones(photos * times, bool),
    )
    edit = np.repeat(np.array(["", *EDITS]), photos)
    return features, np.tile(person, times), np.tile(np.arange(photos), times), edit


def test_all_four_figures_lie_where_the_cosines_say() -> None:
    measured = measure_calibration(*world(), CopyRule())
    figures = measured.calibration
    assert measured.two_people.max() < figures.same < measured.one_person.min()
    assert figures.same < figures.copy <= figures.session <= figures.same_shot
    assert np.quantile(measured.one_person, 0.95) <= figures.copy <= measured.copies.min()
    assert measured.one_person.max() < figures.same_shot < np.median(measured.copies)
    assert (len(measured.one_person), len(measured.copies)) == (PEOPLE * SHOTS * (SHOTS - 1) // 2, 96)


def test_all_copies_are_found_and_none_that_is_false() -> None:
    measured = measure_calibration(*world(), CopyRule())
    assert set(measured.by_edit) == set(EDITS)
    assert [kinds.copies for kinds in measured.by_edit.values()] == [48, 48]
    assert measured.edits.copies == measured.edits.pairs == 96
    assert measured.shots.copies == 0


def test_two_similar_shots_raise_the_threshold() -> None:
    """Photos 0 and 1 of one person: near crops, other landmarks, and as alike as copies are."""
    features, person, photo, edit = world()
    before = measure_calibration(features, person, photo, edit, CopyRule())
    features.vectors[1] = unit(features.vectors[:1] + 0.02 * features.vectors[40:41])[0]
    features.phash[1] = features.phash[0]
    measured = measure_calibration(features, person, photo, edit, CopyRule())
    assert before.calibration.copy < 0.99 < measured.calibration.copy
    assert measured.shots.copies == 0
    assert measured.edits.copies < before.edits.copies


def test_copies_among_the_photos_are_named_and_left_out() -> None:
    features, person, photo, edit = world()
    for column in (features.vectors, features.landmarks, features.phash, features.phash_mirror):
        column[1] = column[0]
    measured = measure_calibration(features, person, photo, edit, CopyRule())
    assert measured.taken_for_copies == ((0, 1),)
    assert measured.one_person.max() < 0.99


def test_copies_without_a_face_change_nothing_else() -> None:
    """A photo without a copy, as when an engine finds no face after an edit."""
    features, person, photo, edit = world()
    rows = np.delete(np.arange(len(photo)), [60, 100])
    fewer = FaceFeatures(*(column[rows] for column in vars(features).values()))
    measured = measure_calibration(fewer, person[rows], photo[rows], edit[rows], CopyRule())
    assert measured.edits.pairs == 94
    assert (
        measured.calibration.same
        == measure_calibration(features, person, photo, edit, CopyRule()).calibration.same
    )


def test_too_few_people_or_photos_are_refused_in_a_sentence() -> None:
    features, person, photo, edit = world()
    with pytest.raises(ValueError, match="4 people, 48 photos"):
        measure_calibration(features, person // 2, photo, edit, CopyRule())
    rows = np.flatnonzero(photo >= 10)
    fewer = FaceFeatures(*(column[rows] for column in vars(features).values()))
    with pytest.raises(ValueError, match="38 photos and 76 edited copies"):
        measure_calibration(fewer, person[rows], photo[rows], edit[rows], CopyRule())


def test_people_of_one_photo_each_are_refused() -> None:
    features, _, photo, edit = world()
    with pytest.raises(ValueError, match="no person has two photos"):
        measure_calibration(features, photo, photo, edit, CopyRule())


def test_the_cosines_of_the_rule_are_not_used() -> None:
    strict = replace(CopyRule(), copy_similarity=1.0, session_similarity=1.0, same_shot_similarity=1.0)
    assert (
        measure_calibration(*world(), strict).calibration
        == measure_calibration(*world(), CopyRule()).calibration
    )
