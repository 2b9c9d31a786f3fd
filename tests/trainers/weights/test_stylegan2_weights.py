"""Weights of others give the images and logits that their own networks give; strangers' files end in a sentence."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.weights.stylegan2 import load_discriminator, load_generator
from tests.stages.degrade.basicsr_oracle import basicsr_module
from tests.trainers.weights import literal_stylegan2 as literal

SIZE_PX, STYLE, LAYERS = 32, 16, 3
NARROW = 1 / 64  # of basicsr's channels: 8 up to 64 px


def our_generator(size_px: int = SIZE_PX, most: int = 8, layers: int = LAYERS) -> Generator:
    return Generator(size_px, widths(size_px, most=most), STYLE, layers)


def our_discriminator(size_px: int = SIZE_PX, most: int = 8) -> Discriminator:
    return Discriminator(size_px, widths(size_px, most=most))


def random(network: nn.Module) -> nn.Module:
    """As after training: nothing is 0 or 1, and the mapping, whose rate is 0.01, not small."""
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, std=_deviation(name))
    return network


def _deviation(name: str) -> float:
    return 100.0 if name.startswith(("mapping.", "style_mlp.")) else 1.0


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(4)


@pytest.fixture
def basicsr(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """basicsr's StyleGAN2; its operators, which want a compiled extension, are literal ones."""
    module = basicsr_module("basicsr.archs.stylegan2_arch")
    for operator in ("upfirdn2d", "fused_leaky_relu", "FusedLeakyReLU"):
        monkeypatch.setattr(module, operator, getattr(literal, operator))
    return module


