"""StyleGAN2 with features in place of noise: its layer literally, its likeness to the plain network, its weights."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.networks.stylegan2.layers import StyledConv
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.weights.stylegan2 import load_generator

SIDES = (4, 8, 16)
CHANNELS = widths(16, most=6)
BESIDE = {4: 3, 8: 4, 16: 5}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(5)


def generator(beside: dict[int, int] | None = BESIDE, size_px: int = 16) -> Generator:
    network = Generator(
        size_px, widths(size_px, most=6), style_dim=8, mapping_layers=2, mapping_lr=1.0, beside=beside
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


def features(count: int = 2) -> dict[int, Tensor]:
    return {side: torch.randn(count, BESIDE[side], side, side) for side in SIDES}


def test_features_are_concatenated_after_the_convolution_and_activated() -> None:
    layer = StyledConv(3, 4, style_dim=5, beside=2)
    assert layer.noise_strength == 1
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x, style, beside = torch.randn(2, 3, 6, 6), torch.randn(2, 5), torch.randn(2, 2, 6, 6)
    made = layer.conv(x, style, torch.zeros(4))
    together = torch.cat([made, layer.noise_strength * beside], 1) + layer.bias[:, None, None]
    expected = torch.where(together > 0, together, 0.2 * together) * math.sqrt(2)
    torch.testing.assert_close(layer(x, style, True, beside), expected, atol=1e-5, rtol=1e-5)


def test_all_that_follows_takes_so_many_channels_more() -> None:
    wide, plain = generator(), generator(None)
    shapes = {name: tuple(p.shape) for name, p in wide.named_parameters()}
    narrow = {name: tuple(p.shape) for name, p in plain.named_parameters()}
    assert shapes.keys() == narrow.keys()
    inputs = {
        name: shapes[name][1] - narrow[name][1]
        for name in shapes
        if name.endswith((".conv.weight", "rgb.weight"))
    }
    assert inputs == {
        "synthesis.blocks.4.first.conv.weight": 0,
        "synthesis.blocks.4.to_rgb.weight": 3,
        "synthesis.blocks.8.first.conv.weight": 3,
        "synthesis.blocks.8.second.conv.weight": 4,
        "synthesis.blocks.8.to_rgb.weight": 4,
        "synthesis.blocks.16.first.conv.weight": 4,
        "synthesis.blocks.16.second.conv.weight": 5,
        "synthesis.blocks.16.to_rgb.weight": 5,
    }


def test_the_features_of_each_resolution_count_and_noise_does_not() -> None:
    network, z, beside = generator(), torch.randn(2, 8), features()
    image = network(z, beside=beside)
    assert torch.equal(network(z, "none", beside), image)
    for side in SIDES:
        other = {**beside, side: beside[side] + 1}
        assert not torch.allclose(network(z, beside=other), image)


def test_missing_or_unwanted_features_are_refused() -> None:
    z = torch.randn(2, 8)
    with pytest.raises(ValueError, match=r"of \[4, 8, 16\] px, not of \[\] px"):
        generator()(z)
    with pytest.raises(ValueError, match=r"of \[\] px, not of \[4, 8, 16\] px"):
        generator(None)(z, beside=features())
    with pytest.raises(ValueError, match=r"cannot be of \[4, 8\] px"):
        generator({4: 1, 8: 1})


def test_ordinary_weights_give_the_ordinary_image_whatever_the_features(tmp_path: Path) -> None:
    plain, wide = generator(None), generator()
    strengths = {name: p.clone() for name, p in wide.named_parameters() if name.endswith("noise_strength")}
    torch.save({"g_ema": plain.state_dict()}, tmp_path / "plain.pt")
    report = load_generator(wide, tmp_path / "plain.pt")
    assert (report.naming, report.missing, report.other_shape) == ("facerefs", (), ())
    assert len(report.left_out) == len(strengths) == 5  # noise is no longer there
    assert all(torch.equal(wide.get_parameter(name), value) for name, value in strengths.items())
    z = torch.randn(2, 8)
    expected = plain(z, "none")
    for beside in (features(), {side: 100 * part for side, part in features().items()}):
        torch.testing.assert_close(wide(z, beside=beside), expected, atol=1e-5, rtol=1e-5)


def test_a_widened_generator_learns_to_look_at_the_features(tmp_path: Path) -> None:
    torch.save(generator(None).state_dict(), tmp_path / "plain.pt")
    wide = Generator(16, CHANNELS, style_dim=8, mapping_layers=2, beside=BESIDE)
    load_generator(wide, tmp_path / "plain.pt")
    z, beside = torch.randn(2, 8), features()
    optimiser = torch.optim.SGD(wide.parameters(), lr=1e-4)
    wide(z, beside=beside).square().mean().backward()
    optimiser.step()
    other = {side: -part for side, part in beside.items()}
    assert not torch.allclose(wide(z, beside=beside), wide(z, beside=other), atol=1e-5)


def test_weights_of_its_like_are_taken_whole(tmp_path: Path) -> None:
    theirs, ours = generator(), generator()
    torch.save({"params_ema": theirs.state_dict()}, tmp_path / "wide.pt")
    report = load_generator(ours, tmp_path / "wide.pt")
    assert (report.missing, report.other_shape, report.left_out) == ((), (), ())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_larger_ordinary_generator_fills_it_and_another_width_is_refused(tmp_path: Path) -> None:
    torch.save(generator(None, 32).state_dict(), tmp_path / "larger.pt")
    wide, z = generator(), torch.randn(1, 8)
    assert load_generator(wide, tmp_path / "larger.pt").size_px == 32
    assert torch.equal(wide(z, beside=features(1)), wide(z, beside=features(1)))
    torch.save(Generator(16, widths(16, most=8), 8, 2).state_dict(), tmp_path / "other.pt")
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit"):
        load_generator(wide, tmp_path / "other.pt")
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())


def test_bfloat16_keeps_close_to_float32() -> None:
    network, z, beside = generator(), torch.randn(2, 8), features()
    exact = network(z, beside=beside)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(z, beside=beside)
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.03 * exact.std()
