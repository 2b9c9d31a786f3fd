"""The discriminator that a generator plays against: its phases, the same for all models that take the logistic loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from facerefs.trainers.loop.training_module import Phase, Terms
from facerefs.trainers.losses.adversarial import non_saturating_discriminator
from facerefs.trainers.losses.regularise import r1
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Look = Callable[[Tensor], Tensor]
DISCRIMINATOR = "discriminator"  # of the network, its optimiser and its phase


def unchanged(images: Tensor) -> Tensor:
    """What a discriminator sees if nothing is done to its images."""
    return images


def discriminator_phases(
    network: nn.Module,
    fakes: Callable[[DeviceBatch], Tensor],
    r1_weight: float,
    r1_interval: int,
    look: Look = unchanged,
) -> list[Phase]:
    """Learning to tell real faces from fakes (Goodfellow et al. 2014), and lazily R1, unless its weight is 0.

    fakes: the generator's images (B, 3, H, W) for a batch. look: what the discriminator sees of images, real or not, as
    of augmented ones. R1 is of the images as they are.
    """

    def logistic(batch: DeviceBatch) -> Terms:
        with torch.no_grad():
            made = fakes(batch)
        return {"logistic": non_saturating_discriminator(network(look(batch.target)), network(look(made)))}

    def gradient(batch: DeviceBatch) -> Terms:
        real = batch.target.detach().requires_grad_()
        return {"r1": r1_weight / 2 * r1(real, network(real))}

    phases = [Phase(DISCRIMINATOR, DISCRIMINATOR, (DISCRIMINATOR,), logistic)]
    if r1_weight:
        phases.append(
            Phase("r1", DISCRIMINATOR, (DISCRIMINATOR,), gradient, interval=r1_interval, force_fp32=True)
        )
    return phases
