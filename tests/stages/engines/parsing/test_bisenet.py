"""BiSeNet against a literal version, on tensors that have the names and shapes of the published face parser."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from facerefs.stages.engines.parsing.bisenet import BiSeNet
from facerefs.stages.engines.torch_file import fill
from tests.stages.engines.parsing.literal_bisenet import drawn_tensors, literal_logits, published_shapes


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return drawn_tensors()


@pytest.fixture(scope="module")
def network(tensors: dict[str, Tensor]) -> BiSeNet:
    made = BiSeNet(labels=19)
    fill(made, tensors, "it does not fit")
    return made.requires_grad_(False)


@pytest.mark.parametrize("size", [(64, 64), (96, 72), (50, 33)])
def test_logits_are_those_of_the_literal_version(
    tensors: dict[str, Tensor], network: BiSeNet, size: tuple[int, int]
) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    expected = literal_logits(tensors, images)
    assert expected.std() > 0.1
    logits = network(images)
    assert logits.shape[-2:] == (-(-size[0] // 8), -(-size[1] // 8))
    found = functional.interpolate(logits, size, mode="bilinear", align_corners=True)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_its_state_is_the_published_one_but_for_counters_and_the_heads_of_training(network: BiSeNet) -> None:
    published = published_shapes()
    assert len(published) == 191  # as others have counted in the file
    wanted = {
        name: shape
        for name, shape in published.items()
        if not name.startswith(("conv_out16", "conv_out32")) and not name.endswith("num_batches_tracked")
    }
    state = network.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == wanted
    assert sum(value.numel() * 4 for value in state.values()) == 52_650_752


def test_training_mode_does_not_move_its_statistics(network: BiSeNet) -> None:
    images = torch.randn(2, 3, 32, 32)
    before = network.eval()(images)
    assert torch.equal(network.train()(images), before)
    assert torch.equal(network.eval()(images), before)


def test_channels_last_gives_the_same(network: BiSeNet) -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found, expected = network(images.contiguous(memory_format=torch.channels_last)), network(images)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_the_published_size() -> None:
    with FakeTensorMode():
        network = BiSeNet(labels=19)
        assert network(torch.empty(2, 3, 512, 512)).shape == (2, 19, 64, 64)
        assert sum(value.numel() for value in network.parameters()) == 13_150_272
