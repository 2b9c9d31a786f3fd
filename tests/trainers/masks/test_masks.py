"""Face masks: where they come from, what they leave out, and what is said of files that do not fit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.parsing.bisenet import BiSeNet
from facerefs.stages.engines.parsing.hull import face_hull
from facerefs.stages.engines.parsing.parser import LABELS, NON_FACIAL, Parser
from facerefs.stages.engines.torch_file import fill
from facerefs.trainers.masks.mask import FaceMask, load_face_mask
from tests.stages.engines.parsing.literal_bisenet import drawn_tensors, literal_logits
from tests.trainers.faces import frontal_face

PUBLISHED_ORDER = [
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r", "nose", "mouth",
    "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
]  # fmt: skip
# CelebAMask-HQ's names of what the published file was trained for, in its order


class PaintedLogits(nn.Module):
    """Stands in for BiSeNet: labels are written in the image itself, label k as the gray value k / 18."""

    seen: Tensor

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        gray = functional.avg_pool2d(images[:, :1] * 0.229 + 0.485, 8)
        return -(gray - torch.linspace(0, 1, 19)[:, None, None]).abs()


def painted(names: Sequence[str], side_px: int) -> Tensor:
    """An image (1, 3, side, side) of upright stripes, one for each label."""
    gray = torch.tensor([LABELS.index(name) / 18 for name in names])
    row = gray.repeat_interleave(side_px // len(names))
    return row.expand(1, 3, side_px, -1) * 2 - 1


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return drawn_tensors()


@pytest.fixture(scope="module")
def weights(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as old as the published one, which torch wrote before version 1.6."""
    path = tmp_path_factory.mktemp("parser") / "79999_iter.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def parsing(weights: Path) -> FaceMask:
    return load_face_mask(str(weights), "cpu")


def no_landmarks(count: int) -> Tensor:
    return torch.zeros(count, 68, 2)


def test_without_weights_the_hull_stands_in_and_says_so() -> None:
    mask = load_face_mask("", "cpu")
    face = frontal_face(64)
    found = mask(torch.zeros(1, 3, 64, 80), face)
    assert torch.equal(found, face_hull(face, 64, 80))
    assert found.dtype == torch.float32
    assert set(found.flatten().tolist()) == {0, 1}
    assert "stands in for face parsing" in mask.note


def test_eyes_brows_mouth_and_nose_are_in_the_hull_and_the_corners_are_not() -> None:
    face = frontal_face(64)
    found = load_face_mask("", "cpu")(torch.zeros(1, 3, 64, 64), face)[0, 0]
    across, down = face[0, 17:].round().long().unbind(-1)
    assert found[down, across].all()
    assert not found[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_no_gradient_flows_and_autocast_changes_nothing(parsing: FaceMask) -> None:
    face = frontal_face(64).float().requires_grad_()
    images = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    kept: list[Tensor] = []  # for a backward pass
    for mask in (load_face_mask("", "cpu"), parsing):
        with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: face):
            plain = mask(images, face)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = mask(images, face)
        assert not plain.requires_grad
        assert mixed.dtype == torch.float32
        assert torch.equal(mixed, plain)
    assert not kept


def test_a_file_of_the_published_names_and_shapes_parses_as_the_literal_version(
    parsing: FaceMask, tensors: dict[str, Tensor], weights: Path
) -> None:
    smooth = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    images = functional.interpolate(smooth, (512, 512), mode="bicubic").clamp(0, 1)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    logits = literal_logits(tensors, (images - mean[:, None, None]) / std[:, None, None])
    left_out = {"background", "neck", "neck_l", "cloth", "hair", "hat"}
    expected = np.array([name not in left_out for name in PUBLISHED_ORDER])[logits.argmax(1)]
    assert 0.05 < expected.mean() < 0.95

    found = parsing(images * 2 - 1, no_landmarks(1))
    assert found.shape == (1, 1, 512, 512)
    assert (found[0, 0].bool().numpy() == expected[0]).mean() > 0.999
    assert str(weights) in parsing.note
    assert "without background, neck, necklace, clothing, hair, hat" in parsing.note


