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
