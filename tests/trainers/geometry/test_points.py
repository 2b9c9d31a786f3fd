"""Landmark jitter."""

import pytest
import torch

from facerefs.trainers.geometry.jitter import jitter_landmarks
from tests.trainers.faces import frontal_face

FROZEN = [1.4243279971, 1.5430100816, -0.0213200599, -0.9415755052, 0.4245836625, -1.6896518239]


def test_jitter_is_a_function_of_each_samples_seed() -> None:
    faces = frontal_face(512).expand(3, -1, -1)
    moved = jitter_landmarks(faces, 2.0, [7, 8, 7])
    assert torch.equal(moved[0], moved[2])
    assert not torch.equal(moved[0], moved[1])
    assert torch.equal(jitter_landmarks(faces[:1], 2.0, [8])[0], moved[1])
    assert not torch.equal(jitter_landmarks(faces[:1], 2.0, [7 + 2**40])[0], moved[0])


def test_jitter_has_its_standard_deviation_and_moves_neighbours_alike() -> None:
    count = 4000
    faces = frontal_face(512).expand(count, -1, -1)
    off = jitter_landmarks(faces, 3.0, range(count)) - faces
    assert off.square().mean().sqrt().item() == pytest.approx(3.0, rel=0.02)
    assert off.mean((0, 1)).abs().max() < 0.15
    correlation = torch.corrcoef(off[:, :, 0].mT)
    assert correlation[37, 38] > 0.7  # of one eye
    assert 0.3 < correlation[37, 19] < 0.6  # eye and brow
    assert correlation[37, 8].abs() < 0.2  # eye and chin, which a turn moves against each other
    assert torch.corrcoef(off[:, 30].mT)[0, 1].abs() < 0.05


def test_each_sample_may_have_its_own_sigma() -> None:
    faces = frontal_face(512).expand(2, -1, -1).float()
    moved = jitter_landmarks(faces, torch.tensor([0.0, 4.0]), [1, 1])
    assert moved.dtype == torch.float32
    assert torch.equal(moved[0], faces[0])
    assert torch.allclose(
        moved[1] - faces[1], 4 * (jitter_landmarks(faces[1:], 1.0, [1])[0] - faces[1]), atol=1e-3
    )


def test_jitter_stays_the_same_from_version_to_version() -> None:
    moved = jitter_landmarks(frontal_face(512), 1.0, [2**62 + 12345]) - frontal_face(512)
    assert moved[0, [0, 30, 67]].flatten().tolist() == pytest.approx(FROZEN, abs=1e-9)


def test_jitter_of_one_spot_or_of_nothing_is_no_error() -> None:
    assert jitter_landmarks(torch.zeros(1, 68, 2), 1.0, [1]).isfinite().all()
    assert jitter_landmarks(torch.zeros(0, 68, 2), 1.0, []).shape == (0, 68, 2)
