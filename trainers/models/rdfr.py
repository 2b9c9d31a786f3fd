"""RDFR: anonymous authors, "Rethinking Deep Face Restoration", submitted to ICLR 2022.

Restores a degraded face without a reference: a U-Net trained from scratch with only a few skips, whose features are
quantised to features of clean faces and get noise. The same face is restored differently each time. Numbers and layers
that the paper does not give are marked as choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, l1_loss

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.identity.embedder import load_embedder
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.losses.adversarial import non_saturating_generator
from facerefs.trainers.losses.augment import augment
from facerefs.trainers.losses.perceptual import Perceptual
from facerefs.trainers.models.common.discriminator_phases import Fakes, discriminator_phases
from facerefs.trainers.models.common.embedded import embedding_check
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.metrics import load_metrics
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.common.tiny import TINY_LOOP, TINY_RDFR
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.networks.quantise import Codebook, code_figures, quantise
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.encoder import Encoder
from facerefs.trainers.networks.stylegan2.generator import SynthesisNetwork
from facerefs.trainers.networks.stylegan2.layers import EPSILON, EqualLinear
from facerefs.trainers.networks.stylegan2.widths import Widths, widths
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Weight = Annotated[float, Ge(0)]
_DRAWS, _SPREAD_GAIN = 4, 4.0  # for the figure and the picture that show how much restored faces differ
_GLOBAL_PX = 32  # side of the features that the gate of a fusion sees, at most


# --- Network (sections 3.1 and 3.2, figure 2) ---


class GatedNoise(nn.Module):
    """sigmoid(z) * eps, eq. 6: independent noise for each element of a style or of features.

    Choice: a linear layer maps the latent z to the channels of the noise; its bias is 0 at first: half open.
    """

    def __init__(self, latent_dim: int, channels: int) -> None:
        super().__init__()
        self.gate = EqualLinear(latent_dim, channels)

    def forward(self, latent: Tensor, features: Tensor) -> Tensor:
        """Noise for a latent (B, Z), of the shape of features (B, C) or (B, C, H, W)."""
        gate: Tensor = self.gate(latent).sigmoid().to(features.dtype)
        noise = torch.randn_like(features, memory_format=torch.contiguous_format)
        return gate.view(*gate.shape, *[1] * (features.ndim - 2)) * noise


class LinearGatedFusion(nn.Module):
    """LGF, eq. 4: o = DownSample(p + q) W, s = UpSample(sigmoid(o)), q* = s (p + q) + (1 - s) q.

    W, of at most 1024 x 1024, mixes places and is the same for all channels; r = H / 32 beyond 32 px, else 1. Choices:
    windows are averaged, gates are upsampled bilinearly, W is scaled at run time like StyleGAN2's weights, and starts
    at 0, so that half of each skip passes.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.window = max(1, side // _GLOBAL_PX)
        places = (side // self.window) ** 2
        self.weight = nn.Parameter(torch.zeros(places, places))
        self.weight_gain = places**-0.5

    def forward(self, encoded: Tensor, generated: Tensor) -> Tensor:
        """Features p and q, both (B, C, side, side), to q*."""
        small = avg_pool2d(encoded + generated, self.window)
        score = small.flatten(2) @ (self.weight * self.weight_gain)
        gate: Tensor = score.sigmoid().view_as(small)
        if self.window > 1:
            gate = interpolate(gate, scale_factor=float(self.window), mode="bilinear")
        return generated + gate.to(generated.dtype) * encoded  # the same as q* above


class Addition(nn.Module):
    """Fusion without a gate, for the first rows of table 3 (choice)."""

    def forward(self, encoded: Tensor, generated: Tensor) -> Tensor:
        return encoded + generated


class Skip(nn.Module):
    """Quantisation and noise for the encoder's features of one resolution, before their fusion with the decoder's."""

    def __init__(self, channels: int, shape: "Shape") -> None:
        super().__init__()
        self.codebook = Codebook(shape.codes, channels, shape.decay) if shape.quantise else None
        self.noise = GatedNoise(shape.style_dim, channels) if shape.noise else None

    def forward(self, features: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W), quantised and with noise; and their distance to the codes (commitment), a scalar.

        latent: (D B, Z), the latents of the B faces D times over; the features come out as many times, each with its
        own noise.
        """
        commitment = torch.zeros((), device=features.device)
        if self.codebook is not None:
            quantised = self.codebook(features)
            features, commitment = quantised.features, quantised.to_features
        features = features.repeat(len(latent) // len(features), 1, 1, 1)
        if self.noise is not None:
            features = features + self.noise(latent, features)
        return features, commitment


class Restored(NamedTuple):
    """Restored faces (B, 3, H, W), the commitment of each skip, eq. 3, second term, and the encoder's features."""

    image: Tensor
    commitments: list[Tensor]
    encoded: Mapping[int, Tensor]  # by side


class RdfrNetwork(nn.Module):
    """x^ = G(x, eps), eq. 5: degraded faces (B, 3, H, W) in [-1, 1] to restored ones; eps from torch's generator.

    Choices: the decoder is StyleGAN2's, starts with the encoder's 4 x 4 features and takes a skip after the first
    convolution of its resolution. One layer computes its style from the latent z and gated noise; StyleGAN2's
    own noise is left out.
    """

    def __init__(self, channels: Widths, shape: "Shape") -> None:
        super().__init__()
        self.encoder = Encoder(channels, residual_blocks=shape.residual_blocks)
        self.latent = EqualLinear(channels[4] * 16, shape.style_dim)
        self.noise = GatedNoise(shape.style_dim, shape.style_dim) if shape.noise else None
        self.style = EqualLinear(2 * shape.style_dim, shape.style_dim, activate=True)
        self.decoder = SynthesisNetwork(channels, shape.style_dim, learned_start=False)
        sides = sorted(shape.skips)
        self.skips = nn.ModuleDict({str(side): Skip(channels[side], shape) for side in sides})
        self.fusions = nn.ModuleDict(
            {str(side): LinearGatedFusion(side) if shape.gated_fusion else Addition() for side in sides}
        )

    def forward(self, degraded: Tensor, draws: int = 1) -> Restored:
        """The restored faces, different each time for the same input unless `shape.noise` is off.

        draws: how often each face is restored from the same features: (draws B, 3, H, W), all faces before the first
        one comes again.
        """
        features = self.encoder(degraded)
        latent = self.latent(features[4].flatten(1)).repeat(draws, 1)
        noise = torch.zeros_like(latent) if self.noise is None else self.noise(latent, latent)
        style = self.style(torch.cat([latent, noise], 1))
        enhanced = {side: skip(features[int(side)], latent) for side, skip in self.skips.items()}

        def fuse(side: int, generated: Tensor) -> Tensor:
            if str(side) not in enhanced:
                return generated
            fused: Tensor = self.fusions[str(side)](enhanced[str(side)][0], generated)
            return fused

        image = self.decoder(style, "none", fuse, features[4].repeat(draws, 1, 1, 1))
        return Restored(image, [commitment for _, commitment in enhanced.values()], features)

    @property
    def codebooks(self) -> dict[int, Codebook]:
        """The codebooks by the side of their skip; empty without quantisation."""
        books = {int(side): skip.codebook for side, skip in self.skips.items()}
        return {side: book for side, book in books.items() if isinstance(book, Codebook)}

    @torch.no_grad()
    def observe(self, truth: Tensor) -> dict[int, Tensor]:
        """Let the codebooks observe the features of clean faces (section 3.1.2); returns these features by side."""
        if not self.codebooks:
            return {}
        features: dict[int, Tensor] = self.encoder(truth)
        for side, codebook in self.codebooks.items():
            codebook.observe(features[side])
        return features

    def from_clean_codes(self, encoded: Mapping[int, Tensor], clean: Mapping[int, Tensor]) -> Tensor:
        """The distance of features to the codes of the clean face's, both (B, C, side, side) by side: a scalar.

        Each vector is scaled to a mean square of 1, so that small features are not nearer; the mean over elements, and
        the sum over skips. Gradients go to `encoded` alone.
        """
        terms = []
        for side, codebook in self.codebooks.items():
            with torch.no_grad():
                wanted = _scaled(quantise(clean[side], codebook.codes).codes)
            terms.append((_scaled(encoded[side]) - wanted).square().mean())
        return torch.stack(terms).sum()


# --- Losses (section 3.3) ---


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of eq. 7 and 10; all but `adversarial` are 1 in the paper, which does not give its alpha.

    draws: eq. 10 compares each restored face with the truth, and noise makes this term larger, so the gates close.

    r1: augmentation is the only regulariser of the discriminator that the paper names. As the discriminator is
    StyleGAN2's here, its R1 is used too (choice), through the augmentation.
    """

    adversarial: Weight = 0.1
    """Weight of the adversarial term."""
    pixels: Weight = 1.0
    """Weight of the L1 difference of pixels."""
    draws: Positive = 1
    """How often each face of a batch is restored, with other noise: the L1 term compares the mean with the truth, all
    other terms see the first; 1 is the paper's, with 2 restored faces stay more different."""
    perceptual: Weight = 1.0
    """Weight of the perceptual term with VGG19; 0 leaves it out and loads no weights."""
    commitment: Weight = 1.0
    """Weight of the distance of the features to their codes, eq. 3."""
    clean_codes: Weight = 0.0
    """Weight of the pull of the features to the codes of the clean face: the mean squared difference of both, after
    each is scaled to a mean square of 1 over its channels; not in the paper, 0 leaves it out."""
    r1: Weight = 10.0
    """Weight of R1, the gradient penalty of the discriminator; 0 leaves its phase out."""
    r1_every: Positive = 16
    """Steps between two R1 phases."""


@dataclass(frozen=True, eq=False)
class RdfrLosses:
    """The losses of the phases, bound to the networks that they train."""

    generator_network: nn.Module
    discriminator_network: nn.Module
    weights: LossWeights
    perceptual: Perceptual | None

    @cached_property
    def fakes(self) -> Fakes:
        return Fakes(lambda batch: _restored(self.generator_network, restorer_input(batch)).image)

    def generator(self, batch: DeviceBatch) -> Terms:
        network, weights = self.generator_network, self.weights
        assert isinstance(network, RdfrNetwork)  # noqa: S101
        images, commitments, encoded = network(restorer_input(batch).degraded, weights.draws)
        clean = network.observe(batch.target)
        images = images.view(weights.draws, *batch.target.shape)
        image = images[0]
        self.fakes.keep(batch, image)
        realistic = non_saturating_generator(self.discriminator_network(augment(image)))  # eq. 9
        terms = {
            "adversarial": weights.adversarial * realistic,
            "pixels": weights.pixels * l1_loss(images.mean(0), batch.target),
        }
        if self.perceptual is not None:
            terms["perceptual"] = weights.perceptual * self.perceptual(image, batch.target)
        if network.codebooks:
            # The mean over elements, and the sum over skips: choice.
            terms["commitment"] = weights.commitment * torch.stack(commitments).sum()
        if network.codebooks and weights.clean_codes:
            terms["clean_codes"] = weights.clean_codes * network.from_clean_codes(encoded, clean)
        return terms


def _scaled(features: Tensor) -> Tensor:
    """Features (B, C, H, W) whose vectors have a mean square of 1, float32."""
    features = features.float()
    return features * torch.rsqrt(features.square().mean(1, keepdim=True) + EPSILON)


def _restored(network: nn.Module, seen: RestorerInput) -> Restored:
    restored: Restored = network(seen.degraded)
    return restored


def _draws(network: nn.Module, seen: RestorerInput) -> Tensor:
    """Several restored faces of the same input: (draws, B, 3, H, W)."""
    restored: Restored = network(seen.degraded, _DRAWS)
    return restored.image.float().view(_DRAWS, *seen.degraded.shape)


# --- Phases ---


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks. Channels are StyleGAN2's, at most `channels`, times `channel_multiplier` from 64 px on.

    quantise, gated_fusion (LGF) and noise are the steps of table 3; figure 3 shows the effect of the skips.
    """

    size_px: Literal[16, 32, 64, 128, 256, 512, 1024] = 512
    """Side in pixels of the faces that the networks work on."""
    channels: Positive = 512
    """Maximum number of channels of a layer."""
    channel_multiplier: Positive = 2
    """Factor of the number of channels at sides of 64 pixels and more."""
    style_dim: Positive = 512
    """Length of the style code."""
    skips: tuple[int, ...] = (8, 16, 32, 64)
    """Sides in pixels of the features that the decoder gets from the encoder; the fewer and smaller they are, the more
    details it invents."""
    quantise: bool = True
    """Whether these features are quantised by a codebook."""
    gated_fusion: bool = True
    """Whether these features are fused through a gate; false adds them."""
    noise: bool = True
    """Whether noise is added to the style and the features, which gives a different face each time."""
    codes: Positive = 1024
    """Codes in the codebook of each skip."""
    residual_blocks: Annotated[int, Ge(0)] = 0
    """Residual blocks of two convolutions at each resolution of the encoder but the first; not in the paper, whose
    features at 64 pixels would else see 36 pixels of a face of 512."""
    decay: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the moving average of the codes, per step."""


@dataclass(frozen=True)
class Pretrained:
    """Where pretrained networks come from: a path, `cache`, `download` or `random`."""

    perceptual: str = "cache"
    """Weights of VGG19 for the perceptual term: a file, `cache`, `download` or `random`."""
    lpips: str = "cache"
    """Weights of AlexNet and VGG16 for the metrics `lpips_alex` and `lpips_vgg`: `cache`, `download` or `random`, or a
    file of AlexNet; empty leaves them out; a note says what is not in the cache and so not computed."""
    identity: str = ""
    """Embedder such as `dlib`, also another one than that of the shards, for the metrics `identity_truth` and
    `identity_degrees` only; empty leaves them out."""


@dataclass(frozen=True)
class Rdfr:
    """All settings of RDFR. Steps and batch are choices."""

    shape: Shape = Shape()
    losses: LossWeights = LossWeights()
    weights: Pretrained = Pretrained()
    adam: Adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99)
    data: Data = Data(batch_size=4, references=0, degradation="rdfr")
    loop: Loop = Loop(steps=800_000, precision="tf32")

    @property
    def size_px(self) -> int:
        """Side of the faces that the networks work on."""
        return self.shape.size_px

    @property
    def identity(self) -> str:
        """Empty: it restores without references."""
        return ""

    @property
    def stochastic(self) -> bool:
        """Whether noise is on; it is drawn in restoring too (section 3.2.1)."""
        return self.shape.noise

    def networks(self) -> dict[str, nn.Module]:
        shape = self.shape
        channels = widths(shape.size_px, shape.channel_multiplier, shape.channels)
        _check_skips(shape.skips, [side for side in channels if side > 4])
        return {
            "generator": RdfrNetwork(channels, shape),
            "discriminator": Discriminator(shape.size_px, channels),
        }

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        return _restored(networks["generator"], seen).image

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        """A second output for the same faces, and the standard deviation over four: mid gray is 0.25 of [-1, 1]."""
        if not self.stochastic:
            return {}
        draws = _draws(networks["generator"], seen)
        spread = draws.std(0).mean(1, keepdim=True).expand_as(draws[0])
        return {"another": draws[0], "spread": (_SPREAD_GAIN * spread - 1).clamp(-1, 1)}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        generator, discriminator = networks["generator"], networks["discriminator"]
        assert isinstance(generator, RdfrNetwork)  # noqa: S101
        if self.data.references:
            raise ValueError(f"RDFR restores blind: set data.references=0 instead of {self.data.references}")
        perceptual = Perceptual(self.weights.perceptual).to(device) if self.losses.perceptual else None
        identity = load_embedder(self.weights.identity, device) if self.weights.identity else None
        losses = RdfrLosses(generator, discriminator, self.losses, perceptual)
        metrics = load_metrics(self.size_px, device, self.weights.lpips, identity)
        evaluator = Evaluator(self, metrics, stored=embedder)

        def scores(networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
            figures = {**evaluator.scores(networks, batch), **code_scores(networks["generator"], batch)}
            if self.stochastic:
                figures["spread"] = (
                    _draws(networks["generator"], restorer_input(batch)).std(0).mean((1, 2, 3))
                )
            return figures

        def move_codes(_step: int, ranks: Distributed) -> None:
            for codebook in generator.codebooks.values():
                codebook.update(ranks)

        lazily = self.losses.r1_every if self.losses.r1 else None
        notes = [] if perceptual is None else [perceptual.note]
        return TrainingModule(
            networks=networks,
            averaged=("generator",),
            optimisers={
                "generator": adam_for(generator.parameters(), self.adam),
                "discriminator": adam_for(discriminator.parameters(), self.adam, lazily),
            },
            phases=[
                Phase("generator", "generator", ("generator",), losses.generator),
                *discriminator_phases(
                    discriminator, losses.fakes, self.losses.r1, self.losses.r1_every, look=augment
                ),
            ],
            pictures=evaluator.pictures,
            scores=scores,
            notes=(*notes, *(() if identity is None else (f"identity: {identity.name}",)), *metrics.notes),
            between_steps=move_codes,
            check=embedding_check(identity, embedder),
        )


def code_scores(network: nn.Module, batch: DeviceBatch) -> dict[str, Tensor]:
    """Metrics (B,) for each codebook: those of `code_figures`, and the perplexity of its codes."""
    assert isinstance(network, RdfrNetwork)  # noqa: S101
    if not network.codebooks:
        return {}
    features, clean = network.encoder(restorer_input(batch).degraded), network.encoder(batch.target)
    figures = {}
    for side, codebook in network.codebooks.items():
        chosen, wanted = (codebook(found[side]).chosen for found in (features, clean))
        for name, figure in code_figures(chosen, wanted, len(codebook.codes)).items():
            figures[f"{name}_{side}px"] = figure
        figures[f"codes_perplexity_{side}px"] = codebook.perplexity.expand(len(chosen))
    return figures


def _check_skips(skips: Sequence[int], sides: Sequence[int]) -> None:
    if not set(skips) <= set(sides) or len(set(skips)) < len(skips):
        raise ValueError(
            f"shape.skips={list(skips)} cannot be: skips are at different resolutions of {list(sides)}"
        )


PRESETS = {
    "paper": Rdfr(),
    "tiny": Rdfr(
        shape=Shape(
            size_px=64,
            channels=64,
            channel_multiplier=1,
            style_dim=128,
            skips=(8, 16, 32),
            codes=256,
            residual_blocks=1,  # choice: measured as helping, see docs/ablations.md
        ),
        losses=LossWeights(perceptual=0.0, r1=0.1),
        adam=Adam(lr=4e-3, beta1=0.5, beta2=0.99),  # learns more in few steps
        data=Data(batch_size=4, references=0, degradation=TINY_RDFR),
        loop=TINY_LOOP,
    ),
}
