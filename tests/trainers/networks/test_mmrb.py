"""The MMRB is eq. 4 to 10 of its paper, with its channel counts, and begins as the identity."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import Tensor, nn

from facerefs.trainers.networks.mmrb import Mmrb


def literal(block: Mmrb, features: np.ndarray) -> np.ndarray:
    """Eq. 4 to 10 of one image (C, H, W), channel by channel."""

    def conv(layer: nn.Sequential, channels: list[np.ndarray]) -> list[np.ndarray]:
        weight = layer[0].weight.detach().double().numpy()
        bias = layer[0].bias.detach().double().numpy()
        slope = layer[1].weight.item()
        gain = math.sqrt(2 / (1 + 0.25**2))
        scale = gain / math.sqrt(weight.shape[1] * weight.shape[2] ** 2)
        assert weight.shape[1] == len(channels)
        sums = [
            sum(correlate2d(plane, kernel, mode="same") for plane, kernel in zip(channels, one, strict=True))
            * scale
            + gain * b
            for one, b in zip(weight, bias, strict=True)
        ]
        return [np.where(plane > 0, plane, slope * plane) for plane in sums]

    half = len(features) // 2
    x1, x2 = list(features[:half]), list(features[half:])
    p1, p2 = conv(block.first3, x1), conv(block.first5, x2)
    p1, p2 = conv(block.second3, p1 + p2), conv(block.second5, p1 + p2)
    return features + np.stack(conv(block.bottleneck, p1 + p2))


def test_it_is_the_equations() -> None:
    torch.manual_seed(1)
    block = Mmrb(6)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    images = torch.randn(2, 6, 7, 5)
    expected = np.stack([literal(block, image) for image in images.double().numpy()])
    torch.testing.assert_close(block(images).double(), torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


def test_kernels_and_channels_are_those_of_the_paper() -> None:
    block = Mmrb(8)
    shapes = {name: tuple(p.shape) for name, p in block.named_parameters() if name.endswith("0.weight")}
    assert shapes == {
        "first3.0.weight": (4, 4, 3, 3),
        "first5.0.weight": (4, 4, 5, 5),
        "second3.0.weight": (8, 8, 3, 3),
        "second5.0.weight": (8, 8, 5, 5),
        "bottleneck.0.weight": (8, 16, 1, 1),
    }
    slopes: list[Tensor] = [module.weight for module in block.modules() if isinstance(module, nn.PReLU)]
    assert [slope.item() for slope in slopes] == [0.25] * 5


def test_it_begins_as_the_identity_and_can_leave_it() -> None:
    block, images = Mmrb(4), torch.randn(1, 4, 6, 6)
    assert torch.equal(block(images), images)
    block(images).square().sum().backward()
    assert block.bottleneck[0].weight.grad.abs().min() > 0


def test_fresh_paths_keep_the_power_of_features() -> None:
    torch.manual_seed(2)
    block = Mmrb(64)
    nn.init.normal_(block.bottleneck[0].weight)
    images = torch.randn(2, 64, 16, 16)
    assert (block(images) - images).square().mean().item() == pytest.approx(1, abs=0.25)


def test_odd_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="5 are odd"):
        Mmrb(5)
