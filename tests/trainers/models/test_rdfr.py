"""RDFR: features are quantised, noisy and gated as its paper says, clean faces make the codes, the losses are eq. 7."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop.checkpoint import newest, read
from facerefs.trainers.loop.precision import computing
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.losses.perceptual import Perceptual
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import Model, Restorer
from facerefs.trainers.models.rdfr import (
    PRESETS,
    GatedNoise,
    LinearGatedFusion,
    LossWeights,
    Pretrained,
    Rdfr,
    RdfrLosses,
    RdfrNetwork,
)
from facerefs.trainers.networks.stylegan2.encoder import Encoder
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.train import train
from tests.trainers.face_files import face_files, prepared
from tests.trainers.loop.toy import write_faces

CPU = torch.device("cpu")
SIDE_PX = 32
TINY = PRESETS["tiny"]
SMALL = replace(
    TINY,
    shape=replace(TINY.shape, size_px=SIDE_PX, channels=16, style_dim=16, skips=(8, 16), codes=12, decay=0.8),
    adam=PRESETS["paper"].adam,
    data=replace(TINY.data, batch_size=2, workers=0),
    loop=replace(
        TINY.loop,
        steps=4,
        log_every=1,
        validate_every=4,
        checkpoint_every=2,
        validation_samples=2,
        average_half_life_images=20.0,
    ),
)


def shaped(**changes: object) -> Rdfr:
    return replace(SMALL, shape=replace(SMALL.shape, **changes))


@pytest.fixture(scope="module")
def batch() -> DeviceBatch:
    faces = [
        prepared(i, face_files(i), reduce_px=SIDE_PX, degradation=SMALL.data.degradation) for i in range(3)
    ]
    (ready,) = on_device([collate(faces, references=0, at_once=1)], CPU)
    return ready


def drawn(model: Rdfr = SMALL) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return model.networks()


def trainee_of(model: Rdfr = SMALL) -> TrainingModule:
    return model.training_module(drawn(model), CPU, "")


def step(training_module: TrainingModule, batch: DeviceBatch, number: int = 1) -> dict[str, float]:
    """One step as the loop makes it, without R1; the generator's terms."""
    torch.manual_seed(number)
    told = {}
    for phase in training_module.phases[:2]:
        for network in training_module.networks.values():
            network.requires_grad_(requires_grad=False)
        training_module.networks[phase.networks[0]].requires_grad_(requires_grad=True)
        terms = phase.loss(batch)
        training_module.optimisers[phase.optimiser].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        training_module.optimisers[phase.optimiser].step()
        told |= {f"{phase.name}/{name}": term.item() for name, term in terms.items()}
    assert training_module.between_steps is not None
    training_module.between_steps(number, Distributed())
    return told


def test_it_is_a_model_and_a_blind_restorer() -> None:
    for model in PRESETS.values():
        assert isinstance(model, Model)
        assert isinstance(model, Restorer)
        assert (model.identity, model.stochastic, model.data.references) == ("", True, 0)


def test_the_full_network_has_the_sizes_of_the_paper() -> None:
    paper = PRESETS["paper"]
    with FakeTensorMode():  # shapes alone: nothing is computed
        networks = paper.networks()
        restored = networks["generator"](torch.empty(1, 3, 512, 512))
        networks["generator"].observe(torch.empty(1, 3, 512, 512))
    assert restored.image.shape == (1, 3, 512, 512)
    generator = networks["generator"]
    assert {side: book.codes.shape for side, book in generator.codebooks.items()} == dict.fromkeys(
        (8, 16, 32, 64), (1024, 512)
    )
    # r = 2^(log2 H - 5) beyond 32 px, else 1: W is HW / r^2 squared.
    sizes = {side: tuple(fusion.weight.shape) for side, fusion in generator.fusions.items()}
    assert sizes == {"8": (64, 64), "16": (256, 256), "32": (1024, 1024), "64": (1024, 1024)}
    assert (paper.adam.lr, paper.adam.beta1, paper.adam.beta2) == (2e-3, 0.0, 0.99)
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(47e6, rel=0.05)


# --- Network ---


