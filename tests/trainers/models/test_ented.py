"""ENTED: the network carries what it should, the losses are eq. 4 and 9 to 11, the dictionary comes when it should."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.checkpoint import newest, read
from facerefs.trainers.loop.settings import Data
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.losses.perceptual import Perceptual
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.ented import (
    PRESETS,
    Codes,
    Dictionary,
    Ented,
    EntedLosses,
    EntedNetwork,
    LatentRefinement,
    Pretrained,
)
from facerefs.trainers.models.ented_pictures import attention_pictures
from facerefs.trainers.models.model import Model, Restorer
from facerefs.trainers.networks.quantise import nearest
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.train import train
from tests.trainers.face_files import face_files, prepared
from tests.trainers.loop.toy import write_faces

CPU = torch.device("cpu")
SIDE_PX = 32
CODES = Codes(count=4, channels=4, warm_up_steps=3, every=2, until=5, reservoir=24, noted_places=8)
TINY = PRESETS["tiny"]
SMALL = replace(
    TINY,
    shape=replace(TINY.shape, size_px=SIDE_PX, channels=16, style_dim=16, kernels=(3, 4)),
    codes=CODES,
    adam=PRESETS["paper"].adam,
    data=replace(TINY.data, batch_size=2, workers=0),
    loop=replace(
        TINY.loop,
        steps=6,
        log_every=1,
        validate_every=6,
        checkpoint_every=2,
        validation_samples=2,
        average_half_life_images=20.0,
    ),
)


@pytest.fixture(scope="module")
def batch() -> DeviceBatch:
    faces = [
        prepared(i, face_files(i), reduce_px=SIDE_PX, degradation=SMALL.data.degradation) for i in range(3)
    ]
    (ready,) = on_device([collate(faces, references=1, at_once=1)], CPU, warp=warp_for(SIDE_PX))
    return ready


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    return drawn(SMALL)


def drawn(model: Ented, seed: int = 1) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    return model.networks()


def used(networks: Mapping[str, nn.Module]) -> Dictionary:
    """The dictionary, from now on in use, with codes as large as what they stand for."""
    dictionary = networks["dictionary"]
    assert isinstance(dictionary, Dictionary)
    dictionary.used.fill_(True)
    return dictionary


def generator_of(networks: Mapping[str, nn.Module]) -> EntedNetwork:
    generator = networks["generator"]
    assert isinstance(generator, EntedNetwork)
    return generator


def with_shape(**changes: Any) -> Ented:
    return replace(SMALL, shape=replace(SMALL.shape, **changes))


def with_losses(**changes: Any) -> Ented:
    return replace(SMALL, losses=replace(SMALL.losses, **changes))


# --- The network ---


def test_it_is_a_model_and_a_restorer() -> None:
    assert all(isinstance(model, Model) and isinstance(model, Restorer) for model in PRESETS.values())
    assert all(model.identity == "" and not model.stochastic for model in PRESETS.values())


def test_the_full_network_has_the_sizes_of_the_paper() -> None:
    paper = PRESETS["paper"]
    image = (1, 3, 512, 512)
    with FakeTensorMode():  # shapes alone: nothing is computed
        networks = paper.networks()
        codes, flag = networks["dictionary"].codes, networks["dictionary"].used
        made = networks["generator"](torch.empty(image), torch.empty(image), codes, flag)
    assert made.image.shape == image
    kernels = {16: 16, 32: 32, 64: 32, 128: 64, 256: 64}
    for matrices in (made.extraction, made.distribution):
        assert {side: matrix.shape for side, matrix in matrices.items()} == {
            side: (1, count, side * side) for side, count in kernels.items()
        }
    assert codes.shape == (1024, 256)
    assert made.quantised.chosen.shape == (1, 16, 16)
    assert sum(p.numel() for p in networks["generator"].parameters()) == 32_001_373
    assert (paper.loop.steps, paper.data.batch_size, paper.adam.lr) == (400_000, 4, 2e-3)
    losses = paper.losses
    assert (losses.adversarial, losses.perceptual, losses.quantisation, losses.attention) == (1.5, 1, 1, 15)
    assert (losses.commitment, losses.pixels) == (0.25, 0)
    assert losses.attention_sides == "mean"  # as in the code from which the loss and its weight are


@pytest.mark.parametrize("what", ["degraded", "references"])
def test_both_images_count_and_the_same_face_comes_each_time(
    networks: dict[str, nn.Module], batch: DeviceBatch, what: str
) -> None:
    generator = generator_of(networks).eval()
    with_loud_noise(generator)
    seen = restorer_input(batch)
    other = replace(seen, **{what: torch.randn_like(getattr(seen, what))})
    assert not torch.allclose(SMALL.restore(networks, seen), SMALL.restore(networks, other), atol=1e-3)
    assert torch.equal(SMALL.restore(networks, seen), SMALL.restore(networks, seen))
    generator.train()
    assert not torch.equal(SMALL.restore(networks, seen), SMALL.restore(networks, seen))


def test_without_noise_training_sees_the_same_face_too(batch: DeviceBatch) -> None:
    model = with_shape(noise=False)
    networks = drawn(model)
    with_loud_noise(generator_of(networks))
    seen = restorer_input(batch)
    assert torch.equal(model.restore(networks, seen), model.restore(networks, seen))


def with_loud_noise(generator: EntedNetwork) -> None:
    """StyleGAN2's noise, which begins at a strength of 0."""
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            nn.init.ones_(parameter)


