"""What a restorer gets to see is what a user has: nothing of the clean face."""

from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from facerefs.trainers.geometry.points import PointsSource, detected, jittered
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.stream.batches.batch import FaceBatch, collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face

SIDE_PX = 32
FACE = frontal_face(SIDE_PX).float()


@pytest.fixture(scope="module")
def batch() -> FaceBatch:
    faces = [prepared(i, face_files(i, masks=True), reduce_px=SIDE_PX, degradation="rdfr") for i in range(2)]
    made = collate(faces, references=1, at_once=1)
    points = FACE.expand(2, -1, -1)
    return replace(made, landmarks=points, reference_landmarks=points[:, None] + 1)


def ready(batch: FaceBatch, points: PointsSource) -> DeviceBatch:
    (made,) = on_device([batch], "cpu", warp=warp_for(SIDE_PX), points=points)
    return made


def tensors(seen: RestorerInput) -> Iterator[Tensor]:
    parts = (getattr(seen, field.name) for field in fields(seen))
    return (part for part in parts if isinstance(part, Tensor))


def test_no_part_of_it_depends_on_what_is_known_of_the_clean_face(batch: FaceBatch) -> None:
    detector = detected("some", lambda images: FACE + images.mean((1, 2, 3))[:, None, None])
    seen = ready(batch, detector)
    other = replace(
        batch,
        landmarks=batch.landmarks + 3,
        boxes=batch.boxes + 3,
        embedding=torch.rand_like(batch.embedding),
    )
    other_seen = ready(other, detector)
    other_seen = replace(other_seen, target=torch.rand_like(seen.target), target_mask=None)
    for one, same in zip(tensors(restorer_input(seen)), tensors(restorer_input(other_seen)), strict=True):
        assert torch.equal(one, same)


def test_references_are_warped_onto_the_points_that_were_found(batch: FaceBatch) -> None:
    moved = ready(batch, detected("some", lambda images: FACE.expand(2, -1, -1) + torch.tensor([3.0, 0.0])))
    true = ready(batch, detected("some", lambda images: FACE.expand(2, -1, -1)))
    assert torch.allclose(moved.warped[..., 3:], true.warped[..., :-3], atol=2e-2)
    assert torch.allclose(moved.warped_masks[..., 3:], true.warped_masks[..., :-3], atol=2e-2)
    assert torch.equal(restorer_input(moved).landmarks, moved.seen_landmarks)
    assert (moved.points, true.points) == ("detector", "detector")


def test_a_detector_gets_images_from_minus_1_to_1_whatever_the_batch_has(batch: FaceBatch) -> None:
    got: list[Tensor] = []

    def find(images: Tensor) -> Tensor:
        got.append(images)
        return FACE.expand(2, -1, -1)

    wanted = restorer_input(ready(batch, jittered())).degraded
    made = on_device(
        [batch],
        "cpu",
        warp=warp_for(SIDE_PX),
        dtype=torch.bfloat16,
        value_range=(0, 1),
        points=detected("x", find),
    )
    (other,) = made
    assert torch.allclose(got[0], wanted, atol=1e-5)
    assert other.warped.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="want degraded faces"):
        next(on_device([batch], "cpu", degrade=None, points=detected("x", find)))


def test_jitter_is_that_of_the_draw() -> None:
    """The same after a resumption, another for another position or seed, and never the truth."""

    def seen_landmarks(position: int, seed: int) -> Tensor:
        drawn = prepared(position, face_files(1), reduce_px=SIDE_PX, degradation="rdfr", seed=seed)
        made = replace(collate([drawn], references=1, at_once=1), landmarks=FACE)
        return ready(made, jittered()).seen_landmarks

    assert torch.equal(seen_landmarks(5, 0), seen_landmarks(5, 0))
    for other in (seen_landmarks(6, 0), seen_landmarks(5, 1), FACE):
        assert not torch.allclose(seen_landmarks(5, 0), other, atol=0.05)
