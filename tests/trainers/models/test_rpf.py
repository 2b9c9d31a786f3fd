"""RPF: blocks from 16 to 1024 px, losses as in the equations, a schedule in which only one module learns at a time."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facerefs.schemas.operations import Range
from facerefs.stages.degrade.recipe import Pass, RandomNoise, RandomResize, Recipe
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.parsing.hull import face_hull
from facerefs.stages.shard import Shard
from facerefs.trainers.check import check
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.sizes import enlarged, reduced
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.checkpoint import Checkpoint, checkpoints, newest, read, write
from facerefs.trainers.loop.loop import Update
from facerefs.trainers.loop.settings import Adam, Data, Loop
from facerefs.trainers.loop.training_module import Phase, Trainable, TrainingModule
from facerefs.trainers.masks.mask import FaceMask, load_face_mask
from facerefs.trainers.models.catalogue import presets
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import Model, Restorer, RestorerInput
from facerefs.trainers.models.rpf.factor import bicubic_by
from facerefs.trainers.models.rpf.masks import BatchMasks
from facerefs.trainers.models.rpf.reconstruction import run_block
from facerefs.trainers.models.rpf.rpf import PRESETS, LossWeights, Pretrained, Rpf, RpfLosses, Shape
from facerefs.trainers.models.rpf.schedule import Schedule, TrainingStage, training_stages
from facerefs.trainers.networks.features import ALEXNET, Features
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.train import train
from tests.pipeline.small_set import make_set
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face
from tests.trainers.loop.toy import write_faces

CPU = torch.device("cpu")
SIDE_PX = 32
SMALL = Rpf(
    shape=Shape(
        size_px=SIDE_PX,
        factor=8,
        channels=4,
        residual_blocks=1,
        refinement_channels=8,
        channel_multiplier=1,
        style_dim=8,
        critic_channels=4,
    ),
    losses=LossWeights(perceptual=0.0, identity=0.0),
    schedule=Schedule(refinement_steps=2, warping_steps=1, synthesis_steps=2),
    weights=Pretrained(identity=""),
    adam=Adam(lr=1e-3, beta1=0.9, beta2=0.99),
    data=Data(batch_size=2, degradation=bicubic_by(8), workers=0),
    loop=Loop(
        steps=11,
        validate_every=100,
        checkpoint_every=1,
        keep_checkpoints=99,
        validation_samples=2,
        grid_samples=2,
    ),
)


@pytest.fixture(scope="module")
def batch() -> DeviceBatch:
    faces = [prepared(i, face_files(i), reduce_px=SIDE_PX, degradation=bicubic_by(8)) for i in range(3)]
    made = collate(faces, references=1, at_once=1)
    points = frontal_face(SIDE_PX).float()
    made = replace(
        made,
        landmarks=points.expand(3, -1, -1),
        reference_landmarks=(points * 1.1 - 2).expand(3, 1, -1, -1),
    )
    (ready,) = on_device([made], CPU, warp=warp_for(SIDE_PX))
    return ready


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    """With no last convolution at zero any more, so that all that comes before counts."""
    torch.manual_seed(1)
    networks = SMALL.networks()
    for network in networks.values():
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    return networks


def losses_of(networks: dict[str, nn.Module], model: Rpf = SMALL) -> RpfLosses:
    masks = BatchMasks(load_face_mask("", CPU)) if model.shape.masks else None
    return RpfLosses(networks, model, masks, None, None)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), samples=3)


def run(model: Rpf, faces: Path, folder: Path, resume: bool = False, stop_after: int | None = None) -> None:
    """Train in this process, and stop after so many steps of this call."""
    steps = iter(range(1, 10_000))
    train(
        "rpf",
        model,
        [str(faces)],
        folder,
        resume,
        Distributed(),
        announce=lambda _line: None,
        stop=lambda: stop_after is not None and next(steps) >= stop_after,
    )


def moved(before: dict[str, nn.Module], after: dict[str, nn.Module]) -> set[str]:
    return {
        name
        for name, state in before.items()
        if any(not torch.equal(tensor, after[name][key]) for key, tensor in state.items())
    }


# --- Sizes ---


def nothing_seen(side: int, references: int = 1) -> RestorerInput:
    return RestorerInput(
        degraded=torch.empty(1, 3, side, side),
        references=torch.empty(1, references, 3, side, side),
        reference_embeddings=torch.empty(1, references, 0),
        reference_landmarks=torch.empty(1, references, 68, 2),
        reference_masks=torch.empty(1, references, 1, side, side),
        warped=torch.empty(1, references, 3, side, side),
        valid=torch.empty(1, references, 1, side, side),
        landmarks=torch.empty(1, 68, 2),
    )


def test_it_is_a_model_and_a_restorer_that_takes_no_embedding() -> None:
    assert presets("rpf") is PRESETS
    assert all(isinstance(model, Model) and isinstance(model, Restorer) for model in PRESETS.values())
    assert {(model.identity, model.stochastic) for model in PRESETS.values()} == {("", False)}


@pytest.mark.parametrize(("preset", "small_px"), [("paper", 16), ("x32", 32), ("x16", 64), ("x8", 128)])
def test_the_full_network_has_the_sizes_of_the_paper(preset: str, small_px: int) -> None:
    paper = PRESETS[preset]
    with FakeTensorMode():  # shapes alone: nothing is computed
        networks = paper.networks()
        seen = nothing_seen(1024)
        assert paper.small(seen).shape == (1, 3, small_px, small_px)
        assert paper.restore(networks, seen).shape == (1, 3, 1024, 1024)
    blocks = paper.shape.blocks
    assert small_px * 2**blocks == 1024
    kinds = ("warping", "synthesis", "refinement", "synthesis_critic", "refinement_critic")
    assert set(networks) == {f"{kind}_{number}" for kind in kinds for number in range(1, blocks + 1)}
    last = networks[f"synthesis_{blocks}"]
    assert [layer.weight.shape[1] for layer in last.modules() if isinstance(layer, nn.Conv2d)][-1] == 64
    assert len(last.blocks) == 4
    assert (paper.adam.lr, paper.data.batch_size, paper.losses.synthesis_adversarial) == (1e-4, 1, 0.1)


def test_the_paper_s_steps_are_its_epochs() -> None:
    assert PRESETS["paper"].loop.steps == 5 * 70_000 + 6 * 2 * 5 * 27_291
    first, second = PRESETS["paper_refinement"], PRESETS["paper_reference"]
    assert (first.loop.steps, first.data.references) == (5 * 70_000, 0)
    assert (second.loop.steps, second.data.references) == (6 * 2 * 5 * 27_291, 1)
    assert {stage.module for stage in first.training_stages} == {"refinement"}
    assert {stage.module for stage in second.training_stages} == {"warping", "synthesis"}


def test_the_second_stage_wants_the_first_one() -> None:
    """At a small size; its preset says no more about where the first one is."""
    second = replace(PRESETS["paper_reference"], shape=SMALL.shape, data=SMALL.data, loop=Loop(steps=9))
    with pytest.raises(
        MissingWeights, match=r"set weights\.refinement to a run of schedule.stages=\[refinement\]"
    ):
        second.training_module(second.networks(), CPU, "")
    random = replace(second, weights=replace(SMALL.weights, refinement="random"), losses=SMALL.losses)
    assert random.training_module(random.networks(), CPU, "").phases[0].name == "warping_1"
    for model in PRESETS.values():
        assert model.loop.steps == model.training_stages[-1].end_step


def test_the_tiny_preset_is_small() -> None:
    networks = PRESETS["tiny"].networks()
    assert sum(p.numel() for network in networks.values() for p in network.parameters()) < 2.6e6


# --- Schedule ---


def test_the_schedule_is_first_all_refinement_and_then_from_coarse_to_fine() -> None:
    schedule = Schedule(refinement_steps=10, warping_steps=3, synthesis_steps=4)
    first = [TrainingStage("refinement", block, 0, 10, "single") for block in (1, 2)]
    then = [
        TrainingStage("warping", 1, 10, 13, "pairs"),
        TrainingStage("synthesis", 1, 13, 17, "pairs"),
        TrainingStage("warping", 2, 17, 20, "pairs"),
        TrainingStage("synthesis", 2, 20, 24, "pairs"),
    ]
    assert training_stages(schedule, 2) == (*first, *then)
    assert training_stages(replace(schedule, stages=("refinement",)), 2) == tuple(first)
    alone = training_stages(replace(schedule, stages=("reference",)), 2)
    assert [(one.network, one.start_step) for one in alone] == [
        (one.network, one.start_step - 10) for one in then
    ]


@pytest.fixture(scope="module")
def whole(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(SMALL, faces, folder)
    return folder


def test_in_each_step_only_the_modules_of_its_training_stages_move(whole: Path) -> None:
    torch.manual_seed(0)
    states = [read(path).networks for path in checkpoints(whole / "checkpoints")]
    assert len(states) == 11
    found = [moved(before, after) for before, after in pairwise(states)]
    of_refinement = {f"refinement{judge}_{n}" for n in (1, 2, 3) for judge in ("", "_critic")}
    expected = [of_refinement]
    for n in (1, 2, 3):
        expected += [{f"warping_{n}"}, *[{f"synthesis_{n}", f"synthesis_critic_{n}"}] * 2]
    assert found == expected


@pytest.mark.parametrize("step", [2, 3, 4, 10])
def test_a_run_resumed_at_or_within_a_training_stage_is_the_uninterrupted_one(
    whole: Path, faces: Path, tmp_path: Path, step: int
) -> None:
    """Warping_1 begins after step 2, synthesis_1 after 3; 4 and 10 are the first of two steps of a stage."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    for path in checkpoints(tmp_path / "checkpoints")[step:]:
        path.unlink()
    run(SMALL, faces, tmp_path, resume=True)
    one, other = (read(newest(folder / "checkpoints")) for folder in (whole, tmp_path))
    assert one.step == other.step == 11
    assert not moved(one.networks, other.networks)
    for name, state in one.optimisers.items():
        mine = other.optimisers[name]["state"]
        for number, values in state["state"].items():
            assert all(torch.equal(value, mine[number][key]) for key, value in values.items())


