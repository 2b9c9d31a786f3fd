"""StyleGAN2's training: what each phase moves and minimises, its optimisers, and what validation shows."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.loop.training_module import Phase, TrainingModule
from facerefs.trainers.models.catalogue import presets
from facerefs.trainers.models.model import Model
from facerefs.trainers.models.stylegan2 import (
    PRESETS,
    LossWeights,
    Pretrained,
    Shape,
    StyleGan2,
    draw_latents,
)
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation
from tests.trainers.face_files import SIZE_PX, face_files

CPU = torch.device("cpu")
SMALL = StyleGan2(shape=Shape(size_px=SIZE_PX, channels=8, style_dim=8, mapping_layers=2))


def ready(batch: int = 4) -> DeviceBatch:
    preparation = FacePreparation(size_px=SIZE_PX, references=0, degradation="bicubic")
    faces = [preparation(SampleRequest(i, 0, 0, i), face_files(i, references=0)) for i in range(batch)]
    return next(on_device([collate(faces, 0)], "cpu"))


def training_module(model: StyleGan2 = SMALL) -> TrainingModule:
    torch.manual_seed(6)
    networks = model.networks()
    for name in ("generator", "discriminator"):  # biases and noise are 0 at first
        for parameter in networks[name].parameters():
            nn.init.normal_(parameter)
    return model.training_module(networks, CPU, "")


def total(phase: Phase, batch: DeviceBatch) -> Tensor:
    return torch.stack(list(phase.loss(batch).values())).sum()


def test_there_are_four_phases_and_two_are_lazy_and_exact() -> None:
    phases = training_module().phases
    assert [(p.name, p.optimiser, p.networks, p.interval, p.force_fp32) for p in phases] == [
        ("generator", "generator", ("generator",), 1, False),
        ("path_length", "generator", ("generator",), 4, True),
        ("discriminator", "discriminator", ("discriminator",), 1, False),
        ("r1", "discriminator", ("discriminator",), 16, True),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_phase_moves_its_own_network_and_lowers_its_loss(number: int) -> None:
    made, batch = training_module(), ready()
    phase = made.phases[number]
    before = {name: [p.clone() for p in network.parameters()] for name, network in made.networks.items()}
    for name, network in made.networks.items():
        network.requires_grad_(name in phase.networks)
    losses = []
    for _ in range(4):
        torch.manual_seed(7)
        made.networks["path_length"].mean.zero_()  # type: ignore[operator]
        loss = total(phase, batch)
        loss.backward()
        made.optimisers[phase.optimiser].step()
        made.optimisers[phase.optimiser].zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, network in made.networks.items():
        moved = [not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)]
        assert any(moved) == (name in phase.networks)


def test_lazy_regularisation_scales_rates_and_betas() -> None:
    optimisers = training_module().optimisers
    for name, share in (("generator", 4 / 5), ("discriminator", 16 / 17)):
        group = optimisers[name].param_groups[0]
        assert group["lr"] == pytest.approx(2e-3 * share)
        assert group["betas"] == pytest.approx((0.0, 0.99**share))


def test_a_weight_of_zero_leaves_a_phase_out() -> None:
    made = training_module(replace(SMALL, losses=LossWeights(r1=0, path_length=0)))
    assert [phase.name for phase in made.phases] == ["generator", "discriminator"]
    assert made.optimisers["generator"].param_groups[0]["lr"] == pytest.approx(2e-3)


def test_r1_is_half_gamma_times_the_squared_gradient() -> None:
    made, batch = training_module(), ready(2)
    discriminator = made.networks["discriminator"]
    found = total(made.phases[3], batch).item()
    real = batch.target.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real)
    assert found == pytest.approx(10 / 2 * gradient.square().sum().item() / 2, rel=1e-4)
    assert not batch.target.requires_grad


def test_path_length_takes_a_part_of_the_batch_and_moves_its_mean() -> None:
    made = training_module()
    seen: list[int] = []
    made.networks["generator"].synthesis.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))  # type: ignore[union-attr]
    total(made.phases[1], ready(4))
    total(made.phases[1], ready(1))
    assert seen == [2, 1]
    assert made.networks["path_length"].state_dict()["mean"] > 0


def test_mixing_changes_latents_once_at_a_layer_of_each_image_s_own() -> None:
    generator = SMALL.networks()["generator"]
    assert isinstance(generator, Generator)
    torch.manual_seed(8)
    latents = draw_latents(generator, 2000, CPU, mixing=0.9)
    assert latents.shape == (2000, generator.layers, 8)
    changes = (latents[:, 1:] != latents[:, :-1]).any(2)
    assert set(changes.sum(1).tolist()) == {0, 1}
    assert changes.any(1).double().mean().item() == pytest.approx(0.9, abs=0.03)
    assert (changes.double().mean(0) > 0.9 / generator.layers / 2).all()
    assert latents.std().item() == pytest.approx(1, abs=0.02)
    same = draw_latents(generator, 5, CPU, mixing=0)
    assert torch.equal(same, same[:, :1].expand_as(same))


def test_validation_shows_the_same_samples_and_judges_real_and_made_faces() -> None:
    made, batch = training_module(), ready(3)
    shown = []
    for _ in range(2):
        torch.manual_seed(9)
        with torch.no_grad():
            shown.append(made.pictures(made.networks, batch))
    assert list(shown[0]) == ["sample", "truth"]
    assert torch.equal(shown[0]["sample"], shown[1]["sample"])
    assert all(images.shape == (3, 3, SIZE_PX, SIZE_PX) for images in shown[0].values())
    scores = made.scores(made.networks, batch)
    assert {name: tuple(score.shape) for name, score in scores.items()} == {
        "logit_real": (3,),
        "logit_sample": (3,),
    }
    torch.testing.assert_close(scores["logit_real"], made.networks["discriminator"](batch.target)[:, 0])


def test_training_starts_from_weights_and_notes_it(tmp_path: Path) -> None:
    start = training_module()
    torch.save(
        {name: network.state_dict() for name, network in start.networks.items()}, tmp_path / "start.pt"
    )
    path = str(tmp_path / "start.pt")
    model = replace(SMALL, weights=Pretrained(generator=path, discriminator=path))
    networks = model.networks()
    notes = model.training_module(networks, CPU, "").notes
    for name in ("generator", "discriminator"):
        for mine, its in zip(networks[name].parameters(), start.networks[name].parameters(), strict=True):
            assert torch.equal(mine, its)
    assert all("tensors matched" in note for note in notes)
    assert training_module().notes == ("generator: random weights", "discriminator: random weights")


def test_presets_are_models_and_the_paper_s_is_full_size() -> None:
    assert presets("stylegan2") is PRESETS
    assert all(isinstance(model, Model) for model in PRESETS.values())
    with torch.device("meta"):
        networks = PRESETS["paper"].networks()
    assert sum(p.numel() for p in networks["generator"].parameters()) == 30_276_583
    assert PRESETS["tiny"].size_px == 64
