"""The landmark detector: it learns, its augmentation moves image and points alike, and it says what is missing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.geometry.similarity import move_images, move_points, random_similarities
from facerefs.trainers.loop.settings import Adam
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.metrics.nme import BINS
from facerefs.trainers.models.common.tiny import TINY_REFINE
from facerefs.trainers.models.landmarks import PRESETS, Landmarks, Moves, draw_points, find_landmarks
from facerefs.trainers.models.model import LandmarkModel, Model
from facerefs.trainers.networks.heatmaps import gaussians
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch, to_device
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face

CPU = torch.device("cpu")
SMALL = replace(
    PRESETS["tiny"],
    size_px=32,
    widths=(16, 32),
    stride=2,
    moves=Moves(0.03, 0.05, 3),
    map_weight=0.1,
    adam=Adam(lr=5e-3, beta1=0.9, beta2=0.99),
)


def batch_of(images: Tensor, landmarks: Tensor) -> DeviceBatch:
    """A batch of these degraded faces in [-1, 1] with these landmarks."""
    faces = collate(
        [prepared(i, face_files(i), degradation="stored") for i in range(len(images))], references=0
    )
    ready = to_device(faces, CPU, None, None, torch.float32, (-1, 1))
    return replace(ready, landmarks=landmarks, target=images, degraded=images)


def drawn_faces(count: int, size_px: int) -> tuple[Tensor, Tensor]:
    """Grey images with bright dots at the landmarks of a face, each at another place."""
    turns = random_similarities(count, size_px, 0.08, 0.1, 10, CPU)
    points = move_points(frontal_face(size_px).float().expand(count, -1, -1), turns)
    return draw_points(torch.full((count, 3, size_px, size_px), -0.5), points, (1.0, 0.5, 0.0)), points


def losses(training_module: TrainingModule, batch: DeviceBatch, steps: int) -> list[float]:
    (phase,) = training_module.phases
    values = []
    for _ in range(steps):
        terms = phase.loss(batch)
        training_module.optimisers[phase.optimiser].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        training_module.optimisers[phase.optimiser].step()
        values.append(terms["points"].item())
    return values


def test_it_learns_four_faces_and_finds_them() -> None:
    torch.manual_seed(0)
    batch = batch_of(*drawn_faces(4, 32))
    networks = SMALL.networks()
    training_module = SMALL.training_module(networks, CPU, "")

    course = losses(training_module, batch, 100)
    with torch.no_grad():
        scores = training_module.scores(networks, batch)

    assert course[0] > 0.3
    assert sum(course[-10:]) / 10 < 0.12
    assert scores["nme"].max() < 0.08
    assert 0 < scores["nme/moved"].max() < 0.12
    torch.testing.assert_close(torch.stack([scores[f"nme/{name}"] for name in BINS]).nansum(0), scores["nme"])


def test_its_pictures_are_images_of_one_shape() -> None:
    batch = batch_of(*drawn_faces(2, 32))
    networks = SMALL.networks()

    with torch.no_grad():
        pictures = SMALL.training_module(networks, CPU, "").pictures(networks, batch)

    assert {tuple(picture.shape) for picture in pictures.values()} == {(2, 3, 32, 32)}
    assert all(picture.abs().max() <= 1 for picture in pictures.values())


def test_image_and_points_move_together() -> None:
    torch.manual_seed(1)
    centres = torch.tensor([[[20.0, 24.0], [33.3, 40.7]]]).repeat(4, 1, 1)
    images = gaussians(centres, 64, 64, stride=1, sigma_cells=2.0)
    transforms = random_similarities(4, 64, 0.1, 0.2, 20, CPU)

    moved = move_images(images, transforms)
    place = torch.arange(64.0)
    total = moved.sum((-2, -1))
    found = torch.stack(
        [(moved.sum(-2) * place).sum(-1) / total, (moved.sum(-1) * place).sum(-1) / total], -1
    )

    expected = move_points(centres, transforms)
    assert (expected - centres).norm(dim=-1).max() > 3
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)


def test_no_move_leaves_an_image_as_it_is() -> None:
    images = torch.rand(2, 3, 16, 16)

    torch.testing.assert_close(move_images(images, random_similarities(2, 16, 0, 0, 0, CPU)), images)


def test_moves_follow_torchs_seed_and_stay_within_their_bounds() -> None:
    torch.manual_seed(3)
    first = random_similarities(500, 64, 0.1, 0.2, 15, CPU)
    torch.manual_seed(3)
    again = random_similarities(500, 64, 0.1, 0.2, 15, CPU)
    centre = move_points(torch.full((500, 1, 2), 31.5), first)[:, 0] - 31.5
    scale = torch.linalg.det(first[:, :, :2]).sqrt()
    turn = torch.rad2deg(torch.atan2(first[:, 1, 0], first[:, 0, 0]))

    assert torch.equal(first, again)
    assert 6 < centre.abs().max() <= 6.4 + 1e-4
    assert 1 / 1.2 - 1e-5 <= scale.min() < 0.85
    assert 1.18 < scale.max() <= 1.2 + 1e-5
    assert 14 < turn.abs().max() <= 15 + 1e-4


def test_points_outside_the_image_do_not_count() -> None:
    torch.manual_seed(0)
    images, truth = drawn_faces(2, 32)
    network = SMALL.networks()["heatmaps"]
    outside = truth.clone()
    outside[:, 0] = torch.tensor([-3.0, 5.0])
    further = truth.clone()
    further[:, 0] = torch.tensor([-300.0, 5.0])

    terms, others = (SMALL.loss(network, images, points) for points in (outside, further))

    assert terms["points"] == others["points"]
    assert terms["maps"] == others["maps"]


class Corner(nn.Module):
    """Finds the brightest pixel."""

    stride = 1

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :1].expand(-1, 68, -1, -1) * 1000


def test_landmarks_are_found_in_images_of_another_size() -> None:
    images = torch.full((1, 3, 128, 96), -1.0)
    images[:, :, 40:44, 60:63] = 1

    found = find_landmarks(PRESETS["tiny"], {"heatmaps": Corner()}, images)

    assert found.shape == (1, 68, 2)
    torch.testing.assert_close(found[0, 0], torch.tensor([61.0, 41.5]), atol=0.6, rtol=0)


def test_presets_are_models_and_landmarkers() -> None:
    for model in PRESETS.values():
        assert isinstance(model, Model)
        assert isinstance(model, LandmarkModel)
    with torch.no_grad():
        assert PRESETS["tiny"].find(PRESETS["tiny"].networks(), torch.zeros(1, 3, 64, 64)).shape == (1, 68, 2)
        assert PRESETS["paper"].find(PRESETS["paper"].networks(), torch.zeros(1, 3, 256, 256)).shape == (
            1,
            68,
            2,
        )


def test_a_size_that_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"size_px is a multiple of 16 .* not 60"):
        replace(PRESETS["tiny"], size_px=60).networks()
    with pytest.raises(ValueError, match="power of two as stride"):
        replace(PRESETS["tiny"], stride=0).networks()
    with pytest.raises(ValueError, match="network fan sees 256 px, not size_px 64"):
        replace(PRESETS["tiny"], network="fan").networks()


def test_a_batch_without_references_comes_from_the_stream() -> None:
    pair = [prepared(i, face_files(i), degradation=TINY_REFINE, references=0) for i in range(2)]
    (batch,) = on_device([collate(pair, references=0, at_once=1)], CPU)

    terms = PRESETS["tiny"].training_module(PRESETS["tiny"].networks(), CPU, "").phases[0].loss(batch)

    assert set(terms) == {"points", "maps"}
    assert torch.isfinite(torch.stack(list(terms.values()))).all()


@pytest.fixture
def fan() -> Landmarks:
    pytest.importorskip("face_alignment")
    return replace(PRESETS["paper"], network="fan")


def test_missing_weights_of_fan_are_one_sentence(fan: Landmarks, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    networks = fan.networks()

    with pytest.raises(MissingWeights, match=r"curl -L --create-dirs -o .*2DFAN4.* https://.*network small"):
        fan.training_module(networks, CPU, "")
    for damaged in (b"no weights", b"root:x:0:0", b"{", b""):
        (tmp_path / "bad.pth").write_bytes(damaged)
        with pytest.raises(MissingWeights, match=r"bad\.pth holds no weights of FAN"):
            replace(fan, fan_weights=str(tmp_path / "bad.pth")).training_module(networks, CPU, "")


def test_fan_loads_its_weights_and_finds_what_the_engine_finds(fan: Landmarks, tmp_path: Path) -> None:
    """Random weights, saved; the network's maps are the package's own, and their sharpened peaks lie at the peaks."""
    torch.manual_seed(0)
    from facerefs.trainers.networks.fan import FanNetwork

    saved = FanNetwork(keep_statistics=True)
    torch.save(saved.network.state_dict(), tmp_path / "fan.pth")
    networks = fan.networks()
    training_module = replace(fan, fan_weights=str(tmp_path / "fan.pth")).training_module(networks, CPU, "")
    image = torch.rand(1, 3, 256, 256) * 2 - 1

    with torch.no_grad():
        heat = saved.eval().network((image + 1) / 2)[-1]
        logits = networks["heatmaps"].eval()(image)

    assert "fan.pth" in training_module.notes[0]
    heat = heat.flatten(2)
    at_peaks = heat.gather(-1, logits.flatten(2).argmax(-1, keepdim=True))[..., 0]
    assert torch.isfinite(logits).all()
    positive = heat.amax(-1) > 0
    assert positive.sum() > 40
    torch.testing.assert_close(at_peaks[positive], heat.amax(-1)[positive])


def test_fan_keeps_its_statistics_in_training_unless_it_starts_at_random(fan: Landmarks) -> None:
    kept, learnt = (
        next(
            m
            for m in replace(fan, fan_weights=weights).networks()["heatmaps"].train().modules()
            if is_norm(m)
        )
        for weights in ("cache", "random")
    )

    assert not kept.training
    assert learnt.training


def is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d)