def test_decoder_and_style_start_from_codes_once_they_are_used(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    generator, dictionary = generator_of(networks), networks["dictionary"]
    assert isinstance(dictionary, Dictionary)
    starts: list[Tensor] = []
    generator.decoder.register_forward_hook(lambda _, args, __: starts.append(args[3]))
    styled: list[tuple[Tensor, Tensor]] = []
    generator.refinement.register_forward_hook(lambda _, args, __: styled.append(args))
    seen = restorer_input(batch)
    for _ in range(2):
        SMALL.restore(networks, seen)
        dictionary.used.fill_(True)
    coded = generator.coded(seen.degraded)
    distances = torch.cdist(coded.permute(0, 2, 3, 1).flatten(0, 2), dictionary.codes)
    nearest = dictionary.codes[distances.argmin(1)].view(3, 8, 8, 4).permute(0, 3, 1, 2)
    torch.testing.assert_close(starts[0], generator.from_code(coded))
    torch.testing.assert_close(starts[1], generator.from_code(nearest), rtol=1e-4, atol=1e-5)
    texture = generator.texture_encoder(seen.references[:, 0])[8]
    for start, (content, reference) in zip(starts, styled, strict=True):
        assert torch.equal(content, start)
        assert torch.equal(reference, texture)


def test_gradients_pass_straight_through_the_codes_to_the_content_encoder(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    """Without residuals and refinement nothing else leads there."""
    model = with_shape(residuals=False, refine_latent=False)
    networks = drawn(model)
    used(networks)
    model.restore(networks, restorer_input(batch)).square().mean().backward()
    generator = generator_of(networks)
    assert all(p.grad is not None and p.grad.any() for p in generator.content_encoder.parameters())
    assert networks["dictionary"].codes.grad is None or not networks["dictionary"].codes.grad.any()


def test_textures_and_residuals_are_added_as_the_file_says(batch: DeviceBatch) -> None:
    """Literally, for the second side: (F + F_o) / sqrt 2, then (that + content) / sqrt 2; at the deepest only F_o."""
    generator = generator_of(drawn(SMALL))
    calls: dict[int, tuple[Tensor, Tensor]] = {}
    block = generator.decoder.blocks["16"]
    inside: dict[str, Tensor] = {}
    block.first.register_forward_hook(lambda _, __, out: inside.update(first=out))
    block.second.register_forward_pre_hook(lambda _, args: inside.update(fused=args[0]))
    for side in (8, 16):
        generator.distributions[str(side)].register_forward_hook(
            lambda _, args, out, side=side: calls.update({side: (args[0], out[0])})
        )
    generator.decoder.blocks["8"].to_rgb.register_forward_pre_hook(
        lambda _, args: inside.update(deepest=args[0])
    )
    seen = restorer_input(batch)
    generator.eval()(seen.degraded, seen.references[:, 0])
    decoded, laid = calls[16]
    assert torch.equal(decoded, inside["first"])
    content = generator.content_encoder(seen.degraded)[16]
    expected = ((decoded + laid) / 2**0.5 + content) / 2**0.5
    torch.testing.assert_close(inside["fused"], expected)
    decoded, laid = calls[8]
    torch.testing.assert_close(inside["deepest"], (decoded + laid) / 2**0.5)
    assert set(generator.distributions) == {"8", "16"}  # none at 32


def test_the_refined_style_is_equations_6_to_8() -> None:
    torch.manual_seed(3)
    refinement = LatentRefinement(6, 5, refine=True)
    for parameter in refinement.parameters():
        nn.init.normal_(parameter)
    content, reference = torch.randn(1, 6, 2, 3) + 1, torch.randn(1, 6, 2, 3) - 1

    def tokens(features: Tensor, layer: nn.Module) -> Tensor:
        """FN and the 1 x 1 convolution with its gain of sqrt 6: (6, hw)."""
        flat = features[0].flatten(1)
        normal = (flat - flat.mean(0)) / flat.square().sum(0).sqrt()
        weight = layer.weight[:, :, 0, 0]
        return weight / 6**0.5 * 6**0.5 @ normal  # equalised rate, gain

    def attended(queries: Tensor, keys: Tensor) -> Tensor:
        columns = []
        for column in queries.T:
            shares = torch.softmax(torch.stack([column @ key for key in keys.T]) / 6**0.5, 0)
            columns.append(sum(share * key for share, key in zip(shares, keys.T, strict=True)))
        return torch.stack(columns, 1)

    ours, theirs = tokens(content, refinement.content), tokens(reference, refinement.reference)
    one = refinement.content_gamma[:, None] * attended(ours, theirs) + content[0].flatten(1)
    other = refinement.reference_gamma[:, None] * attended(theirs, ours) + reference[0].flatten(1)
    expected = refinement.style(torch.cat([one, other]).mean(1)[None])
    found = refinement(content, reference)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(refinement(content, reference), found)


# --- Ablations ---


def test_without_the_dictionary_nothing_is_quantised(batch: DeviceBatch) -> None:
    model = with_shape(dictionary=False)
    networks = drawn(model)
    assert set(networks) == {"generator", "discriminator"}
    made = model.training_module(networks, CPU, "")
    assert made.between_steps is None
    assert (made.phases[0].name, made.phases[0].end_step) == ("generator", None)
    assert "quantisation" not in made.phases[0].loss(batch)
    # Else the network is the very same, as the warm-up has it.
    whole = drawn(SMALL)
    one = model.restore({"generator": networks["generator"].eval()}, restorer_input(batch))
    other = SMALL.restore({name: network.eval() for name, network in whole.items()}, restorer_input(batch))
    torch.testing.assert_close(one, other)


def test_scores_tell_which_codes_are_used_once_they_are(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    scored = training_module(SMALL, networks).scores
    dictionary, generator = used(networks), generator_of(networks)
    chosen, wanted = (
        nearest(generator.coded(images).permute(0, 2, 3, 1), dictionary.codes).flatten(1)
        for images in (batch.degraded, batch.target)
    )
    scores = scored(networks, batch)
    assert scores["codes_used"].tolist() == [len(set(one.tolist())) for one in chosen]
    assert scores["codes_agreement"].tolist() == pytest.approx((chosen == wanted).float().mean(1).tolist())
    dictionary.used.fill_(False)
    assert scored(networks, batch)["codes_used"].isnan().all()
    plain = with_shape(dictionary=False)
    assert "codes_used" not in training_module(plain, drawn(plain)).scores(drawn(plain), batch)


def test_without_refinement_the_style_is_of_the_content_alone(batch: DeviceBatch) -> None:
    generator = generator_of(drawn(with_shape(refine_latent=False)))
    content, one, other = (torch.randn(2, 16, 4, 4) for _ in range(3))
    assert torch.equal(generator.refinement(content, one), generator.refinement(content, other))
    assert [name for name, _ in generator.refinement.named_parameters()] == ["style.weight", "style.bias"]


def test_without_residuals_the_shallow_content_does_not_count(batch: DeviceBatch) -> None:
    for residuals in (True, False):
        generator = generator_of(drawn(with_shape(residuals=residuals))).eval()
        seen = restorer_input(batch)
        seen.degraded.requires_grad_()
        shallow: list[Tensor] = []
        hook = generator.content_encoder.down["8"].register_forward_pre_hook(
            lambda _, args: (args[0].detach(),)  # cut the way through the depth
        )
        generator(seen.degraded, seen.references[:, 0]).image.sum().backward()
        shallow.append(torch.zeros(()) if seen.degraded.grad is None else seen.degraded.grad)
        hook.remove()
        seen.degraded.grad = None
        seen.degraded.requires_grad_(False)
        assert bool(shallow[0].any()) is residuals


# --- The losses ---


def training_module(model: Ented, networks: dict[str, nn.Module]) -> TrainingModule:
    return model.training_module(networks, CPU, "")


def test_the_losses_are_the_equations(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    generator, dictionary = generator_of(networks).eval(), used(networks)
    weights = replace(
        SMALL.losses, adversarial=2.0, pixels=3.0, quantisation=5.0, attention=7.0, attention_sides="sum"
    )
    losses = EntedLosses(networks, weights, None, 8)
    terms = losses.generator(batch)
    seen = restorer_input(batch)
    restored = SMALL.restore(networks, seen)
    logits = networks["discriminator"](restored)
    expected = {
        "adversarial": 2 * torch.log1p(torch.exp(-logits)).mean().item(),
        "pixels": 3 * (restored - batch.target).abs().mean().item(),
    }
    coded = generator.coded(seen.degraded)
    total = 0.0
    for vector in coded.permute(0, 2, 3, 1).flatten(0, 2):
        total += min((vector - code).square().sum().item() for code in dictionary.codes)
    expected["quantisation"] = 5 * (1 + 0.25) * total / coded.numel()
    made = generator(seen.degraded, seen.references[:, 0], dictionary.codes, dictionary.used)
    attention = 0.0
    for side in (8, 16):
        small = [
            nn.functional.interpolate(images, (side, side), mode="bilinear").flatten(2)
            for images in (seen.references[:, 0], batch.target)
        ]
        there = small[0] @ made.extraction[side].transpose(1, 2) @ made.distribution[side]
        attention += (small[1] - there).abs().mean().item()
    expected["attention"] = 7 * attention
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-4)
    averaged = EntedLosses(networks, replace(weights, attention_sides="mean"), None, 8).generator(batch)
    assert averaged["attention"].item() == pytest.approx(7 * attention / 2, rel=1e-4)


def test_the_commitment_moves_the_encoder_and_the_other_term_the_codes(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    generator, dictionary = generator_of(networks).eval(), used(networks)
    weights = replace(SMALL.losses, commitment=0.0)
    gradients = {}
    for commitment in (0.0, 0.25):
        for network in networks.values():
            network.zero_grad()
        losses = EntedLosses(networks, replace(weights, commitment=commitment), None, 8)
        losses.generator(batch)["quantisation"].backward()
        to_code = generator.to_code.weight.grad
        gradients[commitment] = (dictionary.codes.grad.clone(), to_code is not None and bool(to_code.any()))
    assert torch.equal(gradients[0.0][0], gradients[0.25][0])
    assert gradients[0.0][0].any()
    assert (gradients[0.0][1], gradients[0.25][1]) == (False, True)


def test_in_warm_up_the_codes_neither_cost_nor_learn(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    terms = training_module(SMALL, networks).phases[0].loss(batch)
    assert terms["quantisation"] == 0
    torch.stack(list(terms.values())).sum().backward()
    codes = networks["dictionary"].codes
    assert codes.grad is None or not codes.grad.any()


def test_a_weight_of_0_leaves_its_term_out(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    made = training_module(with_losses(pixels=0.0, attention=0.0, r1=0.0), networks)
    assert set(made.phases[0].loss(batch)) == {"adversarial", "quantisation"}
    assert "r1" not in [phase.name for phase in made.phases]
    assert made.optimisers["discriminator"].param_groups[0]["lr"] == 2e-3


def test_the_perceptual_loss_is_vgg19_s(batch: DeviceBatch, networks: dict[str, nn.Module]) -> None:
    torch.manual_seed(5)
    perceptual = Perceptual("random")
    generator_of(networks).eval()
    terms = EntedLosses(networks, replace(SMALL.losses, perceptual=2.0), perceptual, 8).generator(batch)
    restored = SMALL.restore(networks, restorer_input(batch))
    assert terms["perceptual"].item() == pytest.approx(
        2 * perceptual(restored, batch.target).item(), rel=1e-4
    )


def test_the_perceptual_loss_can_have_the_layers_of_nted(batch: DeviceBatch) -> None:
    model = with_losses(perceptual=1.0, perceptual_layers="nted")
    model = replace(model, shape=replace(model.shape, noise=False), weights=Pretrained(vgg="random"))
    made = training_module(model, drawn(model))
    perceptual = Perceptual("random", dict.fromkeys([f"relu{n}_1" for n in range(1, 6)], 1.0))
    restored = model.restore(made.networks, restorer_input(batch))
    found = made.phases[0].loss(batch)["perceptual"]
    assert found.item() == pytest.approx(perceptual(restored, batch.target).item(), rel=1e-4)


# --- The phases and the dictionary ---


def test_phases_and_optimisers_are_the_paper_s(networks: dict[str, nn.Module]) -> None:
    made = training_module(replace(SMALL, losses=replace(SMALL.losses, r1_every=16)), networks)
    learning = ("generator", "dictionary")
    assert [
        (p.name, p.networks, p.interval, p.start_step, p.end_step, p.force_fp32) for p in made.phases
    ] == [
        ("generator", learning, 1, 0, 5, False),
        ("generator", learning, 1, 5, None, False),
        ("discriminator", ("discriminator",), 1, 0, None, False),
        ("r1", ("discriminator",), 16, 0, None, True),
    ]
    assert made.averaged == ("generator",)
    (group,) = made.optimisers["generator"].param_groups
    assert (group["lr"], group["betas"]) == (2e-3, (0.0, 0.99))
    (group,) = made.optimisers["discriminator"].param_groups
    assert group["lr"] == pytest.approx(1.882e-3, rel=1e-3)
    assert group["betas"] == pytest.approx((0.0, 0.9905), abs=1e-4)


@pytest.mark.parametrize(
    ("codes", "steps"),
    [
        (PRESETS["paper"].codes, list(range(10_000, 30_001, 2_000))),
        (CODES, [3, 5]),
        (replace(CODES, warm_up_steps=4), [4]),
    ],
)
def test_k_means_comes_after_the_warm_up_and_then_now_and_then(codes: Codes, steps: list[int]) -> None:
    assert [step for step in range(1, 40_000) if codes.due(step)] == steps


def test_the_reservoir_is_of_clean_content_and_filled_in_the_generator_s_phase_alone(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    made, dictionary = training_module(SMALL, networks), networks["dictionary"]
    assert isinstance(dictionary, Dictionary)
    made.pictures(networks, batch)
    for phase in made.phases[1:]:
        phase.loss(batch)
    assert dictionary.noted == 0
    made.phases[0].loss(batch)
    assert dictionary.noted == 8
    clean = generator_of(networks).coded(batch.target).permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.cdist(dictionary.reservoir[:8], clean).min(1).values.max() < 1e-3


def test_k_means_makes_codes_of_the_reservoir_and_adam_forgets_the_old_ones(
    networks: dict[str, nn.Module],
) -> None:
    made, dictionary = training_module(SMALL, networks), networks["dictionary"]
    assert isinstance(dictionary, Dictionary)
    assert made.between_steps is not None
    torch.manual_seed(6)
    dictionary.reservoir.copy_(torch.eye(4).repeat(6, 1))
    adam = made.optimisers["generator"]
    for parameter in (dictionary.codes, networks["generator"].to_code.bias):
        adam.state[parameter] = {"step": torch.tensor(1.0)}
    before = dictionary.codes.clone()
    made.between_steps(2, Distributed())
    assert torch.equal(dictionary.codes, before)
    assert not dictionary.used
    made.between_steps(3, Distributed())
    assert dictionary.used
    assert torch.cdist(dictionary.codes, torch.eye(4)).min(1).values.max() < 1  # not the noise that they were
    assert dictionary.codes.min() >= 0
    assert dictionary.codes not in adam.state
    assert networks["generator"].to_code.bias in adam.state


def test_it_learns_one_batch_by_heart(batch: DeviceBatch) -> None:
    model = replace(SMALL, codes=replace(CODES, warm_up_steps=20, until=20))
    networks = drawn(model)
    made = training_module(model, networks)
    first: dict[str, float] = {}
    for step in range(1, 61):
        terms = made.phases[0].loss(batch)
        made.optimisers["generator"].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        made.optimisers["generator"].step()
        assert made.between_steps is not None
        made.between_steps(step, Distributed())
        first = first or {name: term.item() for name, term in terms.items()}
    assert terms["pixels"].item() < 0.5 * first["pixels"]
    assert sum(term.item() for term in terms.values()) < 0.8 * sum(first.values())
    assert terms["quantisation"].item() > 0


# --- Training, validation, pictures ---


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("ented"), samples=3)


def run(model: Ented, faces: Path, folder: Path, resume: bool = False, stop_after: int | None = None) -> Any:
    steps = itertools.count(1)
    train(
        "ented",
        model,
        [str(faces)],
        folder,
        resume,
        Distributed(),
        announce=lambda _line: None,
        stop=lambda: stop_after is not None and next(steps) >= stop_after,
    )
    return read(newest(folder / "checkpoints"))


def tensors_of(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list) else []
    return [tensor for part in parts for tensor in tensors_of(part)]


@pytest.mark.parametrize("stop_after", [2, 3])  # in the warm-up, and right after the first k-means
def test_interrupted_and_resumed_is_uninterrupted(faces: Path, tmp_path: Path, stop_after: int) -> None:
    whole = run(SMALL, faces, tmp_path / "whole")
    run(SMALL, faces, tmp_path / "parts", stop_after=stop_after)
    parts = run(SMALL, faces, tmp_path / "parts", resume=True)
    assert whole.networks["dictionary"]["used"]
    for part in ("networks", "averages", "optimisers"):
        ours, theirs = tensors_of(getattr(whole, part)), tensors_of(getattr(parts, part))
        assert len(ours) == len(theirs) > 0
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_bfloat16_and_channels_last_run_and_stay_finite(faces: Path, tmp_path: Path) -> None:
    loop = replace(SMALL.loop, precision="bfloat16", channels_last=True)
    end = run(replace(SMALL, loop=loop), faces, tmp_path)
    assert end.networks["dictionary"]["used"]
    assert all(torch.isfinite(tensor).all() for tensor in tensors_of(end.networks))


def test_pictures_and_scores_are_of_what_was_restored(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    made = training_module(SMALL, networks)
    with torch.no_grad():
        networks = {name: network.eval() for name, network in networks.items()}
        pictures, scores = made.pictures(networks, batch), made.scores(networks, batch)
    assert list(pictures) == ["degraded", "reference", "carried", "taken", "laid", "output", "truth"]
    assert all(images.shape == batch.target.shape for images in pictures.values())
    reference = batch.references[:, 0]
    drawn_by = generator_of(networks)(batch.degraded, reference)
    shown = attention_pictures(reference, drawn_by.image, drawn_by.extraction[16], drawn_by.distribution[16])
    assert all(torch.allclose(pictures[name], images, atol=1e-5) for name, images in shown.items())
    figures = {name + end for name in ("psnr", "ssim") for end in ("", "_degraded")}
    assert set(scores) == figures | {"codes_used", "codes_agreement"}


def test_without_style_all_faces_share_the_scales_of_the_decoder_s_convolutions(batch: DeviceBatch) -> None:
    """Model 2 of table 3. What the style layer would tell of a face has no way into the decoder."""
    model = with_shape(style=False)
    generator = generator_of(drawn(model)).eval()
    assert generator.refinement is None
    styles: list[Tensor] = []
    generator.decoder.register_forward_pre_hook(lambda _network, given: styles.append(given[0]))
    made = generator(batch.degraded, batch.references[:, 0])
    assert not styles[0].any()
    assert styles[0].shape == (len(batch.target), model.shape.style_dim)
    assert made.image.shape == batch.target.shape
    other = generator(-batch.degraded, batch.references[:, 0])
    assert not torch.allclose(made.image, other.image)  # the content still counts
    assert {name.split(".")[0] for name, _ in generator_of(drawn(SMALL)).named_parameters()} - {
        name.split(".")[0] for name, _ in generator.named_parameters()
    } == {"refinement"}


def test_without_kernels_there_is_no_attention_to_show_or_to_learn(batch: DeviceBatch) -> None:
    model = with_shape(kernels=())
    networks = drawn(model)
    made = training_module(model, networks)
    assert "attention" not in made.phases[0].loss(batch)
    assert list(made.pictures(networks, batch)) == ["degraded", "reference", "output", "truth"]


# --- Bad settings ---


@pytest.mark.parametrize(
    ("model", "error", "sentence"),
    [
        (replace(SMALL, data=Data(references=0)), ValueError, r"set data\.references=1 instead of 0"),
        (replace(SMALL, data=Data(references=2)), ValueError, r"set data\.references=1 instead of 2"),
        (with_shape(deepest_px=32), ValueError, r"shape\.deepest_px is 32: it must be below shape\.size_px"),
        (with_shape(kernels=(3, 3, 3, 3)), ValueError, "from 8 to 32 px there are 3 sides"),
        (replace(SMALL, codes=replace(CODES, until=2)), ValueError, "no k-means would come"),
        (replace(SMALL, codes=replace(CODES, reservoir=25)), ValueError, "at most 24"),
        (replace(SMALL, codes=replace(CODES, reservoir=7)), ValueError, "at least 8"),
        (replace(SMALL, codes=replace(CODES, count=30)), ValueError, "at least 30"),
        (
            replace(with_losses(perceptual=1.0), weights=replace(SMALL.weights, vgg="no.pth")),
            MissingWeights,
            "no.pth",
        ),
        (replace(SMALL, weights=replace(SMALL.weights, lpips="no.pth")), MissingWeights, "no.pth"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(model: Ented, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence) as caught:
        model.training_module(model.networks(), CPU, "")
    assert "\n" not in str(caught.value)


def test_without_faiss_the_dictionary_is_refused_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("facerefs.trainers.networks.kmeans.find_spec", lambda _name: None)
    networks = drawn(SMALL)  # which restores without it
    with pytest.raises(ValueError, match="pip install faiss-cpu"):
        training_module(SMALL, networks)
    plain = with_shape(dictionary=False)
    training_module(plain, drawn(plain))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_makes_the_same_face(batch: DeviceBatch) -> None:
    networks = {name: network.eval() for name, network in drawn(SMALL).items()}
    used(networks)
    seen = restorer_input(batch)
    here = SMALL.restore(networks, seen)
    there = {name: network.cuda() for name, network in networks.items()}
    moved = replace(seen, degraded=seen.degraded.cuda(), references=seen.references.cuda())
    assert torch.allclose(SMALL.restore(there, moved).cpu(), here, atol=1e-2)


def test_the_widths_are_stylegan2_s_from_the_deepest_side_on() -> None:
    generator = generator_of(drawn(SMALL))
    channels = widths(SIDE_PX, 1, 16)
    found = {int(side): block.to_rgb.weight.shape[1] for side, block in generator.decoder.blocks.items()}
    assert found == {side: channels[side] for side in (8, 16, 32)}
