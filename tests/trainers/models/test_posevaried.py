"""Pose-varied: the network is the paper's, the losses are eq. 11 to 16, what is frozen stays so, and it learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.faces.boxes import component_boxes
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.rois import roi_align
from facerefs.trainers.loop.checkpoint import Checkpoint, checkpoints, newest, read
from facerefs.trainers.loop.settings import Loop
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.models.catalogue import presets
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.common.sizes import sizes_of
from facerefs.trainers.models.model import Model, Restorer
from facerefs.trainers.models.posevaried import (
    PRESETS,
    Codec,
    LossWeights,
    Posevaried,
    PosevariedLosses,
    PosevariedNetwork,
    Shape,
)
from facerefs.trainers.networks.mmrb import Mmrb
from facerefs.trainers.networks.patch_discriminator import LocalDiscriminators
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator, freeze_first
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.train import train
from tests.trainers.face_files import face_files, prepared
from tests.trainers.faces import frontal_face
from tests.trainers.loop.toy import write_faces

CPU = torch.device("cpu")
SIDE_PX = 16
SMALL = replace(
    PRESETS["tiny"],
    shape=Shape(
        size_px=SIDE_PX,
        channels=8,
        channel_multiplier=1,
        style_dim=8,
        mapping_layers=2,
        eye_px=4,
        mouth_px=8,
        local_channels=2,
    ),
    weights=replace(PRESETS["tiny"].weights, identity=""),
)


@pytest.fixture(scope="module")
def batch() -> DeviceBatch:
    faces = [
        prepared(
            i,
            face_files(i, references=0),
            reduce_px=SIDE_PX,
            references=0,
            degradation=SMALL.data.degradation,
        )
        for i in range(3)
    ]
    points = frontal_face(SIDE_PX).float().expand(3, -1, -1)
    boxes = [list(component_boxes(face, SIDE_PX).values()) for face in points.numpy()]
    made = replace(collate(faces, references=0, at_once=1), landmarks=points, boxes=torch.tensor(boxes))
    (ready,) = on_device([made], CPU)
    return ready


def drawn(model: Posevaried = SMALL) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    networks = model.networks()
    for name, parameter in networks["generator"].named_parameters():  # an MMRB begins as the identity
        if ".bottleneck." in name:
            nn.init.normal_(parameter)
    return networks


class FakeEmbedder(nn.Module):
    def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
        return nn.functional.normalize(images.flatten(1)[:, :8] + landmarks[:, 8:12].flatten(1), dim=1)


class FakePerceptual(nn.Module):
    note = ""

    def forward(self, restored: Tensor, truth: Tensor) -> Tensor:
        return (restored - truth).square().mean()


def test_it_is_a_blind_model_and_restorer_of_the_catalogue() -> None:
    assert presets("posevaried") is PRESETS
    for model in PRESETS.values():
        assert isinstance(model, Model)
        assert isinstance(model, Restorer)
        assert (model.data.references, model.identity, model.stochastic) == (0, "", False)


def test_the_paper_s_preset_has_the_paper_s_sizes_and_numbers() -> None:
    paper = PRESETS["paper"]
    sizes = sizes_of(paper)
    assert sizes.output == (1, 3, 512, 512)
    assert sizes.parameters == {"generator": 144_892_701, "discriminator": 28_982_849, "local": 3_561_411}
    losses = paper.losses
    weights = (losses.adversarial, losses.local, losses.pixels, losses.features, losses.identity)
    assert weights == (0.5, 3, 8, 0.02, 10)
    assert (paper.adam.lr, paper.prior_lr, paper.discriminator_lr) == (2e-3, 2e-4, 2e-5)
    assert (paper.loop.steps, paper.data.batch_size, paper.losses.frozen_layers) == (700_000, 4, 5)
    assert paper.halved_after == (600_000, 650_000)


def test_at_512_px_there_are_six_mmrbs_at_256_to_8_px_and_eight_layers_to_w() -> None:
    with torch.device("meta"):
        network = PRESETS["paper"].networks()["generator"]
        without = replace(PRESETS["paper"], shape=replace(PRESETS["paper"].shape, mmrb=False)).networks()
    assert isinstance(network, PosevariedNetwork)
    assert set(network.codec.mmrbs) == {"256", "128", "64", "32", "16", "8"}
    assert len(network.prior.mapping.layers) == 8
    shapes = {int(side): block.bottleneck[0].weight.shape for side, block in network.codec.mmrbs.items()}
    assert {side: (shape[0], shape[1]) for side, shape in shapes.items()} == {
        256: (128, 256),
        128: (256, 512),
        **dict.fromkeys((64, 32, 16, 8), (512, 1024)),
    }
    assert not any(isinstance(module, Mmrb) for module in without["generator"].modules())


def test_the_codec_gives_a_latent_and_features_for_each_noise_branch() -> None:
    channels = {4: 8, 8: 6, 16: 4}
    coded = Codec(channels, style_dim=5)(torch.randn(2, 3, 16, 16))
    assert coded.latent.shape == (2, 5)
    assert {side: tuple(part.shape) for side, part in coded.features.items()} == {
        side: (2, width, side, side) for side, width in channels.items()
    }
    assert {side: tuple(face.shape) for side, face in coded.faces.items()} == {
        side: (2, 3, side, side) for side in channels
    }


def test_the_decoder_doubles_and_adds_what_the_encoder_made_of_that_size() -> None:
    torch.manual_seed(6)
    codec = Codec({4: 6, 8: 4}, style_dim=5)
    seen: dict[str, Tensor] = {}
    codec.encoder.from_rgb.register_forward_hook(lambda _m, _i, made: seen.update(encoded=made))
    codec.deepest.register_forward_hook(lambda _m, _i, made: seen.update(deepest=made))
    made = codec(torch.randn(2, 3, 8, 8)).features[8]
    decoding = codec.decoder["8"]
    doubled = decoding.upsample(decoding.narrow(seen["deepest"]))
    torch.testing.assert_close(made, decoding.mix((doubled + seen["encoded"]) / 2**0.5))


@pytest.mark.parametrize("what", ["latent", "features", "mmrb"])
def test_every_way_through_the_network_counts(batch: DeviceBatch, what: str) -> None:
    networks = drawn()
    generator = networks["generator"]
    assert isinstance(generator, PosevariedNetwork)
    seen = restorer_input(batch)
    image = SMALL.restore(networks, seen)
    assert torch.equal(SMALL.restore(networks, seen), image)
    if what == "latent":
        nn.init.zeros_(generator.codec.latent.weight)
    elif what == "features":
        for name, parameter in generator.prior.named_parameters():
            if name.endswith("noise_strength"):
                nn.init.zeros_(parameter)
    else:
        for block in generator.codec.mmrbs.values():
            nn.init.zeros_(block.get_parameter("bottleneck.0.weight"))
            nn.init.zeros_(block.get_parameter("bottleneck.0.bias"))
    assert not torch.allclose(SMALL.restore(networks, seen), image, atol=1e-3)


def test_without_mmrbs_it_is_the_same_network_but_for_them(batch: DeviceBatch) -> None:
    with_them = drawn()
    plain = replace(SMALL, shape=replace(SMALL.shape, mmrb=False))
    without = plain.networks()
    state = {
        name: tensor
        for name, tensor in with_them["generator"].state_dict().items()
        if not name.startswith("codec.mmrbs.")
    }
    without["generator"].load_state_dict(state)  # strictly
    for module in with_them["generator"].modules():
        if isinstance(module, Mmrb):
            nn.init.zeros_(module.bottleneck[0].get_parameter("weight"))
            nn.init.zeros_(module.bottleneck[0].get_parameter("bias"))
    seen = restorer_input(batch)
    assert torch.equal(plain.restore(without, seen), SMALL.restore(with_them, seen))


def test_local_discriminators_see_their_own_parts(batch: DeviceBatch) -> None:
    local, boxes, images = drawn()["local"], batch.boxes, batch.target
    assert isinstance(local, LocalDiscriminators)
    logits = local(images, boxes)
    assert {part: tuple(one.shape) for part, one in logits.items()} == {
        "left_eye": (3, 1, 1, 1),
        "right_eye": (3, 1, 1, 1),
        "mouth": (3, 1, 2, 2),
    }
    for place, (part, side) in enumerate((("left_eye", 4), ("right_eye", 4), ("mouth", 8))):
        cut = roi_align(images, boxes[:, place : place + 1], side, side)[:, 0]
        torch.testing.assert_close(logits[part], local.get_submodule(part)(cut))


def test_the_losses_are_the_equations(batch: DeviceBatch) -> None:
    networks = drawn()
    weights = LossWeights(adversarial=2.0, local=3.0, pixels=5.0, features=7.0, identity=11.0, scales=13.0)
    losses = PosevariedLosses(networks, weights, FakePerceptual(), FakeEmbedder())  # type: ignore[arg-type]
    terms = {name: term.item() for name, term in losses.generator_and_scales(batch).items()}
    made = networks["generator"](batch.degraded)
    image, truth, boxes = made.image.detach(), batch.target, batch.boxes

    def log(values: Tensor) -> Tensor:
        return torch.log(values.double().sigmoid())

    assert terms["adversarial"] == pytest.approx(-2 * log(networks["discriminator"](image)).mean().item())
    parts = networks["local"](image, boxes).values()
    assert terms["local"] == pytest.approx(-3 * sum(log(logits).mean().item() for logits in parts))
    assert terms["pixels"] == pytest.approx(5 * (image - truth).abs().double().mean().item(), rel=1e-5)
    assert terms["features"] == pytest.approx(7 * (image - truth).square().mean().item(), rel=1e-5)
    identity = 0.0
    for i in range(3):
        place = batch.landmarks[i, 8:12].flatten()
        one, other = (images[i].flatten()[:8] + place for images in (image, truth))
        identity += (one / one.norm() - other / other.norm()).abs().sum().item() / 8 * 8**0.5
    assert terms["identity"] == pytest.approx(11 * identity / 3, rel=1e-4)
    scales = 0.0
    for side, face in made.coded.items():
        step = SIDE_PX // side
        for i in range(side):
            for j in range(side):
                square = truth[:, :, i * step : (i + 1) * step, j * step : (j + 1) * step].mean((2, 3))
                scales += (face[:, :, i, j] - square).abs().mean().item() / side**2
    assert terms["scales"] == pytest.approx(13 * scales, rel=1e-4)
    assert terms.keys() - losses.generator(batch).keys() == {"scales"}


def test_discriminators_learn_by_cross_entropy(batch: DeviceBatch) -> None:
    networks = drawn()
    terms = PosevariedLosses(networks, LossWeights(), None, None).discriminators(batch)
    fake, boxes = SMALL.restore(networks, restorer_input(batch)).detach(), batch.boxes
    pairs = {"logistic": (networks["discriminator"](batch.target), networks["discriminator"](fake))}
    real_logits, fake_logits = (networks["local"](images, boxes) for images in (batch.target, fake))
    pairs |= {part: (real_logits[part], fake_logits[part]) for part in real_logits}
    assert terms.keys() == pairs.keys()
    for name, (real, made) in pairs.items():
        expected = -torch.log(real.sigmoid()).mean() - torch.log(1 - made.sigmoid()).mean()
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-4)


def training_module(model: Posevaried = SMALL) -> TrainingModule:
    return model.training_module(drawn(model), CPU, "")


def with_losses(**weights: float | None) -> Posevaried:
    return replace(SMALL, losses=replace(SMALL.losses, **weights))


def test_each_phase_has_gradients_for_all_of_its_networks(batch: DeviceBatch) -> None:
    made = training_module()
    assert [
        (p.name, p.networks, p.interval, p.force_fp32, p.start_step, p.end_step) for p in made.phases
    ] == [
        ("generator", ("generator",), 1, False, 0, 500),
        ("generator", ("generator",), 1, False, 500, None),
        ("discriminator", ("discriminator", "local"), 1, False, 0, None),
        ("r1", ("discriminator",), 16, True, 0, None),
    ]
    for number, phase in enumerate(made.phases):
        for network in made.networks.values():
            network.zero_grad()
        torch.stack(list(phase.loss(batch).values())).sum().backward()
        without = [
            f"{own}.{name}"
            for own in phase.networks
            for name, parameter in made.networks[own].named_parameters()
            if parameter.grad is None
        ]
        allowed = {1: "generator.codec.to_rgb.", 3: "discriminator.logit.bias"}.get(number, "none")
        assert all(name.startswith(allowed) for name in without), (phase.name, without)
        if phase.name != "generator":
            assert all(p.grad is None for p in made.networks["generator"].parameters())


def test_rates_are_those_of_the_parts() -> None:
    model = replace(with_losses(r1=10.0), prior_lr=2e-4, discriminator_lr=2e-5, halved_after=(7, 9))
    made = training_module(model)
    rates = {
        parameter: (group["lr"], group["betas"])
        for optimiser in made.optimisers.values()
        for group in optimiser.param_groups
        for parameter in group["params"]
    }
    for name, parameter in made.networks["generator"].named_parameters():
        noise = name.endswith("noise_strength")
        assert rates[parameter][0] == (2e-4 if name.startswith("prior.") and not noise else 4e-3), name
    share = 16 / 17
    for parameter in made.networks["discriminator"].parameters():
        assert rates[parameter][0] == pytest.approx(2e-5 * share)
        assert rates[parameter][1] == pytest.approx((0.5**share, 0.99**share))
    for parameter in made.networks["local"].parameters():
        assert rates[parameter] == (4e-3, (0.5, 0.99))
    assert made.halved_after == (7, 9)


def test_weights_of_zero_leave_out_what_they_are_of(batch: DeviceBatch) -> None:
    model = with_losses(local=0.0, scales=0.0, r1=0.0)
    made = training_module(model)
    assert set(made.networks) == {"generator", "discriminator"}
    assert [(p.name, p.networks, p.start_step, p.end_step) for p in made.phases] == [
        ("generator", ("generator",), 0, None),
        ("discriminator", ("discriminator",), 0, None),
    ]
    assert set(made.phases[0].loss(batch)) == {"adversarial", "pixels"}
    assert set(made.phases[1].loss(batch)) == {"logistic"}


@pytest.mark.parametrize(
    ("layers", "frozen"),
    [
        (0, ()),
        (1, ("from_rgb",)),
        (2, ("from_rgb", "blocks.32.first")),
        (5, ("from_rgb", "blocks.32", "blocks.16")),
    ],
)
def test_the_first_layers_of_the_discriminator_are_frozen(layers: int, frozen: tuple[str, ...]) -> None:
    network = Discriminator(32, widths(32, most=4))
    freeze_first(network, layers)
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad is not name.startswith(frozen or ("nothing",)), name


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(ValueError, match="6 layers cannot be frozen: the discriminator has 5 convolutions"):
        training_module(with_losses(frozen_layers=6))


LOOP = Loop(
    steps=4,
    log_every=1,
    validate_every=4,
    validation_samples=2,
    grid_samples=1,
    checkpoint_every=1,
    keep_checkpoints=9,
)
# Steps with and without the codec's loss and R1, and rates that are halved on the way.
CHANGING = replace(
    with_losses(scales_until=2, frozen_layers=4, r1_every=2),
    data=replace(SMALL.data, batch_size=2, workers=0),
    loop=LOOP,
    halved_after=(2,),
    discriminator_lr=0.1,
)


def run(model: Posevaried, faces: Path, folder: Path, resume: bool = False, stop_after: int = 99) -> None:
    steps = iter(range(1, 99))
    train(
        "posevaried",
        model,
        [str(faces)],
        folder,
        resume,
        Distributed(),
        announce=lambda _line: None,
        stop=lambda: next(steps) >= stop_after,
    )


def last(folder: Path) -> Checkpoint:
    return read(newest(folder / "checkpoints"))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), samples=4, references=0)


@pytest.fixture(scope="module")
def whole(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(CHANGING, faces, folder)
    return folder


FROZEN = ("from_rgb.", "blocks.16.", "blocks.8.first.")


@pytest.fixture(scope="module")
def resumed(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resumed")
    run(CHANGING, faces, folder, stop_after=2)
    run(CHANGING, faces, folder, resume=True)
    return folder


def test_what_is_frozen_stays_so_through_all_phases_and_a_resume(whole: Path, resumed: Path) -> None:
    for folder in (whole, resumed):
        kept = [read(path).networks["discriminator"] for path in checkpoints(folder / "checkpoints")]
        assert len(kept) == 4
        for state in kept[1:]:
            for name, tensor in state.items():
                same = torch.equal(tensor, kept[0][name])
                assert same is name.startswith(FROZEN), name


def test_interrupted_and_resumed_is_uninterrupted(whole: Path, resumed: Path) -> None:
    one, two = last(whole), last(resumed)
    assert (one.step, one.stream) == (two.step, two.stream)
    for name, state in one.networks.items():
        assert all(torch.equal(tensor, two.networks[name][key]) for key, tensor in state.items())
    average, other = one.averages["generator"], two.averages["generator"]
    assert all(torch.equal(tensor, other[key]) for key, tensor in average.items())


def test_the_codec_s_loss_ends_when_it_is_told_to(whole: Path) -> None:
    lines = (whole / "log.jsonl").read_text().splitlines()
    shown = ["generator/scales" in line for line in lines if "generator/pixels" in line]
    assert shown == [True, True, False, False]
    assert any("r1/r1" in line for line in lines)


def test_it_trains_in_bfloat16_and_channels_last(faces: Path, tmp_path: Path) -> None:
    loop = replace(LOOP, steps=2, precision="bfloat16", channels_last=True)
    run(replace(CHANGING, loop=loop), faces, tmp_path)
    for state in last(tmp_path).networks.values():
        assert all(bool(tensor.isfinite().all()) for tensor in state.values())


def test_it_learns_one_batch_by_heart(batch: DeviceBatch) -> None:
    made = training_module(with_losses(adversarial=0.0, local=0.0))
    generator = made.phases[0]
    first: float | None = None
    for _ in range(40):
        terms = generator.loss(batch)
        made.optimisers["generator"].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        made.optimisers["generator"].step()
        first = first if first is not None else terms["pixels"].item()
    assert terms["pixels"].item() < 0.6 * first


def test_pictures_show_the_codec_s_reconstruction(batch: DeviceBatch) -> None:
    made = training_module(with_losses(scales_until=SMALL.loop.steps))
    with torch.no_grad():
        pictures = made.pictures(made.networks, batch)
        scores = made.scores(made.networks, batch)
    assert list(pictures) == ["degraded", "codec", "output", "truth"]
    assert all(images.shape == (3, 3, SIDE_PX, SIDE_PX) for images in pictures.values())
    assert pictures["codec"].abs().max() <= 1
    assert set(scores) == {"psnr", "ssim", "psnr_degraded", "ssim_degraded"}


def test_the_codec_s_loss_can_go_on_without_end(batch: DeviceBatch) -> None:
    made = training_module(with_losses(scales_until=None))
    (phase,) = [phase for phase in made.phases if phase.name == "generator"]
    assert phase.due(1)
    assert phase.due(10**9)
    assert "scales" in phase.loss(batch)


def test_the_codec_is_not_shown_if_its_own_faces_do_not_learn_to_the_end(batch: DeviceBatch) -> None:
    steps = SMALL.loop.steps
    for changes, shown in (
        ({"scales_until": None}, True),
        ({"scales_until": steps}, True),
        ({"scales_until": steps - 1}, False),
        ({"scales": 0.0}, False),
    ):
        made = training_module(with_losses(**changes))
        with torch.no_grad():
            assert ("codec" in made.pictures(made.networks, batch)) is shown, changes


def test_training_starts_from_ordinary_weights_and_notes_it(tmp_path: Path) -> None:
    torch.manual_seed(9)
    channels = widths(SIDE_PX, 1, 8)
    prior, judge = Generator(SIDE_PX, channels, 8, 2), Discriminator(SIDE_PX, channels)
    path = tmp_path / "stylegan2.pt"
    torch.save({"generator": prior.state_dict(), "discriminator": judge.state_dict()}, path)
    weights = replace(SMALL.weights, generator=str(path), discriminator=str(path))
    made = training_module(replace(with_losses(frozen_layers=5), weights=weights))
    generator = made.networks["generator"]
    assert isinstance(generator, PosevariedNetwork)
    z = torch.randn(2, 8)
    beside = {side: torch.randn(2, width, side, side) for side, width in channels.items()}
    torch.testing.assert_close(generator.prior(z, beside=beside), prior(z, "none"), atol=1e-5, rtol=1e-5)
    ours = made.networks["discriminator"]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), judge.parameters(), strict=True))
    assert not any("as they were drawn" in note for note in made.notes)
    assert sum("tensors matched" in note for note in made.notes) == 2


def test_a_discriminator_of_another_size_is_refused_unless_nothing_of_it_is_frozen(tmp_path: Path) -> None:
    path = tmp_path / "larger.pt"
    torch.save(Discriminator(32, widths(32, 1, 8)).state_dict(), path)
    weights = replace(SMALL.weights, discriminator=str(path))
    sentence = (
        r"is of 32 px and has no from_rgb.weight for 16 px, which would stay frozen .*losses.frozen_layers=0"
    )
    with pytest.raises(ValueError, match=sentence) as caught:
        training_module(replace(with_losses(frozen_layers=1), weights=weights))
    assert "\n" not in str(caught.value)
    made = training_module(replace(with_losses(frozen_layers=0), weights=weights))
    assert any("32 px" in note and "from_rgb" in note for note in made.notes)


def test_random_layers_that_stay_frozen_are_noted() -> None:
    notes = training_module(with_losses(frozen_layers=5)).notes
    assert "discriminator: its first 5 convolutions stay as they were drawn" in notes
    assert notes[:2] == ("generator: random weights", "discriminator: random weights")
    assert not any("as they were drawn" in note for note in training_module().notes)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"weights": {"generator": ""}}, MissingWeights, "set weights.generator to a file"),
        ({"weights": {"discriminator": ""}}, MissingWeights, "set weights.discriminator to a file"),
        ({"weights": {"generator": "no.pt"}}, MissingWeights, "no.pt"),
        ({"losses": {"identity": 1.0}}, ValueError, "set weights.identity, or losses.identity=0"),
        ({"data": {"references": 1}}, ValueError, "set data.references=0"),
        ({"shape": {"eye_px": 10}}, ValueError, "shape.eye_px is 10: it must be a multiple of 4"),
        ({"shape": {"mouth_px": 15}}, ValueError, "shape.mouth_px is 15"),
        ({"shape": {"channels": 7}}, ValueError, "7 are odd: set shape.mmrb=false"),
    ],
)
def test_bad_settings_end_in_a_sentence(
    changes: dict[str, dict[str, object]], error: type[Exception], sentence: str
) -> None:
    model = SMALL
    for part, values in changes.items():
        model = replace(model, **{part: replace(getattr(model, part), **values)})
    with pytest.raises(error, match=sentence) as caught:
        model.training_module(model.networks(), CPU, "")
    assert "\n" not in str(caught.value)


def test_regions_of_any_size_do_without_local_discriminators() -> None:
    assert "local" not in replace(with_losses(local=0.0), shape=replace(SMALL.shape, eye_px=10)).networks()


def test_without_fine_tuning_the_prior_stays_and_the_rest_learns(batch: DeviceBatch) -> None:
    """Table 5, row d, with losses.frozen_layers=0."""
    model = replace(SMALL, prior_lr=0.0)
    made = training_module(model)
    assert any("it stays as it was drawn" in note for note in made.notes)
    generator = made.networks["generator"]
    before = {name: one.detach().clone() for name, one in generator.named_parameters()}
    torch.stack(list(made.phases[0].loss(batch).values())).sum().backward()
    made.optimisers["generator"].step()
    moved = {name for name, one in generator.named_parameters() if not torch.equal(one, before[name])}
    kept = before.keys() - moved
    assert {name for name in moved if name.startswith("prior.")} == {
        name for name in before if name.endswith("noise_strength")
    }
    assert all(name.startswith("prior.") for name in kept)


def test_without_fine_tuning_weights_must_take_the_codec_s_features(tmp_path: Path) -> None:
    torch.manual_seed(9)
    channels = widths(SIDE_PX, 1, 8)
    torch.save(Generator(SIDE_PX, channels, 8, 2).state_dict(), tmp_path / "ordinary.pt")
    torch.save(Generator(SIDE_PX, channels, 8, 2, beside=channels).state_dict(), tmp_path / "gpen.pt")

    def frozen(name: str) -> TrainingModule:
        weights = replace(SMALL.weights, generator=str(tmp_path / name))
        return training_module(replace(SMALL, weights=weights, prior_lr=0.0))

    assert any("it stays as it was loaded" in note for note in frozen("gpen.pt").notes)
    with pytest.raises(
        ValueError, match=r"ordinary.pt has no weights for the codec's features, and with prior_lr=0"
    ):
        frozen("ordinary.pt")