def test_bfloat16_trains_all_training_stages_to_finite_weights(faces: Path, tmp_path: Path) -> None:
    loop = replace(SMALL.loop, precision="bfloat16", channels_last=True, checkpoint_every=100)
    run(replace(SMALL, loop=loop), faces, tmp_path)
    kept = read(newest(tmp_path / "checkpoints")).networks
    assert all(tensor.isfinite().all() for state in kept.values() for tensor in state.values())


def test_the_second_stage_goes_on_from_a_run_of_the_first_without_references(
    faces: Path, tmp_path: Path
) -> None:
    loop = replace(SMALL.loop, checkpoint_every=100)
    first = replace(
        SMALL,
        schedule=replace(SMALL.schedule, stages=("refinement",)),
        data=replace(SMALL.data, references=0),
        loop=replace(loop, steps=2),
    )
    run(first, faces, tmp_path / "first")
    second = replace(
        SMALL,
        schedule=replace(SMALL.schedule, stages=("reference",)),
        weights=replace(SMALL.weights, refinement=str(tmp_path / "first")),
        loop=replace(loop, steps=9),
    )
    run(second, faces, tmp_path / "second")
    kept, ended = (read(newest(tmp_path / name / "checkpoints")) for name in ("first", "second"))
    refinement = {
        name: state for name, state in kept.networks.items() if "critic" not in name and name[0] == "r"
    }
    assert len(refinement) == 3
    assert not moved(refinement, ended.networks)
    assert any("first" in note and "step 2" in note for note in ended.notes)
    smaller = replace(second, shape=replace(SMALL.shape, style_dim=4))
    with pytest.raises(ValueError, match=r"of rpf, does not fit refinement_1 .*same model and shape"):
        smaller.training_module(smaller.networks(), CPU, "")


