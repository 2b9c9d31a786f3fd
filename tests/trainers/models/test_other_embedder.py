"""A set with dlib's embeddings: losses and metrics of identity by ArcFace, which embeds the faces itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.identity.embedder import load_embedder
from facerefs.trainers.metrics.psnr_ssim import quantise_uint8
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.rpf.factor import bicubic_by
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face
from tests.trainers.identity.onnx_embedder import write_embedder
from tests.trainers.models.test_ented import SMALL as ENTED
from tests.trainers.models.test_posevaried import SMALL as POSEVARIED
from tests.trainers.models.test_rdfr import SMALL as RDFR
from tests.trainers.models.test_rpf import SMALL as RPF

CPU = torch.device("cpu")
MODELS: dict[str, Any] = {
    "ented": ENTED,
    "rdfr": RDFR,
    "posevaried": replace(POSEVARIED, losses=replace(POSEVARIED.losses, identity=1.0)),
    "rpf": replace(RPF, losses=replace(RPF.losses, identity=1.0, identity_from_px=32)),
}


def batch_for(model: Any) -> DeviceBatch:
    """Two faces, of which the second has no reference; their embeddings are of another network, of 8 numbers."""
    side, count = model.size_px, model.data.references
    faces = [prepared(i, face_files(i), reduce_px=side, degradation=bicubic_by(8)) for i in range(2)]
    made = collate(faces, references=count, at_once=1)
    points = frontal_face(side).float()
    made = replace(
        made,
        landmarks=points.expand(2, -1, -1),
        reference_landmarks=points.expand(2, count, -1, -1),
        reference_count=torch.tensor([count, 0]),
    )
    (ready,) = on_device([made], CPU, warp=warp_for(side))
    return ready


@pytest.mark.parametrize("name", MODELS)
def test_a_set_of_another_embedder_is_trained_on_and_measured(name: str, tmp_path: Path) -> None:
    path = write_embedder(tmp_path / "small.onnx")
    arcface = load_embedder(str(path), CPU)
    model = MODELS[name]
    model = replace(model, weights=replace(model.weights, identity=str(path)))
    torch.manual_seed(1)
    networks: dict[str, nn.Module] = model.networks()
    made = model.training_module(networks, CPU, "dlib-resnet-128")
    assert made.check is None  # the shards' embeddings are none of its business
    batch = batch_for(model)
    if name in ("posevaried", "rpf"):
        (phase, *_) = (one for one in made.phases if one.name in ("generator", "refinement_3"))
        assert phase.loss(batch)["identity"] > 0
    for network in networks.values():
        network.eval()
    with torch.no_grad():
        torch.manual_seed(2)
        scores = made.scores(networks, batch)
        torch.manual_seed(2)
        restored = model.restore(networks, restorer_input(batch))
        found = arcface(quantise_uint8(restored) / 127.5 - 1, batch.landmarks)
        truth = (found * arcface(batch.target, batch.landmarks)).sum(1)
        assert scores["identity_truth"].tolist() == pytest.approx(truth.tolist(), abs=1e-4)
        if batch.references.shape[1]:
            reference = (found * arcface(batch.references[:, 0], batch.reference_landmarks[:, 0])).sum(1)
            assert scores["identity_reference"][0].item() == pytest.approx(reference[0].item(), abs=1e-4)
            assert scores["identity_reference"][1].isnan()