def test_each_of_a_batch_is_parsed_as_if_alone(tensors: dict[str, Tensor]) -> None:
    network = BiSeNet(len(LABELS))
    fill(network, tensors, "it does not fit")
    parser = Parser(network, NON_FACIAL, side_px=96)
    images = torch.rand(3, 3, 40, 72, generator=torch.Generator().manual_seed(4)) * 2 - 1
    together = parser(images)
    assert together.shape == (3, 1, 40, 72)
    assert 0.05 < together.mean() < 0.95
    alone = torch.cat([parser(image[None]) for image in images])
    assert (together == alone).double().mean() > 0.999


def test_labels_stand_in_the_order_of_the_published_file() -> None:
    short = {
        "left": "l", "right": "r", "upper": "u", "lower": "l", "glasses": "eye_g", "earring": "ear_r",
        "necklace": "neck_l", "clothing": "cloth",
    }  # fmt: skip
    assert ["_".join(short.get(word, word) for word in label.split()) for label in LABELS] == PUBLISHED_ORDER


@pytest.mark.parametrize("side_px", [152, 304, 608])
def test_masks_leave_out_what_is_no_face_by_name(side_px: int) -> None:
    width = side_px // 19
    found = Parser(PaintedLogits(), NON_FACIAL)(painted(LABELS, side_px))[0, 0]
    facial = {
        name: bool(found[side_px // 2, place * width + width // 2]) for place, name in enumerate(LABELS)
    }
    assert {name for name, face in facial.items() if not face} == {
        "background", "neck", "necklace", "clothing", "hair", "hat",
    }  # fmt: skip


def test_what_is_left_out_is_a_setting() -> None:
    image = painted(["skin", "hair", "glasses", "neck"], 128)
    beheld = {
        names: [Parser(PaintedLogits(), names)(image)[0, 0, 64, x].item() for x in (16, 48, 80, 112)]
        for names in ((), ("hair",), ("glasses", "neck"))
    }
    assert beheld == {(): [1, 1, 1, 1], ("hair",): [1, 0, 1, 1], ("glasses", "neck"): [1, 1, 0, 0]}


def test_the_network_sees_the_image_as_pil_resizes_it() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (700, 600, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    network = PaintedLogits()
    Parser(network, NON_FACIAL, side_px=256).labels(images)
    resized = np.asarray(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BILINEAR)) / 255
    expected = (resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    difference = network.seen[0].permute(1, 2, 0).numpy() - expected
    assert np.abs(difference * 0.229 * 255).max() < 1.5  # PIL rounds twice


def test_full_size_masks_of_a_batch() -> None:
    with FakeTensorMode():
        masks = Parser(BiSeNet(len(LABELS)), NON_FACIAL)(torch.empty(2, 3, 1024, 1024))
    assert masks.shape == (2, 1, 1024, 1024)
    assert masks.dtype == torch.float32


@pytest.mark.parametrize("setting", ["", "weights"])
def test_an_unknown_label_is_told_before_anything_is_loaded(setting: str) -> None:
    with pytest.raises(
        ValueError, match="there is no label 'beard' in face parsing; choose from background, skin, "
    ):
        load_face_mask(setting, "cpu", ["hair", "beard"])


def test_missing_weights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"there are no weights at '/no/such\.pth'"):
        load_face_mask("/no/such.pth", "cpu")
    with pytest.raises(MissingWeights, match=r"are not there: `curl -fL .*/facexlib/.*parsing_bisenet\.pth`"):
        load_face_mask("cache", "cpu")
    with pytest.raises(MissingWeights, match="cannot be `random`"):
        load_face_mask("random", "cpu")


def test_files_that_are_no_face_parser_are_told(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    path = tmp_path / "x.pth"
    shape = r"conv_out\.conv_out\.weight has shape \(11, 256, 1, 1\), not \(19, 256, 1, 1\)"
    head = "conv_out.conv_out.weight"
    for content, said in (
        (b"<html>not found</html>", "torch cannot read it"),
        ({"encoder.0.conv2d.weight": torch.zeros(3)}, r"\(BiSeNet\): it has no cp\.resnet\.conv1\.weight"),
        ({**tensors, head: tensors[head][:11].clone()}, shape),
    ):
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(MissingWeights, match=rf"x\.pth holds no weights of a face parser.*{said}"):
            load_face_mask(str(path), "cpu")


def test_loading_leaves_torchs_generator_where_it_is(weights: Path) -> None:
    before = torch.get_rng_state()
    load_face_mask(str(weights), "cpu")
    assert torch.equal(torch.get_rng_state(), before)
