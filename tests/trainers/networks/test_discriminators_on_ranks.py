"""The models' discriminators on two ranks: logits, losses and gradients are those of one process with all images."""

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop.optimisers import average_gradients
from facerefs.trainers.losses.adversarial import (
    non_saturating_discriminator,
    non_saturating_generator,
    wasserstein_discriminator,
)
from facerefs.trainers.losses.regularise import r1
from facerefs.trainers.networks.critic import Critic
from facerefs.trainers.networks.patch_discriminator import LocalDiscriminators
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.widths import widths
from tests.trainers.loop.test_ranks import in_two_processes

SIDE_PX = 16
RANKS = 2


def _images(count: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(count)
    real, fake = torch.rand(2, count, 3, SIDE_PX, SIDE_PX) * 2 - 1
    return real, fake


def _logistic(network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return non_saturating_discriminator(network(real), network(fake))


def _gradient_penalty(network: nn.Module, real: Tensor, _fake: Tensor) -> Tensor:
    images = real.detach().requires_grad_()
    return r1(images, network(images))


def _through_a_generator(network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return non_saturating_generator(network[1](network[0](fake))) + real.mean() * 0


def _local(network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    boxes = torch.tensor([[2.0, 3, 7, 8], [8, 3, 13, 8], [4, 8, 12, 15]]).expand(len(real), -1, -1)
    logits = [network(images, boxes) for images in (real, fake)]
    return torch.stack(
        [non_saturating_discriminator(logits[0][part], logits[1][part]) for part in logits[0]]
    ).sum()


def _wasserstein(network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return wasserstein_discriminator(network(real), network(fake))


def _judge() -> Discriminator:
    return Discriminator(SIDE_PX, widths(SIDE_PX, most=6))


CASES = {
    "logistic": (_judge, _logistic),
    "r1": (_judge, _gradient_penalty),
    "generator": (lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), _judge()), _through_a_generator),
    "local": (lambda: LocalDiscriminators(4, 4, 8), _local),
    "critic": (lambda: Critic(SIDE_PX, 4), _wasserstein),
}


def _gradients(name: str, count: int, ranks: Distributed | None) -> dict[str, Tensor]:
    make, loss = CASES[name]
    torch.manual_seed(1)
    network = make().train()
    share = count // (ranks.world_size if ranks else 1)
    own = slice(share * ranks.rank, share * (ranks.rank + 1)) if ranks else slice(None)
    real, fake = (images[own] for images in _images(count))
    loss(network, real, fake).backward()
    if ranks:
        average_gradients(list(network.parameters()), ranks)
    return {key: one.grad for key, one in network.named_parameters() if one.grad is not None}


def _work(ranks: Distributed, expected: dict[tuple[str, int], dict[str, Tensor]], logits: Tensor) -> None:
    for (name, count), gradients in expected.items():
        found = _gradients(name, count, ranks)
        assert found.keys() == gradients.keys()
        scale = max(gradient.abs().max().item() for gradient in gradients.values())
        for key, gradient in gradients.items():
            said = f"{name} of {count} images: {key}"
            torch.testing.assert_close(found[key], gradient, rtol=1e-4, atol=1e-4 * scale, msg=said)
    torch.manual_seed(1)
    network = _judge()
    own = _images(RANKS)[0][ranks.rank : ranks.rank + 1]
    torch.testing.assert_close(network.train()(own), logits[ranks.rank : ranks.rank + 1])
    if ranks.is_main:  # alone, as in validation: nobody else takes part
        assert network.eval()(own).item() != pytest.approx(logits[0].item(), rel=1e-3)


def test_two_ranks_have_the_gradients_of_one_with_the_minibatch_standard_deviation_of_all_images() -> None:
    # 2: one image on each rank. 8: two groups of 4, whose images lie on both ranks.
    expected = {(name, count): _gradients(name, count, None) for name in CASES for count in (2, 8)}
    torch.manual_seed(1)
    logits = _judge()(_images(RANKS)[0]).detach()
    in_two_processes(_work, expected, logits)