def test_a_training_stage_gives_gradients_to_all_of_its_module_and_to_nothing_else(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    made = SMALL.training_module(networks, CPU, "")
    trainable = Trainable(networks)
    first = ["refinement_critic_1", "refinement_1", "refinement_critic_2"]
    assert [phase.name for phase in made.phases[:3]] == first
    assert [phase.name for phase in made.phases[6:9]] == ["warping_1", "synthesis_critic_1", "synthesis_1"]
    assert all(phase.force_fp32 is ("critic" in phase.name) for phase in made.phases)
    for phase in made.phases:
        with trainable.only(phase):
            torch.stack(list(phase.loss(batch).values())).sum().backward()
        given = {
            name
            for name, network in networks.items()
            if any(p.grad is not None for p in network.parameters())
        }
        assert given == {phase.name}
        for name, parameter in networks[phase.name].named_parameters():
            assert parameter.grad is not None, (phase.name, name)
            parameter.grad = None


def test_a_critic_has_betas_of_its_own() -> None:
    model = replace(SMALL, critic_adam=Adam(lr=2e-3, beta1=0.0, beta2=0.5))
    for name, optimiser in model.training_module(model.networks(), CPU, "").optimisers.items():
        (group,) = optimiser.param_groups
        expected = (2e-3, (0.0, 0.5)) if "critic" in name else (1e-3, (0.9, 0.99))
        assert (group["lr"], group["betas"]) == expected, name


def of_stage(stage: str, steps: int, **weights: str) -> Rpf:
    return replace(
        SMALL,
        schedule=replace(SMALL.schedule, stages=(stage,)),
        weights=replace(SMALL.weights, **weights),
        loop=replace(SMALL.loop, steps=steps),
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("nowhere", "nowhere cannot be read as a checkpoint .*No such file"),
        (".", "holds no checkpoint"),
        ("toy.pt", "of toy, holds no refinement_1: give a run of the same model and shape"),
        ("fewer.pt", "of rpf, holds no refinement_3: give"),
        ("other.pt", r"of rpf, does not fit refinement_2 \(.*\): give"),
    ],
)
def test_refinement_of_a_run_that_does_not_fit_is_said_in_a_sentence(
    tmp_path: Path, place: str, sentence: str
) -> None:
    states = {name: network.state_dict() for name, network in SMALL.networks().items() if name[0] == "r"}
    nothing = {name: states[name] for name in ("refinement_1", "refinement_2")}
    changed = states | {"refinement_2": states["refinement_1"]}
    for model, name, networks in (("toy", "toy", {}), ("rpf", "fewer", nothing), ("rpf", "other", changed)):
        kept = Checkpoint(model, {}, "", 1, networks, {}, {}, {}, ())
        write(tmp_path, kept, keep=9).rename(tmp_path / f"{name}.pt")
    model = of_stage("reference", 9, refinement=str(tmp_path / place))
    with pytest.raises(ValueError, match=sentence) as caught:
        model.training_module(model.networks(), CPU, "")
    assert "\n" not in str(caught.value)


