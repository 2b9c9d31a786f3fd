"""Adversarial losses: non-saturating and Wasserstein, and the gradient penalty. Logits have any shape.

Each function returns a scalar, the mean over the batch. Generator losses take the logits of generated images.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus


def non_saturating_generator(fake_logits: Tensor) -> Tensor:
    """-log sigmoid(D(fake)). Goodfellow et al., "Generative adversarial nets", 2014, section 3."""
    return softplus(-fake_logits).mean()


def non_saturating_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log sigmoid(D(real)) - log(1 - sigmoid(D(fake))). Goodfellow et al., 2014, eq. 1."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def wasserstein_generator(fake_logits: Tensor) -> Tensor:
    """-D(fake). Arjovsky et al., "Wasserstein GAN", 2017."""
    return -fake_logits.mean()


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """D(fake) - D(real); without the penalty. Arjovsky et al., 2017."""
    return fake_logits.mean() - real_logits.mean()


def gradient_penalty(
    discriminate: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, target: float = 1.0
) -> Tensor:
    """(|gradient of D| - target)^2 on lines from real to fake. Gulrajani et al., "Improved training", 2017, eq. 3.

    real, fake: images (B, 3, H, W), which get no gradient. Each sample has its own random position on its line, from
    torch's generator. The weight, 10 in the paper, is not included.
    """
    place = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(real.detach(), fake.detach(), place).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminate(between).sum(), between, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1).float(), dim=1)
    return (norms - target).square().mean()
