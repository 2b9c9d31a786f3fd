"""Sources of landmarks: jitter errs as much as it says, and the truth is for nobody to validate with."""

import pytest
import torch

from facerefs.trainers.geometry.points import DETECTOR_NME, TRUTH, detected, jittered, true
from facerefs.trainers.metrics.nme import nme
from tests.trainers.faces import frontal_face

FACES = frontal_face(128).float().expand(400, -1, -1)
IMAGES = torch.zeros(400, 3, 8, 8)


@pytest.mark.parametrize("error", [DETECTOR_NME, 0.1])
def test_jitter_errs_by_what_it_is_told(error: float) -> None:
    found = jittered(error).find(FACES, IMAGES, range(400))
    assert nme(found, FACES).mean().item() == pytest.approx(error, rel=0.05)
    assert torch.equal(found[7], jittered(error).find(FACES[:1], IMAGES[:1], [7])[0])


def test_a_detector_sees_the_degraded_face_alone() -> None:
    source = detected("runs/x", lambda images: images.mean((1, 2, 3))[:, None, None].expand(-1, 68, 2))
    assert torch.equal(source.find(FACES[:2], IMAGES[:2] + 3, [0, 1]), torch.full((2, 68, 2), 3.0))


def test_the_truth_is_jittered_in_validation_and_every_source_has_a_name() -> None:
    assert torch.equal(TRUTH.find(FACES, IMAGES, range(400)), FACES)
    assert TRUTH.at_test.kind == "jitter"
    found = true(0.08).at_test.find(FACES, IMAGES, range(400))
    assert nme(found, FACES).mean().item() == pytest.approx(0.08, rel=0.05)
    for source in (jittered(), detected("runs/x", lambda images: images)):
        assert source.at_test is source
    assert true(0.08).note == (
        "landmarks of degraded faces: truth, those of the clean faces; "
        "in validation jitter, those of the clean faces with a mean error of 8.0%"
    )
    assert detected("runs/x", lambda images: images).note.endswith("detector, the run runs/x")
