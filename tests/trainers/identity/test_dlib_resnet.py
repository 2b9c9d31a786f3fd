"""dlib's ResNet in torch against dlib itself, and what becomes of files that are damaged or others."""

from pathlib import Path

import dlib
import numpy as np
import pytest
import torch
from PIL import Image

from facerefs.stages.engines.dlib_layers import read_resnet
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.weights import DLIB_EMBEDDER, DLIB_LANDMARKS, find_dlib_weights
from facerefs.trainers.identity.dlib import load_dlib_resnet
from tests.trainers.identity.conftest import Faces

FILE = find_dlib_weights(None, DLIB_EMBEDDER)


def test_it_gives_the_descriptors_that_dlib_gives(aligned_faces: Faces) -> None:
    rng = np.random.default_rng(0)
    chips = [np.asarray(Image.fromarray(face).resize((150, 150))) for face in aligned_faces.pixels]
    chips += [rng.integers(0, 256, (150, 150, 3), dtype=np.uint8), np.zeros((150, 150, 3), np.uint8)]
    reference = dlib.face_recognition_model_v1(str(FILE))
    expected = np.stack([np.array(reference.compute_face_descriptor(chip)) for chip in chips])
    with torch.no_grad():
        found = load_dlib_resnet(FILE)(torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2) / 127.5 - 1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)  # of numbers up to 0.4; seen: 3e-6


@pytest.mark.parametrize("length", [0, 1, 3, 17, 290, 340, 400, 19_300, 5_000_000, -1])
def test_a_file_that_ends_too_early_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.dat"
    path.write_bytes(FILE.read_bytes()[:length])
    with pytest.raises(MissingWeights, match=r"cut\.dat is no file of dlib's.*(it ends at|rest of the file)"):
        read_resnet(path)


@pytest.mark.parametrize(
    ("at", "value", "complaint"),
    [
        (1, 2, r"the version of the loss has \(2,\)"),
        (2, 0x0F, "no whole number ends at byte"),
        (5, ord("x"), "lxss_metric_2 stands where loss_metric_2 should"),
        (3, 200, "another layer stands where loss_metric_2 should"),
        (40, 9, "a layer of version 9"),
        (336, ord("b"), "bon_4 stands where con_4 should"),
        (345, 0x11, "a layer has 4480 parameters, not 4736"),
        (354, 0xFF, None),  # a weight like any other
        (19299, 8, r"a convolution has \(32, 8, 7, 2, 2, 0, 0\)"),
    ],
)
def test_a_damaged_byte_is_named_or_harmless(
    tmp_path: Path, at: int, value: int, complaint: str | None
) -> None:
    data = bytearray(FILE.read_bytes())
    data[at] = value
    path = tmp_path / "damaged.dat"
    path.write_bytes(data)
    if complaint is None:
        read_resnet(path)
        return
    with pytest.raises(MissingWeights, match=complaint):
        read_resnet(path)


def test_any_noise_in_the_heads_of_layers_ends_in_missing_weights_or_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    whole = FILE.read_bytes()[
        :20_000
    ]  # the first layers: what follows is missing, so nothing here can be read
    path = tmp_path / "noise.dat"
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.choice([*range(360), *range(19_290, 19_400), *range(19_650, 19_830)], 3):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        with pytest.raises(MissingWeights):
            read_resnet(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    data = bytearray(FILE.read_bytes())
    data[352:356] = np.float32(np.nan).tobytes()
    path = tmp_path / "nan.dat"
    path.write_bytes(data)
    with pytest.raises(MissingWeights, match="a weight is not finite"):
        read_resnet(path)


@pytest.mark.filterwarnings("error")
def test_weights_that_overflow_with_their_affine_layer_are_refused(tmp_path: Path) -> None:
    data = bytearray(FILE.read_bytes())
    for channel in range(32):
        at = 352 + channel * 4 * 3 * 7 * 7
        data[at : at + 4] = np.float32(3e38).tobytes()
    path = tmp_path / "huge.dat"
    path.write_bytes(data)
    with pytest.raises(MissingWeights, match="a weight is not finite"):
        read_resnet(path)


def test_another_file_of_dlibs_bytes_beyond_the_end_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="is larger than"):
        read_resnet(find_dlib_weights(None, DLIB_LANDMARKS))
    longer = tmp_path / "longer.dat"
    longer.write_bytes(FILE.read_bytes() + b"x")
    with pytest.raises(MissingWeights, match="1 bytes follow its last layer"):
        read_resnet(longer)
    with pytest.raises(MissingWeights, match="cannot be read: No such file"):
        read_resnet(tmp_path / "none.dat")
