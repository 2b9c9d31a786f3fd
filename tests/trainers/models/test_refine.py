"""ReFine: the network fuses as its paper says, the losses are eq. 2 to 4, the phases move what they should."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.checkpoint import Checkpoint, write
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER, load
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.models.common.discriminator_phases import discriminator_phases
from facerefs.trainers.models.common.restorer_input import restorer_input, with_landmarks
from facerefs.trainers.models.landmarks import PRESETS as LANDMARKS
from facerefs.trainers.models.model import Model, Restorer
from facerefs.trainers.models.refine import (
    PRESETS,
    LossWeights,
    Pretrained,
    Refine,
    RefineLosses,
    Shape,
    optimiser_of,
)
from facerefs.trainers.networks.stylegan2.generator import Generator, Mapping
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face

CPU = torch.device("cpu")
SIDE_PX = 32
SMALL = replace(
    PRESETS["tiny"],
    shape=Shape(size_px=SIDE_PX, channels=16, channel_multiplier=1, style_dim=32, embedding_dim=8),
)


@pytest.fixture(scope="module")
def batch() -> DeviceBatch:
    faces = [
        prepared(i, face_files(i), reduce_px=SIDE_PX, degradation=SMALL.data.degradation) for i in range(3)
    ]
    made = collate(faces, references=1, at_once=1)
    points = frontal_face(SIDE_PX).float()
    made = replace(
        made,
        landmarks=points.expand(3, -1, -1),
        reference_landmarks=(points + torch.tensor([1.5, 0.5])).expand(3, 1, -1, -1),
        reference_embeddings=torch.nn.functional.normalize(torch.randn(3, 1, 8), dim=-1),
    )
    (ready,) = on_device([made], CPU, warp=warp_for(SIDE_PX))
    return ready


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return SMALL.networks()


def losses_of(networks: dict[str, nn.Module], weights: LossWeights) -> RefineLosses:
    def distances(one: Tensor, others: list[Tensor]) -> list[Tensor]:
        return [(one - other).square().mean(1, keepdim=True) for other in others]

    class Embedder(nn.Module):
        def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
            return nn.functional.normalize(
                images.flatten(1)[:, :8] + landmarks[:, 8:12].flatten(1) / SIDE_PX, dim=1
            )

    return RefineLosses(networks["generator"], networks["discriminator"], weights, distances, Embedder())


def test_it_is_a_model_and_a_restorer() -> None:
    assert all(isinstance(model, Model) and isinstance(model, Restorer) for model in PRESETS.values())


def test_the_full_network_has_the_sizes_of_the_paper() -> None:
    paper = PRESETS["paper"]
    with FakeTensorMode():  # shapes alone: nothing is computed
        networks = paper.networks()
        image = torch.empty(1, 3, 512, 512)
        assert networks["generator"](image, image, torch.empty(1, 512)).shape == (1, 3, 512, 512)
    generator = networks["generator"]
    assert isinstance(generator.prior, Generator)
    # Layers of 512 each; the first takes the style code and the embedding.
    assert [layer.weight.shape for layer in generator.style] == [(512, 1024), *[(512, 512)] * 3]
    assert set(generator.fusions) == {"4", "8", "16", "32", "64", "128", "256", "512"}
    assert (paper.adam.lr, paper.adam.beta1, paper.adam.beta2, paper.prior_lr) == (2e-3, 0.5, 0.99, 4e-4)
    assert (paper.loop.steps, paper.data.batch_size) == (800_000, 4)


@pytest.mark.parametrize(("bias", "prior_alone"), [(-40.0, True), (0.0, False)])
def test_a_closed_mask_leaves_the_prior_as_it_is(
    networks: dict[str, nn.Module], batch: DeviceBatch, bias: float, prior_alone: bool
) -> None:
    generator = networks["generator"].eval()
    for fusion in generator.fusions.values():
        fusion.mask.weight.data.zero_()
        fusion.mask.bias.data.fill_(bias)
    seen = restorer_input(batch)
    features = generator.encoder(torch.cat([seen.degraded, seen.warped[:, 0]], 1))
    style = generator.style_code(features[4].flatten(1))
    assert {side: part.shape[-1] for side, part in features.items()} == {s: s for s in (4, 8, 16, 32)}
    embedding = seen.reference_embeddings[:, 0] * 8**0.5
    style = generator.style(torch.cat([style, embedding], 1))
    alone = generator.prior.synthesis(style, "none")
    restored = SMALL.restore(networks, seen)
    assert torch.allclose(restored, alone, atol=1e-5) is prior_alone


def shaped(**changes: Any) -> Refine:
    return replace(SMALL, shape=replace(SMALL.shape, **changes))


def test_a_mask_bias_moves_the_output_towards_the_prior(batch: DeviceBatch) -> None:
    """With the same weights: -2 as if it were added to the convolution's bias, and -40 leaves the prior alone."""
    seen, images = restorer_input(batch), []
    for setting, in_weights in ((-2.0, 0.0), (0.0, -2.0), (-40.0, 0.0), (0.0, -40.0)):
        torch.manual_seed(1)
        model = shaped(mask_bias=setting)
        networks = {name: network.eval() for name, network in model.networks().items()}
        for fusion in networks["generator"].fusions.values():
            fusion.mask.bias.data += in_weights
        images.append(model.restore(networks, seen))
    assert torch.allclose(images[0], images[1], atol=1e-5)
    assert torch.allclose(images[2], images[3], atol=1e-5)
    assert not torch.allclose(images[0], images[2], atol=1e-2)