def save(content: object, tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    return path


def rosinality_generator_name(name: str) -> str:
    """What rosinality's code calls a parameter of basicsr's."""
    name = re.sub(r"^style_mlp", "style", name)
    name = re.sub(r"^constant_input\.weight", "input.input", name)
    name = re.sub(r"^style_conv1\.", "conv1.", re.sub(r"^style_convs\.", "convs.", name))
    name = re.sub(r"^(conv1|convs\.\d+)\.weight$", r"\1.noise.weight", name)
    name = re.sub(r"^noises\.noise", "noises.noise_", name)
    return name.replace("modulated_conv.", "conv.")


@pytest.mark.parametrize("naming", ["basicsr", "rosinality"])
def test_a_generator_of_basicsr_and_rosinality_gives_the_same_images(
    basicsr: ModuleType, naming: str, tmp_path: Path
) -> None:
    theirs = random(basicsr.StyleGAN2Generator(SIZE_PX, STYLE, LAYERS, narrow=NARROW))
    state = theirs.state_dict()
    if naming == "rosinality":
        state = {rosinality_generator_name(name): value for name, value in state.items()}
        other = {name: torch.randn_like(value) for name, value in state.items()}
        content: dict[str, Any] = {"g": other, "g_ema": state, "latent_avg": torch.zeros(STYLE)}
    else:
        content = {"params_ema": state}
    ours = our_generator()
    report = load_generator(ours, save(content, tmp_path))
    assert (report.naming, report.size_px, report.missing, report.other_shape) == (naming, SIZE_PX, (), ())
    assert set(report.matched) == {name for name, _ in ours.named_parameters()}
    assert {name.split(".")[0] for name in report.left_out} == {"noises"}
    latents = torch.randn(2, STYLE)
    noises = [torch.zeros(1, 1, 1, 1)] * theirs.num_layers
    expected, _ = theirs([latents], noise=noises)
    torch.testing.assert_close(ours(latents, "none"), expected, atol=1e-4, rtol=1e-4)
    mixed = torch.randn(2, ours.layers, STYLE)
    expected, _ = theirs([mixed], input_is_latent=True, noise=noises)
    torch.testing.assert_close(ours.synthesis(mixed, "none"), expected, atol=1e-4, rtol=1e-4)


def test_noise_comes_before_the_bias_as_in_basicsr(
    basicsr: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = random(basicsr.StyleGAN2Generator(SIZE_PX, STYLE, LAYERS, narrow=NARROW))
    ours = our_generator()
    load_generator(ours, save(theirs.state_dict(), tmp_path))
    monkeypatch.setattr(torch, "randn_like", lambda x, **_: torch.ones_like(x))
    latents = torch.randn(2, STYLE)
    expected, _ = theirs([latents], noise=[torch.ones(1, 1, 1, 1)] * theirs.num_layers)
    torch.testing.assert_close(ours(latents), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("naming", ["basicsr", "rosinality"])
def test_a_discriminator_of_basicsr_and_rosinality_gives_the_same_logits(
    basicsr: ModuleType, naming: str, tmp_path: Path
) -> None:
    theirs = random(basicsr.StyleGAN2Discriminator(SIZE_PX, narrow=NARROW))
    state = theirs.state_dict()
    if naming == "rosinality":
        state = {name.replace("conv_body.", "convs."): value for name, value in state.items()}
        state |= {"convs.1.conv2.0.kernel": torch.ones(4, 4)}
    ours = our_discriminator()
    report = load_discriminator(ours, save({"d": state}, tmp_path))
    assert (report.naming, report.missing, report.other_shape, report.left_out) == (naming, (), (), ())
    images = torch.randn(4, 3, SIZE_PX, SIZE_PX)
    expected = theirs(images)
    torch.testing.assert_close(ours(images), expected, atol=1e-4 * expected.abs().max().item(), rtol=1e-4)


def nvidia_state(network: nn.Module, name_of: Callable[[str], str]) -> dict[str, Tensor]:
    return {
        name_of(name): _deviation(name) * torch.randn_like(value)
        for name, value in network.named_parameters()
    }


def nvidia_generator_name(name: str) -> str:
    name = re.sub(r"^mapping\.layers\.(\d+)", r"mapping.fc\1", name)
    name = re.sub(r"^synthesis\.const", "synthesis.b4.const", name)
    name = re.sub(r"^synthesis\.blocks\.(\d+)\.", r"synthesis.b\1.", name)
    name = name.replace("b4.first", "b4.conv1").replace("first", "conv0").replace("second", "conv1")
    return re.sub(r"(conv\d)\.conv\.", r"\1.", name).replace("to_rgb", "torgb")


def nvidia_discriminator_name(name: str, size_px: int = SIZE_PX) -> str:
    name = re.sub(r"^blocks\.(\d+)\.", r"b\1.", name.replace("from_rgb", f"b{size_px}.fromrgb"))
    name = name.replace("first", "conv0").replace("second.conv", "conv1")
    for ours, theirs in (("last", "b4.conv"), ("hidden", "b4.fc"), ("logit", "b4.out")):
        name = re.sub(rf"^{ours}\.", f"{theirs}.", name)
    return name


def test_a_generator_of_nvidia_gives_the_images_of_a_literal_version(tmp_path: Path) -> None:
    ours = our_generator()
    state = nvidia_state(ours, nvidia_generator_name)
    assert {
        "mapping.fc0.weight",
        "synthesis.b4.conv1.affine.bias",
        "synthesis.b8.conv0.noise_strength",
    } <= set(state)
    extra = {"mapping.w_avg": torch.zeros(STYLE), "synthesis.b8.resample_filter": torch.ones(4, 4)}
    report = load_generator(ours, save({"G_ema": state | extra, "D": {}}, tmp_path))
    assert (report.naming, report.missing, report.left_out) == ("NVIDIA", (), ("mapping.w_avg",))
    for latent in torch.randn(2, 1, STYLE):
        expected = literal.nvidia_generator(state, latent, SIZE_PX, LAYERS)
        torch.testing.assert_close(ours(latent, "none"), expected, atol=1e-4, rtol=1e-4)


def test_a_discriminator_of_nvidia_gives_the_logits_of_a_literal_version(tmp_path: Path) -> None:
    ours = our_discriminator()
    state = nvidia_state(ours, nvidia_discriminator_name)
    assert {f"b{SIZE_PX}.fromrgb.bias", "b8.skip.weight", "b4.fc.weight", "b4.out.bias"} <= set(state)
    report = load_discriminator(ours, save({"G": {}, "D": state}, tmp_path))
    assert (report.naming, report.size_px, report.missing, report.left_out) == ("NVIDIA", SIZE_PX, (), ())
    images = torch.randn(4, 3, SIZE_PX, SIZE_PX)
    expected = literal.nvidia_discriminator(state, images)
    torch.testing.assert_close(ours(images), expected, atol=1e-4 * expected.abs().max().item(), rtol=1e-4)


def test_a_checkpoint_of_ours_gives_its_average(tmp_path: Path) -> None:
    trained, average, judge = random(our_generator()), random(our_generator()), random(our_discriminator())
    networks = {"generator": trained.state_dict(), "discriminator": judge.state_dict()}
    path = save({"networks": networks, "averages": {"generator": average.state_dict()}}, tmp_path)
    ours, our_judge, z = our_generator(), our_discriminator(), torch.randn(2, STYLE)
    assert load_generator(ours, path).naming == "facerefs"
    assert torch.equal(ours(z, "none"), average(z, "none"))
    load_discriminator(our_judge, path)
    assert torch.equal(our_judge.logit.weight, judge.get_parameter("logit.weight"))


def test_a_larger_network_fills_a_smaller_one_and_the_report_says_so(tmp_path: Path) -> None:
    larger, ours = random(our_generator(64)), our_generator()
    report = load_generator(ours, save(larger.state_dict(), tmp_path))
    assert (report.size_px, report.missing) == (64, ())
    assert report.left_out
    assert all(".64." in name for name in report.left_out)
    assert "64 px" in str(report)
    assert "left out of the file: " in str(report)
    judge = random(our_discriminator(64))
    theirs = {nvidia_discriminator_name(name, 64): value for name, value in judge.state_dict().items()}
    for state in (judge.state_dict(), theirs):
        smaller = our_discriminator()
        report = load_discriminator(smaller, save(state, tmp_path))
        assert (report.size_px, report.missing) == (64, ("from_rgb.weight", "from_rgb.bias"))
        skip = "blocks.32.skip.weight"
        assert torch.equal(smaller.get_parameter(skip), judge.get_parameter(skip))


def test_a_larger_discriminator_of_rosinality_is_counted_from_its_own_size(
    basicsr: ModuleType, tmp_path: Path
) -> None:
    theirs = random(basicsr.StyleGAN2Discriminator(64, narrow=NARROW)).state_dict()
    ours = our_discriminator()
    report = load_discriminator(ours, save(theirs, tmp_path))
    assert (report.size_px, report.missing) == (64, ("from_rgb.weight", "from_rgb.bias"))
    assert torch.equal(ours.get_parameter("blocks.8.skip.weight"), theirs["conv_body.4.skip.1.weight"])


@pytest.mark.parametrize("layers", [2, 4])
def test_a_mapping_of_another_depth_is_left_out_as_a_whole(layers: int, tmp_path: Path) -> None:
    ours = our_generator()
    before = [value.clone() for value in ours.mapping.parameters()]
    report = load_generator(ours, save(random(our_generator(layers=layers)).state_dict(), tmp_path))
    assert len(report.missing) == 2 * LAYERS
    assert all(name.startswith("mapping.") for name in report.missing)
    assert all(torch.equal(a, b) for a, b in zip(before, ours.mapping.parameters(), strict=True))


# --- A generator that is a part of another network ---


def with_codec() -> Generator:
    """A generator that takes a codec's features beside its own, as GPEN's."""
    channels = widths(SIZE_PX, most=8)
    return random(Generator(SIZE_PX, channels, STYLE, LAYERS, beside=channels))


def gpen_name(name: str) -> str:
    """What a FullGenerator of GPEN calls a parameter of our generator."""
    name = re.sub(r"^mapping\.layers\.(\d+)", lambda found: f"style.{int(found[1]) + 1}", name)
    name = name.replace("synthesis.const", "input.input").replace(".affine.", ".modulation.")
    name = re.sub(r"to_rgb\.(weight|modulation)", r"to_rgb.conv.\1", name)
    for at, side in enumerate((8, 16, 32)):
        block = f"synthesis.blocks.{side}."
        name = name.replace(f"{block}first", f"convs.{2 * at}").replace(
            f"{block}second", f"convs.{2 * at + 1}"
        )
        name = name.replace(f"{block}to_rgb", f"to_rgbs.{at}")
    name = name.replace("synthesis.blocks.4.first", "conv1").replace("synthesis.blocks.4.to_rgb", "to_rgb1")
    name = re.sub(r"^(conv1|convs\.\d+)\.bias", r"\1.activate.bias", name)
    return f"generator.{name.replace('noise_strength', 'noise.weight')}"


def full_generator(network: Generator) -> dict[str, Tensor]:
    """The state of a FullGenerator of GPEN: its generator, and the encoder beside it, in GPEN's names and shapes."""
    state = {}
    for name, own in network.state_dict().items():
        theirs, value = gpen_name(name), own
        batched = theirs.endswith((".conv.weight", "input.input"))
        shape = (
            (1, *value.shape)
            if batched
            else (1, 3, 1, 1)
            if "to_rgb" in theirs and theirs.endswith("b.bias")
            else value.shape
        )
        state[theirs] = value.reshape(shape or (1,))
    assert state["generator.convs.1.conv.weight"].shape == (1, 8, 16, 3, 3)
    assert {
        "generator.style.3.bias",
        "generator.input.input",
        "generator.conv1.noise.weight",
        "generator.conv1.activate.bias",
        "generator.convs.5.conv.modulation.weight",
        "generator.to_rgb1.conv.modulation.bias",
        "generator.to_rgbs.2.conv.weight",
        "generator.to_rgbs.2.bias",
    } <= set(state)
    encoder = {
        "ecd0.0.0.weight": torch.randn(8, 3, 1, 1),
        "ecd0.0.1.bias": torch.randn(8),
        "ecd1.0.0.kernel": torch.randn(4, 4),
        "ecd1.0.1.weight": torch.randn(8, 8, 3, 3),
        "ecd1.0.2.bias": torch.randn(8),
        "final_linear.0.weight": torch.randn(STYLE, 8 * 16),
        "final_linear.0.bias": torch.randn(STYLE),
    }
    return encoder | state


@pytest.mark.parametrize(
    ("place", "wrapped"),
    [
        ("generator", lambda state: state),
        ("params_ema.generator", lambda state: {"params_ema": state}),
        ("g_ema.generator", lambda state: {"g": noise_like(state), "g_ema": state, "iter": 3}),
        (
            "state_dict.module.generator",
            lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        ),
        (
            "state_dict.net_ema.module.generator",
            lambda state: {
                "state_dict": {f"net.module.{name}": value for name, value in noise_like(state).items()}
                | {f"net_ema.module.{name}": value for name, value in state.items()}
            },
        ),
    ],
)
def test_the_generator_of_gpen_is_found_within_its_network(
    place: str, wrapped: Callable[[dict[str, Tensor]], dict[str, Any]], tmp_path: Path
) -> None:
    theirs, ours = with_codec(), with_codec()
    report = load_generator(ours, save(wrapped(full_generator(theirs)), tmp_path))
    assert (report.naming, report.place, report.size_px) == ("rosinality", place, SIZE_PX)
    assert set(report.matched) == {name for name, _ in ours.named_parameters()}
    assert (report.missing, report.other_shape, report.left_out) == ((), (), ())
    count = len(report.matched)
    assert f"({place}, rosinality names, 32 px): {count} of {count} tensors matched" in str(report)
    latents = torch.randn(2, STYLE)
    beside = {side: torch.randn(2, 8, side, side) for side in (4, 8, 16, 32)}
    assert torch.equal(ours(latents, beside=beside), theirs(latents, beside=beside))


def noise_like(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.randn_like(value) for name, value in state.items()}


def test_the_prior_of_a_trained_restorer_is_found_within_its_generator(tmp_path: Path) -> None:
    trained = random(our_generator())
    network = {f"prior.{name}": value for name, value in trained.state_dict().items()}
    network |= {"encoder.from_rgb.weight": torch.zeros(8, 6, 1, 1)}
    ours = our_generator()
    report = load_generator(ours, save({"networks": {"generator": network}, "averages": {}}, tmp_path))
    assert (report.place, report.naming, report.missing) == ("networks.generator.prior", "facerefs", ())
    assert torch.equal(ours.synthesis.const, trained.synthesis.const)


def test_a_discriminator_is_found_within_a_wrapper(tmp_path: Path) -> None:
    judge, ours = random(our_discriminator()), our_discriminator()
    state = {f"module.discriminator.{name}": value for name, value in judge.state_dict().items()}
    assert load_discriminator(ours, save(state, tmp_path)).place == "module.discriminator"
    assert torch.equal(ours.logit.weight, judge.get_parameter("logit.weight"))


def refused(path: Path, said: str, kind: type[Exception] = ValueError) -> None:
    ours = random(our_generator())
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(kind, match=said) as error:
        load_generator(ours, path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


def test_other_widths_are_refused(tmp_path: Path) -> None:
    refused(save(our_generator(most=16).state_dict(), tmp_path), "0 % of it matches")
    refused(save({"fc.weight": torch.zeros(3)}, tmp_path), "give weights of the same widths")
    refused(save([1, 2], tmp_path), "0 % of it matches")


def test_broken_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = save(our_generator().state_dict(), tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, "cannot be read as weights", MissingWeights)
    path.write_bytes(b"not weights")
    refused(path, "cannot be read as weights", MissingWeights)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02X\x01")  # ends within the length of a text
        file.writestr("archive/version", b"3\n")
    refused(path, "cannot be read as weights", MissingWeights)
    refused(save(our_generator(), tmp_path), "pickled networks must be converted", MissingWeights)
    refused(tmp_path / "absent.pt", "no weights .* give the path", MissingWeights)
    state = our_generator().state_dict()
    state["synthesis.const"][0, 0, 0] = torch.nan
    refused(save(state, tmp_path), "synthesis.const of the generator is not finite")
