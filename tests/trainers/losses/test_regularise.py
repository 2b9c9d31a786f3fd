"""R1 and path length against versions that go sample by sample and entry by entry."""

import math

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.losses.regularise import PathLength, r1


def test_r1_is_the_mean_of_squared_gradient_norms() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Softplus(), nn.Linear(8, 1))
    images = torch.randn(4, 3, 2, 2)
    real = images.clone().requires_grad_()
    found = r1(real, network(real))
    squares = []
    for image in images:
        x = image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(x).squeeze(), x)
        squares.append(gradient.square().sum().item())
    assert found.item() == pytest.approx(sum(squares) / 4, rel=1e-5)
    found.backward()
    assert network[1].weight.grad is not None
    assert network[1].weight.grad.any()


def test_r1_of_a_linear_discriminator_is_its_squared_weight() -> None:
    weight = torch.randn(3, 4, 4)
    real = torch.randn(2, 3, 4, 4, requires_grad=True)
    logits = torch.einsum("bchw,chw->b", real, weight)[:, None]
    assert r1(real, logits).item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def synthesis(styles: Tensor, weight: Tensor) -> Tensor:
    """(B, L, S) to (B, 3, 2, 2), not linear."""
    return torch.tanh(styles.flatten(1) @ weight).view(-1, 3, 2, 2)


def test_path_lengths_are_those_of_the_jacobian() -> None:
    weight = torch.randn(2 * 4, 12)
    styles = torch.randn(3, 2, 4, requires_grad=True)
    torch.manual_seed(5)
    found = PathLength().lengths(synthesis(styles, weight), styles)
    torch.manual_seed(5)
    noise = torch.randn(3, 3, 2, 2) / math.sqrt(2 * 2)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda w: synthesis(w, weight)[0], styles[i : i + 1])
        product = torch.einsum("chwls,chw->ls", jacobian[:, :, :, 0], noise[i])
        assert found[i].item() == pytest.approx(math.sqrt(product.square().sum().item() / 2), rel=1e-4)


def test_the_mean_decays_in_training_alone_and_is_in_the_state() -> None:
    regulariser = PathLength(decay=0.25)
    lengths = torch.tensor([2.0, 4.0], requires_grad=True)
    assert regulariser.penalty(lengths).item() == pytest.approx(((2 - 0.75) ** 2 + (4 - 0.75) ** 2) / 2)
    assert regulariser.state_dict()["mean"].item() == pytest.approx(0.75)
    regulariser.penalty(lengths)
    assert regulariser.mean.item() == pytest.approx(0.75 + 0.25 * (3 - 0.75))
    regulariser.eval().penalty(lengths)
    assert regulariser.mean.item() == pytest.approx(1.3125)
    regulariser.penalty(lengths).backward()
    torch.testing.assert_close(lengths.grad, lengths.detach() - 1.3125)


def test_the_penalty_teaches_the_generator() -> None:
    weight = torch.randn(8, 12, requires_grad=True)
    styles = torch.randn(2, 2, 4, requires_grad=True)
    PathLength()(synthesis(styles, weight), styles).backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
    assert weight.grad.any()


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_a_weight_of_two_is_the_paper_s_gamma(side: int) -> None:
    """Appendix B: gamma = ln 2 / (r^2 (ln r - ln 2)), for noise that is not divided by r and a sum over the layers."""
    layers = 2 * int(math.log2(side)) - 2
    gamma = math.log(2) / (side**2 * (math.log(side) - math.log(2)))
    assert 2 / layers / side**2 == pytest.approx(gamma)
