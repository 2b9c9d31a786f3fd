"""StyleGAN2's networks: layers against slow literal versions, sizes against published ones, what callers rely on."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d
from torch import Tensor, nn

from facerefs.trainers.networks.stylegan2.discriminator import Discriminator, minibatch_deviation
from facerefs.trainers.networks.stylegan2.generator import Generator, Mapping
from facerefs.trainers.networks.stylegan2.layers import (
    DownConv,
    EqualConv2d,
    EqualLinear,
    ModulatedConv2d,
    ToRGB,
)
from facerefs.trainers.networks.stylegan2.resample import BlurFilter, Downsample, Upsample
from facerefs.trainers.networks.stylegan2.widths import widths

TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def literal_upfirdn(image: np.ndarray, up: int, down: int, before: int, after: int) -> np.ndarray:
    """Zeros between the pixels, padding, convolution, every n-th pixel; one channel."""
    zeros = np.zeros([side * up for side in image.shape])
    zeros[::up, ::up] = image
    filtered = convolve2d(np.pad(zeros, (before, after)), TAPS * up**2, mode="valid")
    return filtered[::down, ::down]


def each_channel(images: Tensor, *settings: int) -> Tensor:
    planes = [literal_upfirdn(plane.numpy(), *settings) for plane in images.flatten(0, 1)]
    return torch.from_numpy(np.stack(planes)).view(*images.shape[:2], *planes[0].shape).float()


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (BlurFilter(padding=2), (1, 1, 2, 2)),
        (BlurFilter(padding=1), (1, 1, 1, 1)),
        (Downsample(), (1, 2, 1, 1)),
        (Upsample(), (2, 1, 2, 1)),
    ],
    ids=["blur 2", "blur 1", "halve", "double"],
)
def test_resampling_is_zero_insertion_padding_and_convolution(
    layer: nn.Module, settings: tuple[int, ...]
) -> None:
    images = torch.randn(2, 3, 8, 6)
    torch.testing.assert_close(layer(images), each_channel(images, *settings), atol=1e-6, rtol=0)


@pytest.mark.parametrize("layer", [BlurFilter(2), BlurFilter(1, gain=4.0), Downsample(), Upsample()])
def test_resampling_differentiates_twice(layer: nn.Module) -> None:
    images = torch.randn(1, 2, 6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, images)
    assert torch.autograd.gradgradcheck(layer, images)
    assert torch.autograd.gradgradcheck(lambda x: layer(x).square(), images)


def test_doubling_keeps_the_brightness() -> None:
    image = torch.full((1, 1, 16, 16), 0.7)
    torch.testing.assert_close(Upsample()(image)[..., 2:-2, 2:-2], torch.full((1, 1, 28, 28), 0.7))


def literal_modulated(layer: ModulatedConv2d, features: Tensor, style: Tensor) -> Tensor:
    """Karras et al. 2020, eq. 1 and 3, sample by sample, on doubles: no bias, no gain."""
    weight = layer.weight.detach().double().numpy()
    outputs, inputs = weight.shape[:2]
    scaled = weight / math.sqrt(inputs * weight.shape[2] ** 2)
    affine = layer.affine.weight.detach().double() / math.sqrt(style.shape[1])
    rows = []
    for image, code in zip(features.double().numpy(), style.double(), strict=True):
        scale = (affine @ code + layer.affine.bias.detach().double()).numpy()
        modulated = scaled * scale[None, :, None, None]
        demodulated = modulated / np.sqrt((modulated**2).sum((1, 2, 3), keepdims=True) + 1e-8)
        planes = []
        for o in range(outputs):
            plane: np.ndarray = np.zeros(1)
            for i in range(inputs):
                if layer.blur is None:
                    plane = plane + correlate2d(image[i], demodulated[o, i], mode="same")
                else:  # the order of upfirdn and convolution makes no difference
                    doubled = literal_upfirdn(image[i], 2, 1, 3, 2)
                    plane = plane + convolve2d(doubled, demodulated[o, i], mode="valid")
            planes.append(plane)
        rows.append(np.stack(planes))
    return torch.from_numpy(np.stack(rows)).float()


@pytest.mark.parametrize("upsample", [False, True])
def test_a_modulated_convolution_is_the_paper_s_sample_by_sample(upsample: bool) -> None:
    torch.manual_seed(1)
    layer = ModulatedConv2d(3, 4, 3, style_dim=5, upsample=upsample)
    features, style, bias = torch.randn(2, 3, 5, 6), torch.randn(2, 5), torch.randn(4)
    expected = 1.5 * (literal_modulated(layer, features, style) + bias[:, None, None])
    torch.testing.assert_close(layer(features, style, bias, 1.5), expected, atol=1e-5, rtol=1e-5)


def test_colours_are_modulated_but_not_demodulated() -> None:
    layer = ToRGB(4, style_dim=5)
    nn.init.normal_(layer.bias)
    features, style = torch.randn(2, 4, 3, 6), torch.randn(2, 5)
    scale = style @ layer.affine.weight.t() / math.sqrt(5) + layer.affine.bias
    weights = layer.weight[:, :, 0, 0] / math.sqrt(4)
    expected = torch.einsum("oc,bc,bchw->bohw", weights, scale, features) + layer.bias[:, None, None]
    torch.testing.assert_close(layer(features, style), expected, atol=1e-5, rtol=1e-5)


def test_equalised_layers_scale_weights_as_they_are_used() -> None:
    linear = EqualLinear(6, 4, bias_start=0.5, lr_multiplier=0.01, activate=True)
    x = torch.randn(3, 6)
    sums = x @ (linear.weight * 0.01 / math.sqrt(6)).t() + 0.5
    expected = torch.where(sums > 0, sums, 0.2 * sums) * math.sqrt(2)
    torch.testing.assert_close(linear(x), expected)
    conv, images = EqualConv2d(3, 2, 3, activate=True, gain=0.5), torch.randn(1, 3, 8, 8)
    nn.init.normal_(conv.bias)  # type: ignore[arg-type]
    sums = nn.functional.conv2d(images, conv.weight / math.sqrt(27), conv.bias, padding=1)
    expected = torch.where(sums > 0, sums, 0.2 * sums) * math.sqrt(2) * 0.5
    torch.testing.assert_close(conv(images), expected)


def test_features_keep_their_power_through_fresh_layers() -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 64, 16, 16)
    for layer in (EqualConv2d(64, 64, 3, activate=True), EqualConv2d(64, 64, 1, activate=True)):
        assert layer(features).square().mean().item() == pytest.approx(1, abs=0.15)
    assert DownConv(64, 32)(features).shape == (4, 32, 8, 8)


def test_the_mapping_normalises_latents() -> None:
    mapping = Mapping(8, 2, 0.01)
    latents = torch.randn(3, 8)
    torch.testing.assert_close(mapping(latents), mapping(100 * latents))
    assert mapping(latents[:, None].expand(-1, 4, -1)).shape == (3, 4, 8)


@pytest.mark.parametrize("size_px", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_every_resolution_works(size_px: int) -> None:
    channels = widths(size_px, 1 / 16, most=2)
    generator = Generator(size_px, channels, style_dim=4, mapping_layers=1)
    with torch.no_grad():
        images = generator(torch.randn(1, 4))
        assert images.shape == (1, 3, size_px, size_px)
        assert generator.layers == 2 * int(math.log2(size_px)) - 2
        assert Discriminator(size_px, channels)(images).shape == (1, 1)


def test_widths_are_those_of_the_paper() -> None:
    assert widths(1024) == {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
    assert widths(64, 1)[64] == 256


def test_networks_have_as_many_parameters_as_the_published_ones() -> None:
    """A public training log of stylegan2-ada-pytorch at 1024 px, whose mapping has 2 layers, prints these totals.

    With the 8 layers of the paper six more of 512 x 512 + 512 come on top: 30.37 million.
    """

    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        assert count(Generator(1024, widths(1024), mapping_layers=2)) == 28_794_124
        assert count(Generator(1024, widths(1024))) == 28_794_124 + 6 * 262_656 == 30_370_060
        assert count(Discriminator(1024, widths(1024))) == 29_012_513
        assert count(Generator(512, widths(512))) == 30_370_060 - 51_297 - 25_665 - 16_515


@pytest.mark.parametrize("size_px", [0, 4, 48, 2048])
def test_other_sizes_are_refused(size_px: int) -> None:
    with pytest.raises(ValueError, match=f"power of two from 8 to 1024, not {size_px}"):
        widths(size_px)


def test_missing_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="of 32 px needs channels at 16 px"):
        Generator(32, {4: 8, 8: 8, 32: 8})
    with pytest.raises(ValueError, match="leaves none at 512 px"):
        widths(512, 0.01)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(2)
    network = Generator(16, widths(16, most=8), style_dim=8, mapping_layers=2)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


def test_one_style_is_the_same_style_for_all_layers(generator: Generator) -> None:
    styles = torch.randn(2, 8)
    repeated = styles[:, None].repeat(1, generator.layers, 1)
    one, each = generator.synthesis(styles, "none"), generator.synthesis(repeated, "none")
    torch.testing.assert_close(one, each)
    with pytest.raises(ValueError, match="styles for 6 layers, not 5"):
        generator.synthesis(repeated[:, :5])


def test_each_layer_has_its_own_style(generator: Generator) -> None:
    styles = torch.randn(1, generator.layers, 8)
    image = generator.synthesis(styles, "none")
    for layer in range(generator.layers):
        other = styles.clone()
        other[:, layer] += 1
        assert not torch.equal(generator.synthesis(other, "none"), image)


def test_noise_is_there_once_its_strength_is_not_zero(generator: Generator) -> None:
    z = torch.randn(1, 8)
    assert torch.equal(generator(z, "none"), generator(z, "none"))
    assert not torch.equal(generator(z), generator(z))
    fresh = Generator(16, widths(16, most=8), style_dim=8)
    torch.testing.assert_close(fresh(z), fresh(z, "none"))


def test_fuse_sees_the_first_features_of_each_resolution_and_gives_those_that_go_on(
    generator: Generator,
) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []

    def look(side: int, features: Tensor) -> Tensor:
        seen.append((side, tuple(features.shape)))
        return features

    styles = torch.randn(2, 8)
    image = generator.synthesis(styles, "none")
    torch.testing.assert_close(generator.synthesis(styles, "none", look), image)
    assert seen == [(side, (2, 8, side, side)) for side in (4, 8, 16)]
    first: list[Tensor] = []
    generator.synthesis.blocks["16"].first.register_forward_hook(lambda _, __, out: first.append(out))
    generator.synthesis(styles, "none", lambda side, x: first.append(x) or x if side == 16 else x)
    assert first[0] is first[1]
    for side in (4, 8, 16):
        changed = generator.synthesis(styles, "none", lambda at, x, side=side: x + 1 if at == side else x)
        assert not torch.allclose(changed, image)


def test_bfloat16_keeps_close_to_float32_however_large_the_style(generator: Generator) -> None:
    z = torch.randn(2, 8)
    exact = generator(z, "none")
    with torch.autocast("cpu", torch.bfloat16):
        rough = generator(z, "none")
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.03 * exact.std()
    layer = ModulatedConv2d(4, 4, 3, style_dim=4)
    features, style, bias = torch.randn(1, 4, 8, 8), torch.randn(1, 4), torch.zeros(4)
    nn.init.zeros_(layer.affine.bias)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(
            layer(features, 1e6 * style, bias), layer(features, style, bias), atol=0.1, rtol=0.05
        )


def test_demodulation_is_the_same_under_autocast() -> None:
    layer, style = ModulatedConv2d(16, 8, 3, style_dim=8), torch.randn(2, 8)
    exact = layer._scales(style)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer._scales(style)
    assert all(torch.equal(a, b) for a, b in zip(exact, found, strict=True))


def test_channels_last_gives_the_same(generator: Generator) -> None:
    discriminator = Discriminator(16, widths(16, most=8))
    z = torch.randn(2, 8)
    image = generator(z, "none").detach()
    logits = discriminator(image)
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(generator(z, "none"), image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(discriminator(image), logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("batch", "group", "size"), [(4, 4, 4), (8, 4, 4), (6, 4, 3), (2, 4, 2), (5, 4, 1)])
def test_the_deviation_is_taken_within_each_group(batch: int, group: int, size: int) -> None:
    features = torch.randn(batch, 3, 4, 4)
    found = minibatch_deviation(features, group)
    assert found.shape == (batch, 1, 4, 4)
    for i in range(batch):
        members = features[i % (batch // size) :: batch // size]
        expected = torch.sqrt(members.var(0, unbiased=False) + 1e-8).mean()
        torch.testing.assert_close(found[i], expected.expand(1, 4, 4))


def test_a_group_of_one_judges_each_image_alone() -> None:
    discriminator = Discriminator(8, widths(8, most=4), stddev_group=1)
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(discriminator(images)[:1], discriminator(images[:1]))
    discriminator.stddev_group = 4
    assert not torch.allclose(discriminator(images)[:1], discriminator(images[:1]))
