"""Two real people in one degraded photo: each gets a reference of their own, a wrong one is refused, the rest stays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facerefs.pipeline.restoring.photo import Photo, read_photo
from facerefs.pipeline.restoring.whole import FaceChoice, PhotoRestorer, load_photo_restorer
from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.operations import Blur, Jpeg, Noise
from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from tests.pipeline.restoring.test_restore import made_run

pytestmark = pytest.mark.shared


def side_by_side(wild: Path) -> UInt8Image:
    """Two photos of 400x500 px, degraded together."""
    pair = [Image.open(wild / name).convert("RGB") for name in ("obama/obama.jpg", "biden/biden.jpg")]
    pair[1] = pair[1].crop((0, 0, 970, 1212))
    both = np.hstack([np.asarray(one.resize((400, 500), Image.Resampling.LANCZOS)) for one in pair])
    images = torch.from_numpy(both.copy()).permute(2, 0, 1)[None].float() / 255
    made = degrade_and_resize_back(
        images, [(Blur(15, 1.5, 1.5, 0.0), Noise(4.0, False, 1), Jpeg(60, "4:2:0"))]
    )
    return (made[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> PhotoRestorer:
    """A model whose networks are as they were drawn: who is who does not depend on it."""
    return load_photo_restorer(made_run(tmp_path_factory.mktemp("real"), "refine"), device="cpu")


def test_each_of_two_people_gets_their_own_reference_and_a_stranger_none(
    restorer: PhotoRestorer, shared_faces: Path
) -> None:
    wild = shared_faces / "wild"
    photo = Photo(Path("both.png"), side_by_side(wild))
    obama, biden = (read_photo(wild / name) for name in ("obama/obama2.jpg", "biden/biden2.jpg"))
    people = restorer.people({"obama": [obama], "biden": [biden]})
    result = restorer.restore(photo, people)
    left, right = sorted(result.faces, key=lambda face: face.box or (0,))
    assert (left.person, right.person) == ("obama", "biden")
    assert (left.reference, right.reference) == (obama.path, biden.path)
    assert left.left is right.left is None
    (whole,) = result.photos
    changed = np.argwhere((whole != photo.pixels).any(axis=2))[:, ::-1]
    for face, part in ((left, changed[changed[:, 0] < 400]), (right, changed[changed[:, 0] >= 400])):
        assert face.box is not None
        assert len(part) > 1000
        width = face.box[2] - face.box[0]
        assert (part.min(axis=0) > np.array(face.box[:2]) - width).all()
        assert (part.max(axis=0) < np.array(face.box[2:]) + width).all()

    wrong = restorer.people({"rose": [read_photo(sorted((wild / "rose_leslie").iterdir())[0])]})
    refused = restorer.restore(photo, wrong)
    assert all("like nobody of the references: most like rose" in str(face.left) for face in refused.faces)
    assert np.array_equal(refused.photos[0], photo.pixels)
    none = restorer.restore(photo)
    assert [face.left_kind for face in none.faces] == ["without a reference"] * 2
    asked = restorer.restore(photo, wrong, FaceChoice(faces="largest", person="rose"))
    assert "as asked by --person, rose is taken" in asked.faces[0].warnings[0]