def test_residual_blocks_begin_as_nothing_and_let_skips_see_more_of_the_face() -> None:
    torch.manual_seed(3)
    plain, deeper = (Encoder(dict.fromkeys((128, 64, 32, 16), 4), residual_blocks=n) for n in (0, 1))
    deeper.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(1, 3, 128, 128, requires_grad=True)
    assert torch.equal(deeper(image)[16], plain(image)[16])

    def seen_px(encoder: Encoder) -> int:
        (slopes,) = torch.autograd.grad(encoder(image)[16][0, :, 8, 8].sum(), image)
        return int(slopes.abs().sum((0, 1)).any(0).sum())

    for block in deeper.residual.values():
        nn.init.normal_(block[0].second.weight)
    assert (seen_px(plain), seen_px(deeper)) == (36, 92)
    assert (
        drawn(shaped(residual_blocks=2))["generator"](torch.rand(1, 3, SIDE_PX, SIDE_PX))
        .image.isfinite()
        .all()
    )


@pytest.mark.parametrize(("side", "window"), [(4, 1), (64, 2)])
def test_the_gated_fusion_is_equation_4(side: int, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facerefs.trainers.models.rdfr._GLOBAL_PX", side // window if side == 4 else 32)
    torch.manual_seed(2)
    fusion = LinearGatedFusion(side)
    places = (side // window) ** 2
    assert fusion.weight.shape == (places, places)
    p, q = torch.randn(2, 3, side, side), torch.randn(2, 3, side, side)
    assert torch.allclose(fusion(p, q), q + p / 2, atol=1e-6)  # W is 0 at first
    nn.init.normal_(fusion.weight)
    weight = fusion.weight.detach() / math.sqrt(places)

    total, small = p + q, side // window
    down = torch.zeros(2, 3, small, small)
    for y in range(small):
        for x in range(small):
            block = total[:, :, y * window : (y + 1) * window, x * window : (x + 1) * window]
            down[:, :, y, x] = block.sum((2, 3)) / window**2
    gate = torch.zeros(2, 3, small, small)
    for b in range(2):
        for c in range(3):  # the same W for all channels
            row = down[b, c].reshape(1, places)
            gate[b, c] = (1 / (1 + torch.exp(-(row @ weight)))).view(small, small)
    up = nn.Upsample(scale_factor=window, mode="bilinear")(gate)
    assert torch.allclose(fusion(p, q), up * total + (1 - up) * q, atol=1e-5)


def test_noise_is_gated_by_the_latent() -> None:
    torch.manual_seed(3)
    gated = GatedNoise(4, 6)
    latent, features = torch.randn(2, 4), torch.zeros(2, 6, 64, 64)
    torch.manual_seed(4)
    noise = gated(latent, features)
    torch.manual_seed(4)
    epsilon = torch.randn(2, 6, 64, 64)
    linear = latent @ gated.gate.weight.t() / 2  # with a bias of 0: eq. 6 has none
    gate = 1 / (1 + torch.exp(-linear))
    assert torch.allclose(noise, gate[:, :, None, None] * epsilon, atol=1e-6)
    assert gated(latent, torch.zeros(2, 6)).shape == (2, 6)


def test_the_decoder_sees_nothing_but_codes_of_a_quantised_skip(batch: DeviceBatch) -> None:
    model = shaped(noise=False)
    training_module = trainee_of(model)
    step(training_module, batch)
    generator = training_module.networks["generator"]
    assert isinstance(generator, RdfrNetwork)
    features = generator.encoder(restorer_input(batch).degraded)
    for side, skip in generator.skips.items():
        passed, commitment = skip(features[int(side)], torch.zeros(3, 16))
        vectors = passed.permute(0, 2, 3, 1).flatten(0, 2)
        distances = (vectors[:, None] - skip.codebook.codes).abs().amax(2).min(1).values
        assert distances.max() < 1e-6
        error = features[int(side)] - passed
        assert commitment.item() == pytest.approx(error.square().mean().item(), rel=1e-4)


def test_clean_faces_make_the_codes_and_only_in_the_generators_phase(batch: DeviceBatch) -> None:
    training_module = trainee_of()
    generator, (learning, judging, *_) = training_module.networks["generator"], training_module.phases
    assert isinstance(generator, RdfrNetwork)
    other = replace(batch, degraded=torch.zeros_like(batch.target))
    torch.manual_seed(5)
    learning.loss(batch)
    features = generator.encoder(batch.target)
    for side, codebook in generator.codebooks.items():
        clean = features[side].sum((0, 2, 3))
        assert torch.allclose(codebook.seen_sums.sum(0), clean, atol=1e-3)
        noted = codebook.seen_sums.clone()
        judging.loss(other)
        training_module.scores(training_module.networks, other)
        assert torch.equal(codebook.seen_sums, noted)
        assert not codebook.codes.requires_grad
    assert training_module.between_steps is not None
    training_module.between_steps(1, Distributed())
    for side, codebook in generator.codebooks.items():
        clean = features[side].permute(0, 2, 3, 1).flatten(0, 2)
        assert ((codebook.codes[:, None] - clean).abs().amax(2).min(1).values < 1e-4).all()


def test_restoration_is_stochastic_unless_its_noise_is_off(batch: DeviceBatch) -> None:
    seen = restorer_input(batch)
    for noise in (True, False):
        model = shaped(noise=noise)
        networks = {name: network.eval() for name, network in drawn(model).items()}
        for name, parameter in networks["generator"].named_parameters():
            if name.endswith("noise_strength"):  # of StyleGAN2's own noise, which is left out
                nn.init.ones_(parameter)
        torch.manual_seed(6)
        one, other = model.restore(networks, seen), model.restore(networks, seen)
        torch.manual_seed(6)
        assert torch.equal(model.restore(networks, seen), one)
        assert torch.equal(one, other) is not noise
        assert model.stochastic is noise
        pictures = model.pictures(networks, seen)
        assert set(pictures) == ({"another", "spread"} if noise else set())
        for picture in pictures.values():
            assert picture.shape == batch.target.shape


def test_the_spread_is_the_standard_deviation_of_the_faces(batch: DeviceBatch) -> None:
    networks = {name: network.eval() for name, network in drawn().items()}
    generator = networks["generator"]
    with torch.no_grad():
        torch.manual_seed(7)
        pictures = SMALL.pictures(networks, restorer_input(batch))
        torch.manual_seed(7)
        draws = list(generator(restorer_input(batch).degraded, 4).image.split(3))
    assert torch.equal(pictures["another"], draws[0])
    mean = sum(draws) / 4
    deviation = (sum((draw - mean) ** 2 for draw in draws) / 3) ** 0.5
    expected = (4 * deviation.mean(1, keepdim=True) - 1).clamp(max=1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(pictures["spread"], expected, rtol=0, atol=1e-5)


def test_the_spread_is_a_figure_and_large_at_first(batch: DeviceBatch) -> None:
    for noise in (True, False):
        training_module = trainee_of(shaped(noise=noise))
        networks = {name: network.eval() for name, network in training_module.networks.items()}
        with torch.no_grad():
            scores = training_module.scores(networks, batch)
            draws = torch.stack([training_module_image(networks, batch) for _ in range(64)])
        assert ("spread" in scores) is noise
        if noise:
            expected = draws.std(0).mean((1, 2, 3))
            assert scores["spread"].tolist() == pytest.approx(expected.tolist(), rel=0.25)
            assert scores["spread"].min() > 0.1  # 0.05 with gates that are almost closed


def training_module_image(networks: dict[str, nn.Module], batch: DeviceBatch) -> Tensor:
    return SMALL.restore(networks, restorer_input(batch))


def test_draws_share_the_codes_and_not_the_noise(batch: DeviceBatch) -> None:
    degraded = restorer_input(batch).degraded
    generator = drawn()["generator"].eval()
    made = generator(degraded, 3)
    draws = made.image.unflatten(0, (3, -1))
    assert draws.shape == (3, *degraded.shape)
    for one, other in ((0, 1), (1, 2)):
        assert (draws[one] - draws[other]).abs().mean() > 0.01
    assert [len(part.shape) for part in made.commitments] == [0, 0]
    quiet = drawn(shaped(noise=False))["generator"].eval()
    for image in quiet(degraded, 2).image.split(3):
        torch.testing.assert_close(image, quiet(degraded).image)


def test_noise_comes_after_the_codes(batch: DeviceBatch) -> None:
    generator = drawn()["generator"]
    assert isinstance(generator, RdfrNetwork)
    skip, latent = generator.skips["8"], torch.randn(3, 16)
    features = generator.encoder(restorer_input(batch).degraded)[8]
    torch.manual_seed(8)
    passed, _ = skip(features, latent)
    torch.manual_seed(8)
    codes = passed - skip.noise(latent, features)
    torch.testing.assert_close(codes, skip.codebook(features).features, rtol=0, atol=1e-5)


@pytest.mark.parametrize("noisy_part", ["style", "skips"])
def test_noise_comes_by_the_style_and_by_the_skips(noisy_part: str, batch: DeviceBatch) -> None:
    networks = drawn()
    generator = networks["generator"].eval()
    assert isinstance(generator, RdfrNetwork)
    skips = [skip.noise for skip in generator.skips.values()]
    for gate in skips if noisy_part == "style" else [generator.noise]:
        gate.gate.bias.data.fill_(-1e9)
    seen = restorer_input(batch)
    assert not torch.equal(SMALL.restore(networks, seen), SMALL.restore(networks, seen))
    for gate in [*skips, generator.noise]:
        gate.gate.bias.data.fill_(-1e9)
    assert torch.equal(SMALL.restore(networks, seen), SMALL.restore(networks, seen))


def test_switches_take_out_what_they_say() -> None:
    kinds = {
        name: {type(module).__name__ for module in drawn(shaped(**{name: False}))["generator"].modules()}
        for name in ("quantise", "gated_fusion", "noise")
    }
    for name, kind in {
        "quantise": "Codebook",
        "gated_fusion": "LinearGatedFusion",
        "noise": "GatedNoise",
    }.items():
        assert [one for one, found in kinds.items() if kind not in found] == [name]
    generator = drawn(shaped(skips=(16,)))["generator"]
    assert isinstance(generator, RdfrNetwork)
    assert (set(generator.skips), set(generator.codebooks)) == ({"16"}, {16})


def test_without_a_gate_features_are_added(batch: DeviceBatch) -> None:
    networks = drawn(shaped(gated_fusion=False))
    p, q = torch.randn(1, 16, 8, 8), torch.randn(1, 16, 8, 8)
    generator = networks["generator"]
    assert isinstance(generator, RdfrNetwork)
    assert torch.equal(generator.fusions["8"](p, q), p + q)
    assert torch.isfinite(SMALL.restore(networks, restorer_input(batch))).all()


# --- Losses and phases ---


def test_the_losses_are_equation_7(batch: DeviceBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = drawn(shaped(noise=False))
    generator, judge = networks["generator"], networks["discriminator"]
    perceptual = Perceptual("random", {"relu1_1": 1.0})
    weights = LossWeights(adversarial=2.0, pixels=3.0, perceptual=5.0, commitment=7.0)
    monkeypatch.setattr("facerefs.trainers.models.rdfr.augment", lambda images: images.flip(3) * 0.5)
    terms = RdfrLosses(generator, judge, weights, perceptual).generator(batch)
    image, commitments, _ = generator(restorer_input(batch).degraded)
    looks = judge(image.flip(3) * 0.5)
    expected = {
        "adversarial": 2 * -torch.log(1 / (1 + torch.exp(-looks))).mean(),
        "pixels": 3 * (image - batch.target).abs().sum() / batch.target.numel(),
        "perceptual": 5 * perceptual(image, batch.target),
        "commitment": 7 * (commitments[0] + commitments[1]),
    }
    assert set(terms) == set(expected)
    for name, term in expected.items():
        assert terms[name].item() == pytest.approx(term.item(), rel=1e-4), name


def test_features_can_be_pulled_to_the_codes_of_the_clean_face(batch: DeviceBatch) -> None:
    networks = drawn()
    generator = networks["generator"]
    weights = LossWeights(perceptual=0.0, clean_codes=2.0)
    losses = RdfrLosses(generator, networks["discriminator"], weights, None)
    term = losses.generator(batch)["clean_codes"]
    features, clean = (generator.encoder(images) for images in (restorer_input(batch).degraded, batch.target))
    total = torch.zeros(())
    for side, codebook in generator.codebooks.items():
        ours, theirs = (part.permute(0, 2, 3, 1).flatten(0, 2) for part in (features[side], clean[side]))
        codes = codebook.codes[torch.cdist(theirs, codebook.codes).argmin(1)]
        ours, codes = (v / v.square().mean(1, keepdim=True).sqrt() for v in (ours, codes))
        total = total + (ours - codes).square().mean()
    assert term.item() == pytest.approx(2 * total.item(), rel=1e-3)
    term.backward()
    moved = {name.partition(".")[0] for name, p in generator.named_parameters() if p.grad is not None}
    assert moved == {"encoder"}


def test_with_two_draws_l1_is_of_their_mean_and_all_else_of_the_first(
    batch: DeviceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = drawn()
    generator, judge = networks["generator"], networks["discriminator"]
    perceptual = Perceptual("random", {"relu1_1": 1.0})
    monkeypatch.setattr("facerefs.trainers.models.rdfr.augment", lambda images: images)
    losses = RdfrLosses(generator, judge, LossWeights(adversarial=2.0, draws=2), perceptual)
    torch.manual_seed(9)
    terms = losses.generator(batch)
    torch.manual_seed(9)
    first, second = generator(restorer_input(batch).degraded, 2).image.split(3)
    assert terms["pixels"].item() == pytest.approx(
        ((first + second) / 2 - batch.target).abs().mean().item(), rel=1e-4
    )
    assert terms["perceptual"].item() == pytest.approx(perceptual(first, batch.target).item(), rel=1e-4)
    softplus = nn.functional.softplus(-judge(first)).mean()
    assert terms["adversarial"].item() == pytest.approx(2 * softplus.item(), rel=1e-4)


def test_the_discriminator_sees_real_and_made_faces_augmented(
    batch: DeviceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    augmented: list[Tensor] = []

    def look(images: Tensor) -> Tensor:
        augmented.append(images)
        return images * 0

    monkeypatch.setattr("facerefs.trainers.models.rdfr.augment", look)
    training_module = trainee_of(shaped(noise=False))
    generator, judging, lazy = training_module.phases
    found = judging.loss(batch)["logistic"].item()
    blank = training_module.networks["discriminator"](torch.zeros_like(batch.target))
    assert found == pytest.approx(nn.functional.softplus(torch.stack([blank, -blank])).sum().item() / 3)
    assert len(augmented) == 2
    assert torch.equal(augmented[0], batch.target)
    assert (lazy.name, lazy.interval, lazy.force_fp32) == ("r1", 16, True)
    generator.loss(batch)
    assert augmented[2].requires_grad


def test_r1_goes_through_the_augmentation_to_the_faces(
    batch: DeviceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facerefs.trainers.models.rdfr.augment", lambda images: images.flip(3) * 0.5)
    made = trainee_of()
    judge, (_, _, lazy) = made.networks["discriminator"], made.phases
    shown = (batch.target.flip(3) * 0.5).requires_grad_()
    (slope,) = torch.autograd.grad(judge(shown).sum(), shown)
    expected = SMALL.losses.r1 / 2 * (slope / 2).square().sum((1, 2, 3)).mean().item()
    assert lazy.loss(batch)["r1"].item() == pytest.approx(expected, rel=1e-4)


def test_the_commitment_moves_the_encoder_and_nothing_else(batch: DeviceBatch) -> None:
    training_module = trainee_of()
    step(training_module, batch)
    generator = training_module.networks["generator"].requires_grad_(requires_grad=True)
    generator.zero_grad()
    training_module.phases[0].loss(batch)["commitment"].backward()
    moved = {
        name.split(".")[0]
        for name, p in generator.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    assert moved == {"encoder"}


def test_it_learns_one_batch_by_heart(batch: DeviceBatch) -> None:
    training_module = trainee_of(replace(SMALL, losses=replace(SMALL.losses, adversarial=0.0)))
    pixels = [step(training_module, batch, number)["generator/pixels"] for number in range(1, 51)]
    assert sum(pixels[-3:]) < 0.65 * sum(pixels[:3])  # slowly: at first half of the noise passes the gates


def test_rates_are_those_of_the_settings_and_frozen_parts_stay(batch: DeviceBatch) -> None:
    training_module = trainee_of(replace(SMALL, losses=LossWeights(perceptual=0.0, r1=0.0)))
    assert [phase.name for phase in training_module.phases] == ["generator", "discriminator"]
    assert training_module.averaged == ("generator",)
    assert training_module.optimisers["discriminator"].param_groups[0]["lr"] == 2e-3
    lazily = trainee_of().optimisers["discriminator"].param_groups[0]["lr"]
    assert lazily == pytest.approx(2e-3 * 16 / 17)
    judge = {
        name: p.detach().clone() for name, p in training_module.networks["discriminator"].named_parameters()
    }
    training_module.phases[0].loss(batch)
    assert all(
        torch.equal(judge[n], p) for n, p in training_module.networks["discriminator"].named_parameters()
    )


def test_it_trains_in_bfloat16(batch: DeviceBatch) -> None:
    training_module = trainee_of()
    loop = replace(SMALL.loop, precision="bfloat16")
    for phase in training_module.phases:
        with computing(loop, CPU, phase.force_fp32):
            total = torch.stack([term.float() for term in phase.loss(batch).values()]).sum()
        total.backward()
        assert total.isfinite()
    generator = training_module.networks["generator"]
    assert isinstance(generator, RdfrNetwork)
    assert training_module.between_steps is not None
    training_module.between_steps(1, Distributed())
    assert all(p.grad is None or p.grad.isfinite().all() for p in generator.parameters())
    assert all(book.codes.dtype == torch.float32 for book in generator.codebooks.values())


def test_scores_tell_how_many_codes_are_used(batch: DeviceBatch) -> None:
    training_module = trainee_of()
    step(training_module, batch)
    generator = training_module.networks["generator"]
    assert isinstance(generator, RdfrNetwork)
    scores = training_module.scores(training_module.networks, batch)
    features = generator.encoder(restorer_input(batch).degraded)
    for side, codebook in generator.codebooks.items():
        chosen = codebook(features[side]).chosen
        wanted = codebook(generator.encoder(batch.target)[side]).chosen
        shares = [(one == other).float().mean().item() for one, other in zip(chosen, wanted, strict=True)]
        assert scores[f"codes_agreement_{side}px"].tolist() == pytest.approx(shares)
        assert scores[f"codes_used_{side}px"].tolist() == [len(set(one.flatten().tolist())) for one in chosen]
        assert (
            scores[f"codes_perplexity_{side}px"].tolist() == [pytest.approx(12, rel=1e-3)] * 3
        )  # they begin equal
    assert list(training_module.pictures(training_module.networks, batch)) == [
        "degraded",
        "another",
        "spread",
        "output",
        "truth",
    ]
    plain = trainee_of(shaped(quantise=False))
    assert not [name for name in plain.scores(plain.networks, batch) if name.startswith("codes")]


def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", samples=3, references=0)

    def run(name: str, resume: bool, stop_after: int) -> None:
        count = iter(range(1, 100))
        train(
            "rdfr",
            SMALL,
            [str(faces)],
            tmp_path / name,
            resume,
            Distributed(),
            lambda _line: None,
            lambda: next(count) >= stop_after,
        )

    run("whole", False, 4)
    run("parts", False, 3)
    run("parts", True, 4)
    one, two = (read(newest(tmp_path / name / "checkpoints")) for name in ("whole", "parts"))
    assert one.step == two.step == 4
    for kind in ("networks", "averages"):
        for network, tensors in getattr(one, kind).items():
            for name, value in tensors.items():
                assert torch.equal(value, getattr(two, kind)[network][name]), name
    assert "skips.8.codebook.codes" in one.networks["generator"]


@pytest.mark.parametrize("skips", [(4, 8), (8, 64), (8, 8), (12,)])
def test_skips_that_cannot_be_are_told_in_a_sentence(skips: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape\.skips=\[.*resolutions of \[8, 16, 32\]") as caught:
        shaped(skips=skips).networks()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "error", "sentence"),
    [
        (
            replace(SMALL, data=replace(SMALL.data, references=1)),
            ValueError,
            r"set data\.references=0 instead of 1",
        ),
        (
            replace(SMALL, losses=LossWeights(), weights=Pretrained(perceptual="no.pth")),
            MissingWeights,
            r"no\.pth",
        ),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(model: Rdfr, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence) as caught:
        model.training_module(drawn(model), CPU, "")
    assert "\n" not in str(caught.value)
