"""RPF's blocks: their sizes, what they are made of, and what they do before they have learnt."""

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.geometry.sizes import enlarged
from facerefs.trainers.models.rpf.refinement import Modulation, Refinement
from facerefs.trainers.models.rpf.synthesis import SynthesisModule
from facerefs.trainers.models.rpf.warping import Warping
from facerefs.trainers.networks.blocks import (
    DownBlock,
    ResidualBlock,
    ShuffleUp,
    UpBlock,
    convolution,
    deconvolution,
)
from facerefs.trainers.networks.critic import Critic
from facerefs.trainers.networks.stylegan2.widths import widths


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (ResidualBlock(6), (2, 6, 8, 8)),
        (DownBlock(6, 10), (2, 10, 4, 4)),
        (UpBlock(6, 10), (2, 10, 16, 16)),
        (ShuffleUp(6, 10), (2, 10, 16, 16)),
        (convolution(6, 10, stride=2, kernel_size=4), (2, 10, 4, 4)),
    ],
)
def test_blocks_give_the_sizes_that_they_say(block: nn.Module, shape: tuple[int, ...]) -> None:
    assert block(torch.randn(2, 6, 8, 8)).shape == shape


def test_blocks_have_the_layers_of_the_paper_and_no_norms() -> None:
    def kinds(block: nn.Module) -> list[tuple[type[nn.Module], int]]:
        return [(type(layer), layer.stride[0]) for layer in block.modules() if hasattr(layer, "stride")]

    assert kinds(DownBlock(4, 4)) == [(nn.Conv2d, 1), (nn.Conv2d, 2)]
    assert kinds(UpBlock(4, 4)) == [(nn.Conv2d, 1), (nn.ConvTranspose2d, 2), (nn.ConvTranspose2d, 1)]
    for network in (Warping(32, 4), SynthesisModule(4, 4), Refinement(widths(16, 1, 8), 8), Critic(16, 4)):
        assert not any("Norm" in type(layer).__name__ for layer in network.modules())


def test_a_residual_block_is_x_and_two_convolutions() -> None:
    block, x = ResidualBlock(3), torch.randn(1, 3, 5, 5)
    inner = nn.functional.conv2d(x, block.first.weight, block.first.bias, padding=1).clamp(min=0)
    assert torch.allclose(
        block(x), x + nn.functional.conv2d(inner, block.second.weight, padding=1), atol=1e-6
    )


@pytest.mark.parametrize(
    "layer", [convolution(64, 64), convolution(64, 64, 2), deconvolution(64, 64), deconvolution(64, 64, 2)]
)
def test_features_keep_their_mean_square_through_relu(layer: nn.Module) -> None:
    torch.manual_seed(0)
    features = layer(torch.randn(4, 64, 32, 32)).relu()
    assert features.square().mean().item() == pytest.approx(1, abs=0.15)  # zeros around take some


@pytest.mark.parametrize(("side", "levels"), [(4, 0), (8, 0), (16, 1), (64, 3), (1024, 7)])
def test_the_warping_module_goes_down_to_8_px(side: int, levels: int) -> None:
    with torch.device("meta"):
        network = Warping(side, 4)
        seen: list[Tensor] = []
        for down in network.down:
            down.register_forward_hook(lambda _module, _inputs, made: seen.append(made))
        flow = network(torch.empty(1, 3, side // 2, side // 2), torch.empty(1, 3, side, side))
    assert flow.shape == (1, 2, side, side)
    assert len(network.down) == len(network.up) == levels
    assert not seen or seen[-1].shape[-1] == 8


def test_before_learning_nothing_moves_and_nothing_is_added() -> None:
    image, reference = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    assert not Warping(16, 4)(image, reference).any()
    assert torch.equal(SynthesisModule(4, 4)(image, reference), enlarged(image, 16))
    assert torch.equal(Refinement(widths(16, 1, 8), 8)(reference), reference)


def test_a_first_step_reaches_the_last_convolution_and_a_second_all_that_is_before_it() -> None:
    image, reference = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    for network, inputs in (
        (Warping(16, 4), (image, reference)),
        (SynthesisModule(4, 2), (image, reference)),
        (Refinement(widths(16, 1, 8), 8), (reference,)),
    ):
        torch.manual_seed(1)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(2):
            optimiser.zero_grad()
            made = network(*inputs)
            (made * torch.randn_like(made)).sum().backward()
            optimiser.step()
        still = [
            name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()
        ]
        assert not still
        assert sum(bool(p.grad.any()) for p in network.parameters()) > 0.9 * len(list(network.parameters()))


def test_refinement_has_k_blocks_of_style_and_feature_modulation() -> None:
    network = Refinement(widths(32, 1, 8), 8)
    assert len(network.down) == len(network.up) == len(network.styles) == 3  # 32 px to 4 px
    block = Modulation(6, 5, 8)
    before, encoded, style = torch.randn(2, 6, 4, 4), torch.randn(2, 6, 4, 4), torch.randn(2, 8)
    with torch.no_grad():
        block.alpha.copy_(torch.randn(6, 1, 1))
        block.beta.copy_(torch.randn(6, 1, 1))
    styled = block.style(before, style, block.style_bias, 2**0.5).clamp(min=0)
    blended = torch.stack(
        [block.alpha[c, 0, 0] * styled[:, c] + block.beta[c, 0, 0] * encoded[:, c] for c in range(6)],
        1,
    )
    expected = block.doubling(blended, style, block.doubling_bias, 2**0.5).clamp(min=0)
    assert expected.shape == (2, 5, 8, 8)
    assert torch.allclose(block(before, encoded, style), expected, atol=1e-6)


def test_a_critic_s_score_of_an_image_does_not_depend_on_the_others() -> None:
    critic, images = Critic(32, 4), torch.randn(3, 3, 32, 32)
    assert critic(images).shape == (3, 1)
    assert torch.allclose(critic(images)[1:2], critic(images[1:2]), atol=1e-5)
