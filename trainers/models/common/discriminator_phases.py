"""The training phases of a discriminator, shared by all models with the logistic loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from facerefs.trainers.loop.training_module import Phase, Terms
from facerefs.trainers.losses.adversarial import non_saturating_discriminator
from facerefs.trainers.losses.regularise import r1
from facerefs.trainers.models.common.per_batch import PerBatch
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Look = Callable[[Tensor], Tensor]
DISCRIMINATOR = "discriminator"  # name of the network, its optimiser and its phase


def unchanged(images: Tensor) -> Tensor:
    """The images, unchanged: the default `look`."""
    return images


class Fakes:
    """The images that the generator made of a batch in its phase, for the discriminator's phase in the same step.

    So a step needs one pass of the generator for each batch (choice: no paper but StyleGAN2's, which draws other
    latents, speaks of a second one, after the generator's update). make: makes them for a batch whose generator's
    phase did not run.
    """

    def __init__(self, make: Callable[[DeviceBatch], Tensor]) -> None:
        self._make = make
        self._made: PerBatch[Tensor] = PerBatch()

    def keep(self, batch: DeviceBatch, images: Tensor) -> None:
        """Keep the generator's images (B, 3, H, W), without their graph."""
        self._made.keep(batch, "fakes", images.detach())

    def __call__(self, batch: DeviceBatch) -> Tensor:
        """The kept images; they are needed once, so their memory is given back."""
        return self._made.take(batch, "fakes", lambda: self._make(batch))


def discriminator_phases(
    network: nn.Module,
    fakes: Callable[[DeviceBatch], Tensor],
    r1_weight: float,
    r1_interval: int,
    look: Look = unchanged,
) -> list[Phase]:
    """The phases of the logistic loss (Goodfellow et al. 2014) and of lazy R1, unless its weight is 0.

    fakes: returns the generator's images (B, 3, H, W) for a batch. look: applied to real and fake images before the
    discriminator sees them, such as augmentation. R1 goes through it too, to the real images before it: as in
    stylegan2-ada, so that the discriminator is regularised where it is trained.
    """

    def logistic(batch: DeviceBatch) -> Terms:
        with torch.no_grad():
            made = fakes(batch)
        return {"logistic": non_saturating_discriminator(network(look(batch.target)), network(look(made)))}

    def gradient(batch: DeviceBatch) -> Terms:
        real = batch.target.detach().requires_grad_()
        return {"r1": r1_weight / 2 * r1(real, network(look(real)))}

    phases = [Phase(DISCRIMINATOR, DISCRIMINATOR, (DISCRIMINATOR,), logistic)]
    if r1_weight:
        phases.append(
            Phase("r1", DISCRIMINATOR, (DISCRIMINATOR,), gradient, interval=r1_interval, force_fp32=True)
        )
    return phases