# --- Losses ---


def masks_of(points: Tensor) -> Tensor:
    return face_hull(points, SIDE_PX, SIDE_PX)


def black(images: Tensor, masks: Tensor) -> Tensor:
    return ((images + 1) / 2 * masks) * 2 - 1


def small_of(batch: DeviceBatch) -> Tensor:
    """The 4 x 4 px of the degraded face: as its recipe made them, in [-1, 1]."""
    from facerefs.stages.degrade.apply_theta import degrade

    return degrade((batch.target + 1) / 2, batch.thetas).pixels[..., :4, :4] * 2 - 1


def by_hand(networks: dict[str, nn.Module], batch: DeviceBatch, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """x^(n), the masked reference of its block, and what is aligned there, step by step."""
    x = small_of(batch)
    reference = black(batch.references[:, 0], masks_of(batch.reference_landmarks[:, 0]))
    for n in range(1, number + 1):
        there = reduced(reference, 4 << n)
        flow = networks[f"warping_{n}"](x, there)
        side = 4 << n
        rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        places = torch.stack([columns + flow[:, 0], rows + flow[:, 1]], -1)
        grid = (places + 0.5) * 2 / side - 1
        aligned = nn.functional.grid_sample(there, grid, padding_mode="border", align_corners=False)
        if n == number:
            return x, there, aligned
        bicubic = nn.functional.interpolate(x, scale_factor=2, mode="bicubic")
        synthesised = networks[f"synthesis_{n}"](x, aligned)
        x = networks[f"refinement_{n}"](0.5 * bicubic + 0.5 * synthesised)
    raise AssertionError


@pytest.mark.parametrize("number", [1, 3])
def test_the_warping_loss_is_equation_3(
    networks: dict[str, nn.Module], batch: DeviceBatch, number: int
) -> None:
    (found,) = losses_of(networks).warping(number, batch).values()
    _, _, aligned = by_hand(networks, batch, number)
    places, points = batch.reference_landmarks[:, 0], batch.landmarks
    mask, _ = warp_for(SIDE_PX)(masks_of(places), places, points)
    warped = black(batch.warped[:, 0], mask * batch.valid[:, 0])
    assert 0 < mask.mean() < 1
    assert found.item() == pytest.approx(
        (aligned - reduced(warped, 4 << number)).abs().mean().item(), rel=1e-4
    )


@pytest.mark.parametrize("number", [1, 2])
def test_the_synthesis_loss_is_equations_4_and_5(
    networks: dict[str, nn.Module], batch: DeviceBatch, number: int
) -> None:
    terms = losses_of(networks).synthesis(number, batch)
    x, _, aligned = by_hand(networks, batch, number)
    side = 4 << number
    made, truth = networks[f"synthesis_{number}"](x, aligned), reduced(batch.target, side)
    mask = nn.functional.avg_pool2d(masks_of(batch.landmarks), SIDE_PX // side)
    assert terms["masked"].item() == pytest.approx((mask * made - mask * truth).abs().mean().item(), rel=1e-4)
    score = networks[f"synthesis_critic_{number}"](black(made, mask)).mean() / (3 * side**2) ** 0.5
    assert terms["adversarial"].item() == pytest.approx(-0.1 * score.item(), rel=1e-4)


def test_what_the_paper_leaves_free_can_be_pulled_and_scaled(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    x, _, aligned = by_hand(networks, batch, 2)
    made, bicubic = networks["synthesis_2"](x, aligned), enlarged(x, 16)
    plain = losses_of(networks).synthesis(2, batch)
    weights = replace(SMALL.losses, outside=0.5, wasserstein_divisor="one")
    pulled = losses_of(networks, replace(SMALL, losses=weights)).synthesis(2, batch)
    outside = 1 - nn.functional.avg_pool2d(masks_of(batch.landmarks), SIDE_PX // 16)
    expected = 0.5 * (outside * made - outside * bicubic).abs().mean()
    assert pulled["outside"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert pulled["masked"].item() == plain["masked"].item()
    root = (3 * 16**2) ** 0.5
    assert pulled["adversarial"].item() == pytest.approx(root * plain["adversarial"].item(), rel=1e-4)
    assert set(plain) == {"masked", "adversarial"}


def test_the_critic_s_loss_is_that_of_wgan_gp(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    critic = networks["refinement_critic_1"]
    torch.manual_seed(3)
    terms = losses_of(networks).refinement_critic(1, batch)
    real, made = reduced(batch.target, 8), networks["refinement_1"](enlarged(small_of(batch), 8)).detach()
    torch.manual_seed(3)
    places, penalty = torch.rand(3, 1, 1, 1), 0.0
    for i in range(3):
        between = (made[i : i + 1] * places[i] + real[i : i + 1] * (1 - places[i])).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between)
        penalty += (slope.square().sum().sqrt().item() - 1) ** 2 / 3
    assert terms["penalty"].item() == pytest.approx(10 * penalty, rel=1e-3)
    difference = critic(made).mean() - critic(real).mean()
    assert terms["wasserstein"].item() == pytest.approx(difference.item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("refined_from", "number"), [("half", 1), ("half", 3), ("input", 3)])
def test_the_refinement_loss_is_equations_6_to_9(
    networks: dict[str, nn.Module], batch: DeviceBatch, refined_from: str, number: int
) -> None:
    class Embedder(nn.Module):
        def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
            return torch.cat([images.flatten(1)[:, :8], landmarks.flatten(1)[:, :8]], 1)

    class Perceptual(nn.Module):
        network = Features(ALEXNET, ("relu5",))

        def forward(self, made: Tensor, truth: Tensor) -> Tensor:
            return (made - truth).square().mean()

    weights = LossWeights(
        reconstruction=2,
        perceptual=3,
        identity=5,
        adversarial=7,
        identity_from_px=32,
        refined_from=refined_from,
    )
    losses = replace(
        losses_of(networks, replace(SMALL, losses=weights)), perceptual=Perceptual(), embedder=Embedder()
    )
    terms = losses.refinement(number, batch)
    side = 4 << number
    from_half = refined_from == "half" and number > 1
    small = reduced(batch.target, side // 2) if from_half else small_of(batch)
    made, truth = networks[f"refinement_{number}"](enlarged(small, side)), reduced(batch.target, side)
    assert terms["pixels"].item() == pytest.approx(2 * (made - truth).abs().mean().item(), rel=1e-4)
    score = networks[f"refinement_critic_{number}"](made).mean() / (3 * side**2) ** 0.5
    assert terms["adversarial"].item() == pytest.approx(-7 * score.item(), rel=1e-3)
    if number == 1:  # 8 px are too few for AlexNet and for recognition
        assert set(terms) == {"pixels", "adversarial"}
        return
    # A mean over 16 numbers, of which the other half is landmarks, times the root of 16.
    expected = 5 * 4 * (made - truth).flatten(1)[:, :8].abs().mean().item() / 2
    assert terms["identity"].item() == pytest.approx(expected, rel=1e-3)
    assert terms["perceptual"].item() == pytest.approx(3 * (made - truth).square().mean().item(), rel=1e-3)


def test_faces_of_a_block_are_embedded_with_landmarks_of_its_side(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    seen: list[Tensor] = []

    class Embedder(nn.Module):
        def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
            seen.append(landmarks)
            return images.flatten(1)

    model = replace(SMALL, losses=LossWeights(perceptual=0, identity_from_px=8))
    replace(losses_of(networks, model), embedder=Embedder()).refinement(2, batch)
    assert torch.allclose(seen[0] + 0.5, (batch.landmarks + 0.5) / 2)


def test_a_penalty_of_zero_is_not_worked_out(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    model = replace(SMALL, losses=replace(SMALL.losses, penalty=0.0))
    assert set(losses_of(networks, model).refinement_critic(1, batch)) == {"wasserstein"}


def test_a_weight_of_zero_leaves_a_critic_out() -> None:
    model = replace(
        SMALL, losses=LossWeights(perceptual=0, identity=0, adversarial=0, synthesis_adversarial=0)
    )
    made = model.training_module(model.networks(), CPU, "")
    assert not any("critic" in name for name in made.networks)
    assert {phase.name for phase in made.phases} == set(made.networks)


# --- What is seen ---


def test_masks_of_the_samples_come_before_the_hull(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    seen = restorer_input(batch)
    reference = seen.references[:, 0]
    hull = masks_of(seen.reference_landmarks[:, 0])
    mine = (torch.rand(3, 1, 1, SIDE_PX, SIDE_PX) > 0.5).float()
    assert torch.allclose(SMALL.pictures(networks, seen)["masked"], black(reference, hull), atol=1e-6)
    told = replace(seen, reference_masks=mine)
    assert torch.allclose(SMALL.pictures(networks, told)["masked"], black(reference, mine[:, 0]), atol=1e-6)
    whole = replace(SMALL, shape=replace(SMALL.shape, masks=False))
    assert torch.equal(whole.pictures(networks, told)["masked"], reference)


def test_a_step_asks_for_the_masks_of_its_faces_once(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    asked: list[Tensor] = []

    def region(images: Tensor, landmarks: Tensor) -> Tensor:
        asked.append(images)
        return masks_of(landmarks)

    losses = replace(losses_of(networks), masks=BatchMasks(FaceMask("", region)))
    losses.warping(1, batch)
    assert len(asked) == 1  # the reference; its mask is warped too
    for learn in (losses.synthesis_critic, losses.synthesis):
        learn(1, batch)
    assert len(asked) == 2
    assert torch.equal(asked[0], batch.references[:, 0])
    assert torch.equal(asked[1], batch.target)


def test_masks_of_the_samples_count_in_losses_and_only_where_the_warp_comes_from_within(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    mine = [(torch.rand(3, 1, SIDE_PX, SIDE_PX) > 0.5).float() for _ in range(3)]
    told = replace(batch, target_mask=mine[0], warped_masks=mine[1][:, None], valid=mine[2][:, None])
    losses = losses_of(networks)
    _, _, aligned = by_hand(networks, batch, 3)
    (found,) = losses.warping(3, told).values()
    expected = (aligned - black(batch.warped[:, 0], mine[1] * mine[2])).abs().mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    made = SMALL.pictures(networks, restorer_input(batch))["synthesised"]
    expected = ((made - batch.target) * mine[0]).abs().mean()
    assert losses.synthesis(3, told)["masked"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_parser_is_loaded_only_where_it_is_needed(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    seen = restorer_input(batch)
    model = replace(SMALL, weights=replace(SMALL.weights, parsing="no.pth"))
    with pytest.raises(MissingWeights, match=r"no\.pth"):
        model.restore(networks, seen)
    assert model.restore(networks, replace(seen, reference_masks=torch.ones(3, 1, 1, SIDE_PX, SIDE_PX))).any()
    for shape in (replace(SMALL.shape, masks=False), replace(SMALL.shape, reference=False)):
        assert replace(model, shape=shape).restore(networks, seen).any()
    without = replace(model, shape=replace(SMALL.shape, masks=False))
    assert without.training_module(networks, CPU, "").notes_about is None


def test_notes_say_where_masks_come_from(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    """Weights of the parser are wanted before the first step if samples have no masks, and not if they have."""
    model = replace(SMALL, weights=replace(SMALL.weights, parsing="no.pth"))
    made = model.training_module(networks, CPU, "")
    assert made.notes_about is not None
    with pytest.raises(MissingWeights, match=r"no\.pth.* or set weights\.parsing= for the hull"):
        made.notes_about(batch)
    masks = torch.ones(3, 1, SIDE_PX, SIDE_PX)
    told = replace(batch, target_mask=masks, reference_masks=masks[:, None], parsers=("bisenet", "hull"))
    assert made.notes_about(told) == (
        "face masks: those of the samples, the first ones made by bisenet and hull",
    )
    hull = SMALL.training_module(networks, CPU, "").notes_about
    assert hull is not None
    assert "hull of the 68 landmarks" in hull(batch)[0]
    alone = replace(model, schedule=replace(model.schedule, stages=("refinement",)), loop=Loop(steps=1))
    assert alone.training_module(networks, CPU, "").notes_about is None
    assert SMALL.mask_note(CPU) == hull(batch)[0]  # of photos that are restored


def test_sets_with_and_without_masks_are_not_mixed(tmp_path: Path) -> None:
    """In a batch, a face without a mask counts as all face."""
    data = replace(SMALL.data, validation_split="train")
    places = [
        str(make_set(tmp_path / name, Shard(val_share=0, test_share=0), people=2, masks=name == "masked"))
        for name in ("masked", "plain")
    ]
    with pytest.raises(ValueError, match=r"only one of .*masked/samples and .*plain/samples holds masks"):
        check(replace(SMALL, data=data), places, 1)
    for place in places:
        assert check(replace(SMALL, data=data), [place], 1).masked == ("masked" in place)


def test_pictures_are_the_input_and_what_figure_7_shows(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    seen = restorer_input(batch)
    pictures = SMALL.pictures(networks, seen)
    assert list(pictures) == ["bicubic", "masked", "aligned", "synthesised"]
    x, _, aligned = by_hand(networks, batch, 3)
    assert torch.allclose(pictures["aligned"], aligned, atol=1e-4)
    assert torch.allclose(pictures["synthesised"], networks["synthesis_3"](x, aligned), atol=1e-4)
    mixed = (enlarged(x, SIDE_PX) + pictures["synthesised"]) / 2
    assert torch.allclose(SMALL.restore(networks, seen), networks["refinement_3"](mixed), atol=1e-4)


def test_without_the_reference_the_bicubic_input_stands_for_it(
    networks: dict[str, nn.Module], batch: DeviceBatch
) -> None:
    seen = restorer_input(batch)
    other = replace(seen, references=torch.rand_like(seen.references))
    assert not torch.allclose(SMALL.restore(networks, seen), SMALL.restore(networks, other), atol=1e-3)
    without = replace(SMALL, shape=replace(SMALL.shape, reference=False))
    assert torch.equal(without.restore(networks, seen), without.restore(networks, other))
    pictures = without.pictures(networks, seen)
    assert torch.equal(pictures["masked"], pictures["bicubic"])
    (term,) = losses_of(networks, without).warping(3, batch).values()
    assert term.item() == pytest.approx(
        (pictures["aligned"] - pictures["bicubic"]).abs().mean().item(), rel=1e-4
    )


def test_without_masks_all_of_an_image_counts(networks: dict[str, nn.Module], batch: DeviceBatch) -> None:
    whole = replace(SMALL, shape=replace(SMALL.shape, masks=False))
    made = whole.pictures(networks, restorer_input(batch))["synthesised"]
    found = losses_of(networks, whole).synthesis(3, batch)["masked"]
    assert found.item() == pytest.approx((made - batch.target).abs().mean().item(), rel=1e-4)


def test_before_it_has_learnt_it_gives_the_bicubic_image(batch: DeviceBatch) -> None:
    fresh = SMALL.networks()
    x = SMALL.small(restorer_input(batch))
    for side in (8, 16, 32):
        x = enlarged(x, side)
    assert torch.allclose(SMALL.restore(fresh, restorer_input(batch)), x, atol=1e-5)


# --- Learning ---


@pytest.mark.parametrize(
    ("name", "term"), [("refinement_2", "pixels"), ("warping_3", "aligned"), ("synthesis_3", "masked")]
)
def test_each_module_learns_one_batch_by_heart(batch: DeviceBatch, name: str, term: str) -> None:
    model = replace(SMALL, adam=Adam(lr=5e-3, beta1=0.9, beta2=0.99))
    torch.manual_seed(4)
    made: TrainingModule = model.training_module(model.networks(), CPU, "")
    update = Update(made, model.loop, Distributed())
    (phase,) = (phase for phase in made.phases if phase.name == name)
    plain: Phase = replace(phase, loss=lambda one: {term: phase.loss(one)[term]})
    first = phase.loss(batch)[term].item()
    for step in range(1, 31):
        update(0, plain, step, [batch])
    assert phase.loss(batch)[term].item() < 0.85 * first


# --- Mistakes ---


def with_(**changes: object) -> Rpf:
    return replace(SMALL, **changes)


NOISY = Recipe(
    "noisy", (Pass(resize=RandomResize(reduction=Range(8, 8)), noise=RandomNoise(sigma=Range(0, 9))),)
)


@pytest.mark.parametrize(
    ("model", "error", "sentence"),
    [
        (with_(shape=Shape(size_px=128, factor=64)), ValueError, "leaves 2 of 128 px.*at least 256"),
        (with_(data=Data(degradation="bicubic")), ValueError, "reduced once, by 8, not by data.degradation=bicubic:"),
        (with_(data=Data(degradation=bicubic_by(16))), ValueError, r"reduction_choices \[8\]"),
        (with_(data=Data(degradation="stored")), ValueError, "data.degradation=stored"),
        (with_(data=replace(SMALL.data, references=0)), ValueError, "data.references=1"),
        (with_(loop=Loop(steps=12)), ValueError, "loop.steps=12 is more than the 11 steps"),
        (with_(schedule=Schedule(stages=())), ValueError, r"schedule.stages is \[refinement\]"),
        (with_(schedule=Schedule(stages=("reference", "refinement"))), ValueError, "in this order"),
        (with_(schedule=Schedule(stages=("reference",)), loop=Loop(steps=9)), MissingWeights, "weights.refinement"),
        (with_(losses=LossWeights(), weights=Pretrained(perceptual="no.pth", identity="")), MissingWeights, "no.pth"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(model: Rpf, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence) as caught:
        model.training_module(model.networks(), CPU, "another")
    assert "\n" not in str(caught.value)


def test_other_degradation_may_be_added_to_the_factor() -> None:
    model = with_(data=replace(SMALL.data, degradation=NOISY))
    assert model.training_module(model.networks(), CPU, "").phases


def test_fewer_steps_than_the_schedule_has_are_noted() -> None:
    model = with_(loop=Loop(steps=4))
    notes = model.training_module(model.networks(), CPU, "").notes
    assert "training stage: synthesis_1 gets 1 of 2 steps" in notes
    assert "training stage: warping_3 gets 0 of 1 steps" in notes
    assert not any("refinement_1" in note for note in notes)


def test_without_progression_one_block_enlarges_at_once(batch: DeviceBatch) -> None:
    """Table 2, first row. The only block gets the input, enlarged to half its side."""
    model = replace(SMALL, shape=replace(SMALL.shape, progressive=False))
    assert (model.shape.blocks, model.shape.side_px(1), model.shape.small_px) == (1, SIDE_PX, 4)
    torch.manual_seed(3)
    networks = model.networks()
    assert {name for name in networks if "critic" not in name} == {"warping_1", "synthesis_1", "refinement_1"}
    for network in networks.values():
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    seen = restorer_input(batch)
    begun = enlarged(small_of(batch), SIDE_PX // 2)
    torch.testing.assert_close(model.small(seen), begun, atol=1e-4, rtol=0)
    reference = black(batch.references[:, 0], masks_of(batch.reference_landmarks[:, 0]))
    expected = run_block(networks, 1, begun, reference).output
    torch.testing.assert_close(model.restore(networks, seen), expected, atol=1e-3, rtol=0)
    made = replace(model, loop=replace(model.loop, steps=5)).training_module(networks, CPU, "")
    for phase in made.phases:
        assert all(term.isfinite() for term in phase.loss(batch).values())
    with pytest.raises(ValueError, match="more than the 5 steps of the schedule"):
        model.training_module(networks, CPU, "")
