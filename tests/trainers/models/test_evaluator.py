"""What a restorer is judged by: the face as it would be saved, and only what is known of the person."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.metrics import Metrics
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face

SIDE_PX = 32


class Means(nn.Module):
    """Three numbers of a face, which tell what it was given."""

    name = "means"

    def forward(self, images: Tensor, _other: Tensor) -> Tensor:
        return images.mean((2, 3))


class MeanDistance(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().mean((1, 2, 3))


@pytest.fixture(scope="module")
def batch() -> DeviceBatch:
    faces = [prepared(i, face_files(i), reduce_px=SIDE_PX, degradation="rdfr") for i in range(2)]
    points = frontal_face(SIDE_PX).float()
    made = replace(
        collate(faces, references=1, at_once=1),
        landmarks=points.expand(2, -1, -1),
        reference_landmarks=points.expand(2, 1, -1, -1),
        embedding=torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        reference_embeddings=torch.tensor([[[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]),
    )
    (ready,) = on_device([made], torch.device("cpu"), warp=warp_for(SIDE_PX))
    return ready


def judge(change: float) -> Evaluator:
    class Multiplied:
        def restore(self, _networks: Networks, seen: RestorerInput) -> Tensor:
            return seen.degraded * change

        def pictures(self, _networks: Networks, seen: RestorerInput) -> dict[str, Tensor]:
            return {"landmarks": seen.degraded}

    return Evaluator(Multiplied(), Metrics(Means(), {"alex": MeanDistance()}), stored="means")  # type: ignore[arg-type]


def test_every_figure_is_of_the_face_as_it_would_be_saved(batch: DeviceBatch) -> None:
    assert batch.degraded is not None
    found = judge(4.0).scores({}, batch)
    saved = ((batch.degraded * 4 + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    assert found["lpips_alex"].tolist() == pytest.approx(
        MeanDistance()(saved, batch.target).tolist(), abs=1e-4
    )
    cosine = torch.cosine_similarity(Means()(saved, saved)[1:], batch.embedding[1:])
    assert found["identity_truth"][1:].tolist() == pytest.approx(cosine.tolist(), abs=1e-4)
    degrees = [math.degrees(math.acos(one)) for one in cosine.tolist()]
    assert found["identity_degrees"][1:].tolist() == pytest.approx(degrees, abs=0.02)
    assert "niqe" not in found


def test_a_face_without_an_embedding_has_no_identity_figure(batch: DeviceBatch) -> None:
    found = judge(1.0).scores({}, batch)
    assert found["identity_truth"].isnan().tolist() == [True, False]
    assert found["identity_reference"].isnan().tolist() == [False, True]
    assert found["identity_reference_degraded"].isnan().tolist() == [False, True]


def test_a_grid_shows_what_the_model_would_show(batch: DeviceBatch) -> None:
    assert list(judge(1.0).pictures({}, batch)) == ["degraded", "reference", "landmarks", "output", "truth"]


def test_a_blind_model_is_judged_without_references(batch: DeviceBatch) -> None:
    blind = replace(batch, references=batch.references[:, :0], warped=None, valid=None)
    assert "reference" not in judge(1.0).pictures({}, blind)
    found = judge(1.0).scores({}, blind)
    assert "identity_truth" in found
    assert "identity_reference" not in found
