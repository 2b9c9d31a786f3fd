"""StyleGAN2: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020.

Unconditional generation of faces. A generator trained on faces is the prior that restorers start from. It is trained on
undegraded faces only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive, Share
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.losses.adversarial import non_saturating_generator
from facerefs.trainers.losses.regularise import PathLength
from facerefs.trainers.models.common.discriminator_phases import discriminator_phases
from facerefs.trainers.models.common.tiny import TINY_LOOP, TINY_REFINE
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.weights.stylegan2 import load_discriminator, load_generator, load_or_draw

Weight = Annotated[float, Ge(0)]


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks. Channels are 16384 / side times the multiplier, but at most `channels`."""

    size_px: Literal[8, 16, 32, 64, 128, 256, 512, 1024] = 512
    """Side of the generated faces in pixels."""
    channels: Positive = 512
    """Maximum number of channels of a layer."""
    channel_multiplier: Annotated[float, Gt(0)] = 2
    """Factor of the number of channels, which is 16384 divided by the side in pixels."""
    style_dim: Positive = 512
    """Length of the latent and of the style code."""
    mapping_layers: Annotated[int, Ge(0)] = 8
    """Layers of the mapping network."""
    stddev_group: Positive = 4
    """Number of samples over which the discriminator computes the standard deviation; 1 turns it off."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the regularisers, whose phases run every few steps; a weight of 0 leaves one out.

    r1: gamma, of which the loss uses half (Mescheder et al., 2018, eq. 9). path_length: see `PathLength`; its 4 steps
    are from the authors' code. style_mixing: each image changes to the second latent at its own random layer (choice).
    """

    r1: Weight = 10.0
    """Weight of R1, the gradient penalty of the discriminator; 0 leaves its phase out."""
    r1_every: Positive = 16
    """Steps between two R1 phases."""
    path_length: Weight = 2.0
    """Weight of the path length regulariser of the generator; 0 leaves its phase out."""
    path_length_every: Positive = 4
    """Steps between two path length phases."""
    path_length_shrink: Positive = 2
    """Divisor of the batch size for the number of images in a path length phase."""
    path_length_decay: Share = 0.01
    """Step of the moving average of the path length towards each new batch, from 0 to 1."""
    style_mixing: Share = 0.9
    """Share of the images that are generated from two latents, from 0 to 1."""


@dataclass(frozen=True)
class Pretrained:
    """Initial weights: the path of a file, or `random`."""

    generator: str = "random"
    """Initial weights of the generator: a file, or `random`."""
    discriminator: str = "random"
    """Initial weights of the discriminator: a file, or `random`."""


