"""Adversarial losses against their formulas, and the gradient penalty sample by sample."""

import math

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.losses.adversarial import (
    gradient_penalty,
    non_saturating_discriminator,
    non_saturating_generator,
    wasserstein_discriminator,
    wasserstein_generator,
)

REAL = [2.0, -0.5, 0.25]
FAKE = [-3.0, 0.75, 1.5]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_losses_are_their_formulas() -> None:
    real, fake = torch.tensor(REAL)[:, None], torch.tensor(FAKE)[:, None]
    expected = {
        non_saturating_generator(fake): mean([-math.log(sigmoid(x)) for x in FAKE]),
        non_saturating_discriminator(real, fake): mean([-math.log(sigmoid(x)) for x in REAL])
        + mean([-math.log(1 - sigmoid(x)) for x in FAKE]),
        wasserstein_generator(fake): -mean(FAKE),
        wasserstein_discriminator(real, fake): mean(FAKE) - mean(REAL),
    }
    for loss, value in expected.items():
        assert loss.shape == ()
        assert loss.item() == pytest.approx(value, rel=1e-5)


def test_large_logits_give_finite_losses() -> None:
    far = torch.tensor([1e4])
    assert non_saturating_generator(-far).item() == pytest.approx(1e4)
    assert non_saturating_discriminator(-far, far).item() == pytest.approx(2e4)


def critic() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))


def test_the_gradient_penalty_is_that_of_each_sample_alone() -> None:
    network = critic()
    real, fake = torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2)
    torch.manual_seed(3)
    found = gradient_penalty(network, real, fake, target=0.7)
    torch.manual_seed(3)
    places = torch.rand(5, 1, 1, 1)
    squares = []
    for i in range(5):
        x = ((1 - places[i]) * real[i] + places[i] * fake[i])[None].requires_grad_()
        (gradient,) = torch.autograd.grad(network(x).squeeze(), x)
        squares.append((gradient.norm().item() - 0.7) ** 2)
    assert found.item() == pytest.approx(mean(squares), rel=1e-5)
    assert 0 < places.min() < places.max() < 1


def test_the_gradient_penalty_teaches_the_critic_alone() -> None:
    network = critic()
    real, fake = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2, requires_grad=True)
    gradient_penalty(network, real, fake).backward()
    assert fake.grad is None
    assert all(p.grad is not None and p.grad.any() for p in list(network.parameters())[:3])


def test_a_flat_critic_has_a_finite_gradient() -> None:
    scale = nn.Parameter(torch.zeros(()))

    def flat(images: Tensor) -> Tensor:
        return scale * images.sum((1, 2, 3))

    penalty = gradient_penalty(flat, torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2))
    penalty.backward()
    assert penalty.item() == pytest.approx(1)
    assert scale.grad is not None
    assert scale.grad.isfinite()
