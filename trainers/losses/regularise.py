"""Regularisers of StyleGAN2: R1 of the discriminator, path length of the generator. They need float32."""

import math

import torch
from torch import Tensor, nn


def r1(real_images: Tensor, logits: Tensor) -> Tensor:
    """Mean over the batch of the squared norm of the logits' gradient with respect to the real images.

    Mescheder et al., "Which training methods for GANs do actually converge?", 2018, eq. 9, without its factor
    gamma / 2.
    real_images: (B, 3, H, W), with `requires_grad` set before they went into the discriminator.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), real_images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


class PathLength(nn.Module):
    """(|J^T y| - a)^2, where a is the moving average of |J^T y|. Karras et al., 2020, section 3.2, eq. 4.

    J is the Jacobian of the image with respect to its styles, y ~ N(0, 1). As in the authors' code, y is divided by
    sqrt(H W), and the square of the length is the mean, not the sum, over the L layers: with a weight of 2 this is
    exactly the paper's appendix B, gamma = ln 2 / (r^2 (ln r - ln 2)), at every resolution r. `a` is a constant for the
    gradient (choice).
    """

    mean: Tensor

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """The penalty, a scalar; in training mode the moving average is updated first.

        images: (B, 3, H, W), made of these styles. styles: (B, L, S), part of the images' graph.
        """
        return self.penalty(self.lengths(images, styles))

    def lengths(self, images: Tensor, styles: Tensor) -> Tensor:
        """|J^T y| of each sample (B,), for a y drawn from torch's generator."""
        noise = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
        (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        return gradient.square().sum(2).mean(1).sqrt()

    def penalty(self, lengths: Tensor) -> Tensor:
        """The penalty, a scalar, of lengths (B,)."""
        if self.training:
            self.mean.lerp_(lengths.detach().mean(), self.decay)
        return (lengths - self.mean).square().mean()