@dataclass(frozen=True, eq=False)
class StyleGan2Losses:
    """The losses of the phases, bound to the networks that they train."""

    generator_network: Generator
    discriminator_network: Discriminator
    path_length_mean: PathLength
    weights: LossWeights

    def generator(self, batch: DeviceBatch) -> Terms:
        """The adversarial term."""
        fakes = self.fakes(batch)
        return {"adversarial": non_saturating_generator(self.discriminator_network(fakes))}

    def path_length(self, batch: DeviceBatch) -> Terms:
        """The path length term, on a part of the batch size."""
        count = max(1, len(batch.target) // self.weights.path_length_shrink)
        network = self.generator_network
        styles = network.mapping(draw_latents(network, count, batch.target.device, self.weights.style_mixing))
        penalty = self.path_length_mean(network.synthesis(styles), styles)
        return {"path_length": self.weights.path_length * penalty}

    def fakes(self, batch: DeviceBatch) -> Tensor:
        """Generated images, as many as the batch has."""
        network = self.generator_network
        latents = draw_latents(network, len(batch.target), batch.target.device, self.weights.style_mixing)
        images: Tensor = network(latents)
        return images


def draw_latents(generator: Generator, count: int, device: torch.device, mixing: float) -> Tensor:
    """Latents (B, L, S): equal in all layers, or for a share of the images a second latent from a random layer on.

    Karras et al., "A style-based generator architecture", 2019, section 3.1. Random numbers are from torch's generator.
    """
    layers = generator.layers
    first, second = torch.randn(2, count, 1, generator.style_dim, device=device)
    change = torch.randint(1, layers, (count, 1), device=device)
    mixed = torch.rand(count, 1, device=device) < mixing
    before = (torch.arange(layers, device=device) < change) | ~mixed
    return torch.where(before[:, :, None], first, second)


def pictures(networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
    """Generated samples, the same ones each time, and real faces."""
    return {"sample": _samples(networks, batch), "truth": batch.target}


def scores(networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
    """Logits of held-out real faces and of samples: if those of real faces fall towards samples', it overfits."""
    discriminator = networks["discriminator"]
    return {
        "logit_real": discriminator(batch.target)[:, 0],
        "logit_sample": discriminator(_samples(networks, batch))[:, 0],
    }


def _samples(networks: Networks, batch: DeviceBatch) -> Tensor:
    generator = networks["generator"]
    assert isinstance(generator, Generator)  # noqa: S101  as `networks` made it
    images: Tensor = generator(draw_latents(generator, len(batch.target), batch.target.device, mixing=0))
    return images


@dataclass(frozen=True)
class StyleGan2:
    """All settings of StyleGAN2."""

    shape: Shape = Shape()
    losses: LossWeights = LossWeights()
    weights: Pretrained = Pretrained()
    adam: Adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99)  # of both networks
    data: Data = Data(batch_size=32, references=0)
    loop: Loop = Loop(steps=800_000, precision="tf32")

    @property
    def size_px(self) -> int:
        return self.shape.size_px

    def networks(self) -> dict[str, nn.Module]:
        shape = self.shape
        channels = widths(shape.size_px, shape.channel_multiplier, shape.channels)
        return {
            "generator": Generator(shape.size_px, channels, shape.style_dim, shape.mapping_layers),
            "discriminator": Discriminator(shape.size_px, channels, shape.stddev_group),
            "path_length": PathLength(self.losses.path_length_decay),
        }

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        generator, discriminator = networks["generator"], networks["discriminator"]
        path_length = networks["path_length"]
        assert isinstance(generator, Generator)  # noqa: S101
        assert isinstance(discriminator, Discriminator)  # noqa: S101
        assert isinstance(path_length, PathLength)  # noqa: S101
        weights = self.losses
        losses = StyleGan2Losses(generator, discriminator, path_length, weights)
        phases = [Phase("generator", "generator", ("generator",), losses.generator)]
        if weights.path_length:
            every = weights.path_length_every
            phases.append(
                Phase("path_length", "generator", ("generator",), losses.path_length, every, force_fp32=True)
            )
        phases += discriminator_phases(discriminator, losses.fakes, weights.r1, weights.r1_every)
        lazily = {phase.optimiser: phase.interval for phase in phases if phase.force_fp32}
        return TrainingModule(
            networks=networks,
            averaged=("generator",),
            between_steps=lambda _step, ranks: ranks.mean_(path_length.mean),
            optimisers={
                name: adam_for(list(networks[name].parameters()), self.adam, lazily.get(name))
                for name in ("generator", "discriminator")
            },
            phases=phases,
            pictures=pictures,
            scores=scores,
            notes=(
                load_or_draw("generator", self.weights.generator, partial(load_generator, generator)),
                load_or_draw(
                    "discriminator", self.weights.discriminator, partial(load_discriminator, discriminator)
                ),
            ),
        )


PRESETS = {
    "paper": StyleGan2(),
    # A channel_multiplier of 1 gives the widths of ReFine's tiny preset, which can then start from it. R1 is ten times
    # stylegan2-ada's rule of thumb, 0.0002 size_px^2 / batch, with which images stayed noisy for long.
    "tiny": StyleGan2(
        shape=Shape(size_px=64, channels=64, channel_multiplier=1 / 16, style_dim=128),
        losses=LossWeights(r1=1.0),
        data=Data(batch_size=8, references=0, degradation=TINY_REFINE),
        loop=TINY_LOOP,
    ),
}