def test_the_encoder_s_features_can_be_fused_after_both_convolutions(batch: DeviceBatch) -> None:
    seen = restorer_input(batch)
    torch.manual_seed(1)
    once = {name: network.eval() for name, network in SMALL.networks().items()}
    twice = {name: network.eval() for name, network in shaped(fusions=2).networks().items()}
    second = twice["generator"].second_fusions
    assert set(second) == {"8", "16", "32"}
    twice["generator"].load_state_dict(once["generator"].state_dict(), strict=False)
    assert not torch.allclose(SMALL.restore(twice, seen), SMALL.restore(once, seen), atol=1e-2)
    for fusion in second.values():  # closed
        fusion.mask.bias.data.fill_(-60)
    assert torch.allclose(SMALL.restore(twice, seen), SMALL.restore(once, seen), atol=1e-5)


def test_without_noise_training_sees_the_same_face_too(batch: DeviceBatch) -> None:
    seen = restorer_input(batch)
    for noisy in (True, False):
        model = shaped(noise=noisy)
        networks = model.networks()
        for name, parameter in networks["generator"].named_parameters():
            if name.endswith("noise_strength"):
                nn.init.ones_(parameter)
        assert torch.equal(model.restore(networks, seen), model.restore(networks, seen)) is not noisy


def test_the_input_of_the_style_layers_can_have_a_mean_square_of_1(batch: DeviceBatch) -> None:
    model, kept = shaped(style_norm=True), []
    networks = model.networks()
    networks["generator"].style.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    model.restore(networks, restorer_input(batch))
    assert torch.allclose(kept[0].square().mean(1), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("style_lr", [2e-5, SMALL.prior_lr])
def test_the_style_layers_can_learn_more_slowly(style_lr: float) -> None:
    model = replace(SMALL, adam=replace(SMALL.adam, lr=3e-3), style_lr=style_lr)
    generator = model.networks()["generator"]
    groups = optimiser_of(model, generator).param_groups
    rates = {parameter: group["lr"] for group in groups for parameter in group["params"]}
    for name, parameter in generator.named_parameters():
        slow = {"prior": model.prior_lr, "style": style_lr}
        assert rates[parameter] == slow.get(name.partition(".")[0], 3e-3), name


@pytest.mark.parametrize("what", ["degraded", "warped", "reference_embeddings"])
def test_all_that_is_seen_counts(networks: dict[str, nn.Module], batch: DeviceBatch, what: str) -> None:
    networks["generator"].eval()
    seen = restorer_input(batch)
    other = replace(seen, **{what: torch.randn_like(getattr(seen, what))})
    assert not torch.allclose(SMALL.restore(networks, seen), SMALL.restore(networks, other), atol=1e-3)
    assert torch.equal(SMALL.restore(networks, seen), SMALL.restore(networks, seen))


def test_the_embedding_counts_from_the_start(batch: DeviceBatch) -> None:
    torch.manual_seed(2)
    model = replace(SMALL, shape=replace(SMALL.shape, embedding_dim=512))
    networks = {name: network.eval() for name, network in model.networks().items()}
    one, other = (nn.functional.normalize(torch.randn(3, 1, 512), dim=-1) for _ in range(2))
    seen = restorer_input(batch)
    images = [model.restore(networks, replace(seen, reference_embeddings=i)) for i in (one, other)]
    assert (images[0] - images[1]).square().mean().sqrt() > 0.02


def test_the_losses_are_the_equations(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    networks["generator"].eval()  # without noise
    weights = LossWeights(minimum=2.0, cycle=3.0, adversarial=5.0, identity=7.0)
    losses = losses_of(networks, weights)
    terms = losses.generator(batch)
    seen = restorer_input(batch)
    restored = SMALL.restore(networks, seen)

    minimum, cycle, identity = 0.0, 0.0, 0.0
    for i in range(3):
        for row in range(SIDE_PX):
            for column in range(SIDE_PX):
                place = (i, slice(None), row, column)
                to_truth = (restored[place] - batch.target[place]).square().mean().item()
                to_reference = (restored[place] - seen.warped[:, 0][place]).square().mean().item()
                inside = bool(seen.valid[i, 0, 0, row, column] > 0)
                minimum += min(to_truth, to_reference) if inside else to_truth
        a, b = restored[i].flatten()[:8], seen.reference_embeddings[i, 0]
        a = a + batch.landmarks[i, 8:12].flatten() / SIDE_PX  # the pose of the truth, not of the reference
        identity += 1 - (a @ b / (a.norm() * b.norm())).item()

    again = degrade_and_resize_back((restored.clamp(-1, 1) + 1) / 2, batch.thetas) * 2 - 1
    cycle = (again - seen.degraded).square().mean().item()
    assert terms["minimum"].item() == pytest.approx(2 * minimum / (3 * SIDE_PX**2), rel=1e-4)
    assert terms["cycle"].item() == pytest.approx(3 * cycle, rel=1e-3)
    assert terms["identity"].item() == pytest.approx(7 * identity / 3, rel=1e-4)
    logits = networks["discriminator"](restored)
    assert terms["adversarial"].item() == pytest.approx(
        5 * torch.log1p(torch.exp(-logits)).mean().item(), rel=1e-4
    )


def test_the_discriminator_tells_real_from_restored_and_r1_is_on_the_real_ones(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    networks["generator"].eval()  # without noise
    losses, judge = losses_of(networks, LossWeights()), networks["discriminator"]
    logistic, lazy = discriminator_phases(judge, losses.restored, 6.0, 16)
    restored = SMALL.restore(networks, restorer_input(batch))
    expected = torch.log1p(torch.exp(-judge(batch.target))) + torch.log1p(torch.exp(judge(restored)))
    assert logistic.loss(batch)["logistic"].item() == pytest.approx(expected.mean().item(), rel=1e-4)
    real = batch.target.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(real).sum(), real)
    found = lazy.loss(batch)["r1"].item()
    assert (lazy.interval, lazy.force_fp32) == (16, True)
    assert found == pytest.approx(6 / 2 * gradient.square().sum().item() / 3, rel=1e-4)


def test_the_baseline_has_the_traditional_loss_alone(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    networks["generator"].eval()
    terms = losses_of(networks, LossWeights(objective="baseline", minimum=2.0)).generator(batch)
    restored = SMALL.restore(networks, restorer_input(batch))
    assert set(terms) == {"truth", "adversarial"}
    assert terms["truth"].item() == pytest.approx(
        2 * (restored - batch.target).square().mean().item(), rel=1e-4
    )


def test_a_perfect_copy_of_the_reference_costs_no_minimum_but_a_cycle(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    class Copies(nn.Module):
        def forward(self, _degraded: Tensor, warped: Tensor, _embedding: Tensor) -> Tensor:
            return warped

    inside = replace(batch, valid=torch.ones_like(batch.valid))
    terms = losses_of(networks | {"generator": Copies()}, LossWeights()).generator(inside)
    assert terms["minimum"].item() == 0
    assert terms["cycle"].item() > 0.01


@pytest.fixture
def training_module(networks: dict[str, nn.Module]) -> TrainingModule:
    model = replace(SMALL, shape=replace(SMALL.shape, embedding_dim=128))
    return model.training_module(model.networks(), CPU, "dlib-resnet-128")


def with_embeddings(batch: DeviceBatch) -> DeviceBatch:
    vectors = nn.functional.normalize(torch.randn(3, 1, 128), dim=-1)
    return replace(batch, reference_embeddings=vectors, embedding=vectors[:, 0])


def test_each_phase_has_gradients_for_its_own_networks(
    training_module: TrainingModule, batch: DeviceBatch
) -> None:
    assert training_module.averaged == ("generator",)
    assert [(phase.name, phase.interval) for phase in training_module.phases] == [
        ("generator", 1),
        ("discriminator", 1),
        ("r1", SMALL.losses.r1_every),
    ]
    seen = with_embeddings(batch)
    for phase in training_module.phases:
        for network in training_module.networks.values():
            network.zero_grad()
        torch.stack([term.float() for term in phase.loss(seen).values()]).sum().backward()
        (own,) = phase.networks
        without = [name for name, p in training_module.networks[own].named_parameters() if p.grad is None]
        assert all(name == "logit.bias" for name in without), without  # r1 does not know it
        if own == "discriminator" and phase.name == "discriminator":
            assert all(p.grad is None for p in training_module.networks["generator"].parameters())


def test_the_prior_learns_more_slowly(training_module: TrainingModule) -> None:
    paper = replace(SMALL, prior_lr=4e-4, shape=replace(SMALL.shape, embedding_dim=128))
    training_module = paper.training_module(paper.networks(), CPU, "dlib-resnet-128")
    rates = {}
    for group in training_module.optimisers["generator"].param_groups:
        for parameter in group["params"]:
            rates[parameter] = group["lr"]
    generator = training_module.networks["generator"]
    for name, parameter in generator.named_parameters():
        assert rates[parameter] == (4e-4 if name.startswith("prior.") else 2e-3), name
    (group,) = training_module.optimisers["discriminator"].param_groups
    assert group["lr"] == pytest.approx(2e-3 * 16 / 17)
    assert group["betas"] == pytest.approx((0.5 ** (16 / 17), 0.99 ** (16 / 17)))


def test_without_r1_there_is_no_phase_for_it_and_rates_are_plain() -> None:
    losses = LossWeights(distance="pixels", r1=0.0)
    model = replace(SMALL, losses=losses, shape=replace(SMALL.shape, embedding_dim=128))
    made = model.training_module(model.networks(), CPU, "dlib-resnet-128")
    assert [phase.name for phase in made.phases] == ["generator", "discriminator"]
    assert made.optimisers["discriminator"].param_groups[0]["lr"] == 2e-3


def test_it_learns_one_batch_by_heart(batch: DeviceBatch) -> None:
    model = replace(
        SMALL,
        shape=replace(SMALL.shape, embedding_dim=128),
        losses=LossWeights(distance="pixels", identity=0.0),
    )
    torch.manual_seed(3)
    training_module = model.training_module(model.networks(), CPU, "dlib-resnet-128")
    seen = with_embeddings(batch)
    generator = training_module.phases[0]
    first: float | None = None
    for _ in range(60):
        terms = generator.loss(seen)
        training_module.optimisers["generator"].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        training_module.optimisers["generator"].step()
        first = first if first is not None else terms["minimum"].item()
    assert terms["minimum"].item() < 0.7 * first


def test_pictures_and_scores_are_of_what_was_restored(
    training_module: TrainingModule, batch: DeviceBatch
) -> None:
    seen = with_embeddings(batch)
    networks = {name: network.eval() for name, network in training_module.networks.items()}
    pictures = training_module.pictures(networks, seen)
    assert list(pictures) == ["degraded", "reference", "warped", "output", "truth"]
    scores = training_module.scores(networks, seen)
    error = ((pictures["degraded"].clamp(-1, 1) - pictures["truth"]) * 127.5).round()
    worst = 10 * torch.log10(255**2 / error.double().square().mean((1, 2, 3)))
    assert scores["psnr_degraded"] == pytest.approx(worst, abs=0.05)
    assert set(scores) == {
        name + ending
        for name in ("psnr", "ssim", "identity_truth", "identity_degrees", "identity_reference")
        for ending in ("", "_degraded")
    } | {"points_nme/truth"}
    assert scores["points_nme/truth"].tolist() == [0, 0, 0]


def test_a_file_of_stylegan2_fills_the_prior(tmp_path) -> None:
    torch.manual_seed(7)
    prior = Generator(SIDE_PX, widths(SIDE_PX, 1, 16), style_dim=32)
    torch.save({"g_ema": prior.state_dict()}, tmp_path / "prior.pt")
    model = replace(
        SMALL,
        shape=replace(SMALL.shape, embedding_dim=128),
        weights=replace(SMALL.weights, generator=str(tmp_path / "prior.pt")),
    )
    networks = model.networks()
    training_module = model.training_module(networks, CPU, "dlib-resnet-128")
    assert torch.equal(networks["generator"].prior.synthesis.const, prior.synthesis.const)
    assert any("prior.pt" in note for note in training_module.notes)


@pytest.mark.parametrize(
    ("weights", "stored", "error", "sentence"),
    [
        (Pretrained(identity="dlib"), "dlib-resnet-128", MissingWeights, "weights.generator"),
        (Pretrained(generator="random", identity="dlib"), "arcface:x", ValueError, "are of arcface:x"),
        (
            Pretrained(generator="random", identity="dlib"),
            "dlib-resnet-128",
            ValueError,
            "shape.embedding_dim=128",
        ),
        (Pretrained(generator="no.pt", identity="dlib"), "dlib-resnet-128", MissingWeights, "no.pt"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    weights: Pretrained, stored: str, error: type[Exception], sentence: str
) -> None:
    model: Refine = replace(SMALL, weights=weights)
    with pytest.raises(error, match=sentence) as caught:
        model.training_module(model.networks(), CPU, stored)
    assert "\n" not in str(caught.value)


def test_without_references_there_is_nothing_to_learn_from() -> None:
    model = replace(SMALL, data=replace(SMALL.data, references=0))
    with pytest.raises(ValueError, match=r"set data\.references=1"):
        model.training_module(model.networks(), CPU, "dlib-resnet-128")


@pytest.mark.parametrize(
    ("setting", "kind", "in_validation", "run"),
    [
        ("jitter", "jitter", "jitter", None),
        ("truth", "truth", "jitter", None),
        (None, "truth", "jitter", None),
        ("RUN", "detector", "detector", "RUN"),
    ],
)
def test_the_landmarks_of_degraded_faces_are_those_that_a_user_has(
    tmp_path: Path, setting: str | None, kind: str, in_validation: str, run: str | None
) -> None:
    if run is not None:
        run = setting = str(tmp_path)
        finder = LANDMARKS["tiny"]
        networks = {name: network.state_dict() for name, network in finder.networks().items()}
        kept = Checkpoint("landmarks", to_dict(finder), "", 1, networks, {}, {}, {}, ())
        write(tmp_path / CHECKPOINTS_FOLDER, kept, keep=1)
    weights = replace(SMALL.weights, landmarks=setting)
    model = replace(SMALL, weights=weights, shape=replace(SMALL.shape, embedding_dim=128), jitter_nme=0.08)
    assert model.landmark_run == run
    made = model.training_module(model.networks(), CPU, "dlib-resnet-128")
    assert (made.points.kind, made.points.at_test.kind) == (kind, in_validation)
    assert made.points.note in made.notes
    seen = torch.zeros(2, 3, SIDE_PX, SIDE_PX)
    for source in (made.points, made.points.at_test):
        assert source.find(frontal_face(SIDE_PX).float().expand(2, -1, -1), seen, [1, 2]).shape == (2, 68, 2)
    assert run is not None or "8.0%" in made.points.at_test.name


def test_a_reference_warped_onto_other_landmarks_is_what_the_network_gets(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    networks["generator"].eval()
    losses = losses_of(networks, LossWeights())
    moved = replace(batch, landmarks=batch.landmarks + 3, target=batch.target.flip(-1))
    assert torch.equal(losses.restored(batch), losses.restored(moved))
    other = replace(batch, warped=batch.warped.flip(-1))
    assert not torch.allclose(losses.restored(batch), losses.restored(other))


def test_other_landmarks_move_the_reference_along(batch: DeviceBatch) -> None:
    seen = restorer_input(batch)
    same = with_landmarks(seen, seen.landmarks)
    assert torch.allclose(same.warped, seen.warped, atol=1e-5)
    assert torch.equal(same.valid, seen.valid)
    moved = with_landmarks(seen, seen.landmarks + torch.tensor([3.0, 0.0]))
    assert torch.allclose(moved.warped[..., 3:], seen.warped[..., :-3], atol=2e-2)


def test_a_checkpoint_that_holds_a_mapping_of_the_prior_goes_on(batch: DeviceBatch) -> None:
    """As earlier versions wrote it: networks, average and optimiser carried a mapping that was never used."""
    model = replace(SMALL, weights=Pretrained(generator="random", identity="dlib"), prior_lr=1e-4)
    torch.manual_seed(1)
    networks = model.networks()
    generator, mapping = networks["generator"], Mapping(32, 8, 0.01)
    old = generator.state_dict() | {
        f"prior.mapping.{name}": tensor for name, tensor in mapping.state_dict().items()
    }
    prior = list(generator.prior.parameters())
    own = [one for name, one in generator.named_parameters() if not name.startswith("prior.")]
    adam = adam_for(own, model.adam, lr_overrides={model.prior_lr: [*mapping.parameters(), *prior]})
    losses_of(networks, LossWeights(distance="pixels")).restored(batch).square().mean().backward()
    adam.step()
    kept = adam.state_dict()
    expected = {number: adam.state[one]["exp_avg"] for number, one in enumerate([*own, *prior])}
    checkpoint = Checkpoint(
        "refine", {}, "", 1, {"generator": old}, {"generator": old}, {"generator": kept}, {}, ()
    )

    torch.manual_seed(2)
    fresh = {"generator": model.networks()["generator"]}
    found = optimiser_of(model, fresh["generator"])
    averages = EMA(fresh, ("generator",), 10.0)
    made = TrainingModule(fresh, ("generator",), {"generator": found}, (), lambda *_: {}, lambda *_: {})
    load(checkpoint, made, averages)
    for network in (fresh["generator"], averages.networks["generator"]):
        assert all(torch.equal(tensor, old[name]) for name, tensor in network.state_dict().items())
    parameters = [one for group in found.param_groups for one in group["params"]]
    assert [group["lr"] for group in found.param_groups] == [model.adam.lr, model.prior_lr]
    assert len(parameters) == len(expected) == len(found.state)
    for number, one in enumerate(parameters):
        assert torch.equal(found.state[one]["exp_avg"], expected[number])
    assert not any("mapping" in name for name, _ in fresh["generator"].named_parameters())
