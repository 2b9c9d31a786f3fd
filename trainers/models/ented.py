"""ENTED: Lau et al., "ENTED: Enhanced Neural Texture Extraction and Distribution for Reference-based Blind Face
Restoration", WACV 2024.

Kernels extract textures from the reference and distribute them to a decoder. The decoder starts from the degraded
face's content, quantised by a dictionary of clean faces. Numbers and layers that the paper does not give are marked as
choices.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.identity.embedder import load_embedder
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.losses.adversarial import non_saturating_generator
from facerefs.trainers.losses.attention import attention_reconstruction
from facerefs.trainers.losses.perceptual import GFPGAN_LAYERS, NTED_LAYERS, Perceptual
from facerefs.trainers.models.common.discriminator_phases import Fakes, discriminator_phases
from facerefs.trainers.models.common.embedded import embedding_check
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.metrics import load_metrics
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.common.tiny import TINY_GFPGAN, TINY_LOOP
from facerefs.trainers.models.ented_pictures import attention_pictures
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.networks.attention import Distribution, Extraction, cross_attention, feature_normalised
from facerefs.trainers.networks.dictionary import Dictionary
from facerefs.trainers.networks.exact import in_float32
from facerefs.trainers.networks.kmeans import check_faiss
from facerefs.trainers.networks.quantise import Quantised, code_figures, quantise
from facerefs.trainers.networks.stylegan2.discriminator import HALF_POWER, Discriminator
from facerefs.trainers.networks.stylegan2.encoder import Encoder
from facerefs.trainers.networks.stylegan2.generator import SynthesisNetwork
from facerefs.trainers.networks.stylegan2.layers import EqualConv2d, EqualLinear
from facerefs.trainers.networks.stylegan2.widths import Widths, widths
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Weight = Annotated[float, Ge(0)]
_LAYERS = {"gfpgan": GFPGAN_LAYERS, "nted": NTED_LAYERS}


# --- Network (section 3, figure 3) ---


class LatentRefinement(nn.Module):
    """Cross-attention of content and reference, eq. 6 to 8: (B, C, h, w) of both -> style codes (B, S), float32.

    The content is the quantised one. Choices: one 1 x 1 convolution for each image, whose gain scales the normalised
    vectors, of length 1, to a mean square of 1, otherwise attention would be uniform; gammas are 0 at first, as in
    NAFSSR (the paper's [4]); psi is applied to the mean over all positions. Without `refine`, the paper's model 4, the
    style is psi of the content alone.
    """

    def __init__(self, channels: int, style_dim: int, refine: bool) -> None:
        super().__init__()
        self.refine = refine
        if refine:
            gain = math.sqrt(channels)
            self.content = EqualConv2d(channels, channels, 1, bias=False, gain=gain)
            self.reference = EqualConv2d(channels, channels, 1, bias=False, gain=gain)
            self.content_gamma = nn.Parameter(torch.zeros(channels))
            self.reference_gamma = nn.Parameter(torch.zeros(channels))
        self.style = EqualLinear((2 if refine else 1) * channels, style_dim)

    def forward(self, content: Tensor, reference: Tensor) -> Tensor:
        with torch.autocast(content.device.type, enabled=False):
            content, reference = content.float(), reference.float()
            pooled = content.mean((2, 3))
            if self.refine:
                ours = self.content(feature_normalised(content)).flatten(2)
                theirs = self.reference(feature_normalised(reference)).flatten(2)
                # Eq. 7 and 8; the mean is taken before the scaling, as they commute.
                for_ours = cross_attention(ours, theirs, theirs).mean(2)
                for_theirs = cross_attention(theirs, ours, ours).mean(2)
                one = self.content_gamma * for_ours + pooled
                other = self.reference_gamma * for_theirs + reference.mean((2, 3))
                pooled = torch.cat([one, other], 1)
            style: Tensor = self.style(pooled)
        return style


@dataclass(frozen=True, eq=False)
class Made:
    """The generator's output: an image (B, 3, H, W), its attention matrices and its quantised content.

    extraction, distribution: the matrices (B, k, side * side) by side, float32. quantised: None without a dictionary.
    """

    image: Tensor
    extraction: Mapping[int, Tensor]
    distribution: Mapping[int, Tensor]
    quantised: Quantised | None


class EntedNetwork(nn.Module):
    """I_SR = G(I_LQ, I_ref): images (B, 3, H, W) in [-1, 1], and codes (K, code_dim) if there is a dictionary.

    channels: by side, from the size of the images down to the deepest. kernels: their number by side, where textures
    are transferred.

    Choices. The content's deepest features go through 1 x 1 convolutions to code_dim channels and back, also before the
    dictionary is used, so that the decoder already knows such features. After the first convolution of each resolution,
    textures are added and the sum is divided by sqrt 2, then the content encoder's features in the same way; not at the
    deepest side, where they would bypass the dictionary. Noise is used in training only, if `noisy`. styled: without it
    the style is 0 for all images, so that each modulated convolution is an ordinary one, with a learned scale for each
    channel.
    """

    def __init__(
        self,
        channels: Widths,
        kernels: Mapping[int, int],
        code_dim: int,
        style_dim: int,
        refine_latent: bool = True,
        residuals: bool = True,
        styled: bool = True,
        noisy: bool = True,
    ) -> None:
        super().__init__()
        self.deepest, self.residuals, self.style_dim = min(channels), residuals, style_dim
        self.noisy = noisy
        width = channels[self.deepest]
        self.content_encoder = Encoder(channels)
        self.texture_encoder = Encoder(channels)
        self.to_code = EqualConv2d(width, code_dim, 1)
        self.from_code = EqualConv2d(code_dim, width, 1)
        self.refinement = LatentRefinement(width, style_dim, refine_latent) if styled else None
        self.extractions = nn.ModuleDict({str(s): Extraction(channels[s], k) for s, k in kernels.items()})
        self.distributions = nn.ModuleDict({str(s): Distribution(channels[s], k) for s, k in kernels.items()})
        self.decoder = SynthesisNetwork(channels, style_dim, learned_start=False)

    def coded(self, images: Tensor) -> Tensor:
        """The content of images, before it is quantised: (B, code_dim, deepest, deepest)."""
        return in_float32(self.to_code, self.content_encoder(images)[self.deepest])

    def forward(
        self, degraded: Tensor, reference: Tensor, codes: Tensor | None = None, used: Tensor | None = None
    ) -> Made:
        """Restore a face. used: (), whether the codes are in use yet; None means they are."""
        content, texture = self.content_encoder(degraded), self.texture_encoder(reference)
        coded = in_float32(self.to_code, content[self.deepest])
        quantised = None if codes is None else quantise(coded, codes)
        if quantised is not None:
            coded = quantised.features if used is None else torch.where(used, quantised.features, coded)
        start = self.from_code(coded)
        style = start.new_zeros(len(start), self.style_dim, dtype=torch.float32)
        if self.refinement is not None:
            style = self.refinement(start, texture[self.deepest])
        taken = {int(side): extract(texture[int(side)]) for side, extract in self.extractions.items()}
        distribution: dict[int, Tensor] = {}

        def fuse(side: int, features: Tensor) -> Tensor:
            if side in taken:
                textures, _ = taken[side]
                laid, distribution[side] = self.distributions[str(side)](features, textures)
                features = (features + laid.to(features.dtype)) * HALF_POWER
            if self.residuals and side != self.deepest:
                features = (features + content[side].to(features.dtype)) * HALF_POWER
            return features

        noise: Literal["random", "none"] = "random" if self.training and self.noisy else "none"
        image = self.decoder(style, noise, fuse, start)
        return Made(image, {side: matrix for side, (_, matrix) in taken.items()}, distribution, quantised)


# --- Losses (section 3.4) ---


@dataclass(frozen=True)
class LossWeights:
    """The weights of the terms (section 4.1); a weight of 0 leaves a term out, and what it would load.

    pixels: not from the paper. R1: choice.
    """

    adversarial: Weight = 1.5
    """Weight of the adversarial term, eq. 9."""
    perceptual: Weight = 1.0
    """Weight of the perceptual term with VGG19, eq. 10; 0 leaves it out and loads no weights."""
    quantisation: Weight = 1.0
    """Weight of the distance between content and codes, eq. 4."""
    commitment: Weight = 0.25
    """Weight of the commitment of the content to the codes, within that distance: beta of eq. 4."""
    perceptual_layers: Literal["gfpgan", "nted"] = "gfpgan"
    """Layers of VGG19 in the perceptual term: those of GFPGAN, or those of the published code of NTED, relu1_1 to
    relu5_1 with a weight of 1 each."""
    attention: Weight = 15.0
    """Weight of the attention reconstruction, eq. 11; 0 leaves it out."""
    attention_sides: Literal["sum", "mean"] = "sum"
    """Whether the attention reconstruction is summed over the sides, as eq. 11 prints it, or averaged, as in the
    published code of NTED, from which the loss and its weight are."""
    pixels: Weight = 0.0
    """Weight of the L1 difference of pixels, which is not in the paper, for training without VGG19."""
    r1: Weight = 10.0
    """Weight of R1, the gradient penalty of the discriminator; 0 leaves its phase out."""
    r1_every: Positive = 16
    """Steps between two R1 phases."""


@dataclass(frozen=True, eq=False)
class EntedLosses:
    """The losses of the phases, bound to the networks that they train. noted_places: see `Codes`."""

    networks: Networks
    weights: LossWeights
    perceptual: Perceptual | None
    noted_places: int

    @cached_property
    def fakes(self) -> Fakes:
        return Fakes(lambda batch: self._made(batch).image)

    def generator(self, batch: DeviceBatch) -> Terms:
        made, weights = self._made(batch), self.weights
        self.fakes.keep(batch, made.image)
        truth, reference = batch.target, batch.references[:, 0]
        realistic = non_saturating_generator(self.networks["discriminator"](made.image))
        terms = {"adversarial": weights.adversarial * realistic}  # eq. 9
        if self.perceptual is not None:
            terms["perceptual"] = weights.perceptual * self.perceptual(made.image, truth)  # eq. 10
        if weights.pixels:
            terms["pixels"] = weights.pixels * (made.image - truth).abs().mean()
        if made.quantised is not None:
            # Eq. 4 as a mean over all elements (choice).
            distance = made.quantised.to_codes + weights.commitment * made.quantised.to_features
            terms["quantisation"] = weights.quantisation * torch.where(self._dictionary.used, distance, 0.0)
        if weights.attention and made.extraction:
            reconstruction = attention_reconstruction(
                reference, truth, made.extraction, made.distribution, weights.attention_sides
            )
            terms["attention"] = weights.attention * reconstruction  # eq. 11
        return terms

    def generator_noting(self, batch: DeviceBatch) -> Terms:
        """The same, and adds the ground truth's content to the reservoir, so that codes come from clean faces."""
        terms = self.generator(batch)
        network = self.networks["generator"]
        assert isinstance(network, EntedNetwork)  # noqa: S101
        with torch.no_grad():
            self._dictionary.note(network.coded(batch.target), self.noted_places)
        return terms

    def _made(self, batch: DeviceBatch) -> Made:
        assert batch.degraded is not None  # noqa: S101
        return _made(self.networks, batch.degraded, batch.references[:, 0])

    @property
    def _dictionary(self) -> Dictionary:
        return _dictionary_of(self.networks)


def _made(networks: Networks, degraded: Tensor, reference: Tensor) -> Made:
    said: list[Tensor] = []
    if "dictionary" in networks:
        dictionary = _dictionary_of(networks)
        said = [dictionary.codes, dictionary.used]
    made: Made = networks["generator"](degraded, reference, *said)
    return made


def _dictionary_of(networks: Networks) -> Dictionary:
    dictionary = networks["dictionary"]
    assert isinstance(dictionary, Dictionary)  # noqa: S101
    return dictionary


# --- Phases (section 4.1) ---


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks. Channels are StyleGAN2's, at most `channels`, times `channel_multiplier` from 64 px on.

    deepest_px: 16 at 512 px, from the paper's s = 32. kernels: none at sides after those that are given (choice).
    """

    size_px: Literal[32, 64, 128, 256, 512, 1024] = 512
    """Side in pixels of the faces that the networks work on."""
    deepest_px: Literal[4, 8, 16, 32] = 16
    """Side in pixels of the deepest features, where the encoders end and the decoder starts."""
    channels: Positive = 512
    """Maximum number of channels of a layer."""
    channel_multiplier: Positive = 2
    """Factor of the number of channels at sides of 64 pixels and more."""
    style_dim: Positive = 512
    """Length of the style code."""
    kernels: tuple[Positive, ...] = (16, 32, 32, 64, 64)
    """Number of kernels that extract textures from the reference, at each side from the deepest on."""
    dictionary: bool = True
    """Whether content is quantised by a dictionary of clean faces (VQ of table 3)."""
    style: bool = True
    """Whether a style modulates the decoder's convolutions (Style of table 3); without it `refine_latent` has nothing
    to refine."""
    refine_latent: bool = True
    """Whether content and reference refine the style together (Refine of table 3)."""
    residuals: bool = True
    """Whether the content's features are added in the decoder (Skip of table 3)."""
    noise: bool = True
    """Whether the decoder adds StyleGAN2's noise in training, which NTED's does not; there is never any in use."""


@dataclass(frozen=True)
class Codes:
    """The dictionary, and when k-means re-estimates it: after the warm-up, then every `every` steps up to `until`.

    Choices: the reservoir, `noted_places` of the ground truth's content for each batch, and `until`; the paper starts
    from a published dictionary, here from the first k-means.
    """

    count: Positive = 1024
    """Codes in the dictionary."""
    channels: Positive = 256
    """Length of a code."""
    warm_up_steps: Positive = 10_000
    """Steps before k-means estimates the first dictionary."""
    every: Positive = 2_000
    """Steps between two runs of k-means."""
    until: Positive = 30_000
    """Step after which k-means no longer re-estimates the dictionary."""
    reservoir: Positive = 16_384
    """Number of positions of clean faces' content, the newest ones, that k-means uses."""
    noted_places: Positive = 64
    """Number of positions of clean faces' content that each batch adds to the reservoir."""

    def due(self, step: int) -> bool:
        """Whether k-means runs after this step."""
        since = step - self.warm_up_steps
        return since >= 0 and since % self.every == 0 and step <= self.until


@dataclass(frozen=True)
class Pretrained:
    """Where pretrained networks come from: a path, `cache`, `download` or `random`."""

    vgg: str = "cache"
    """Weights of VGG19 for the perceptual term: a file, `cache`, `download` or `random`."""
    lpips: str = ""
    """Weights of AlexNet and VGG16 for the metrics `lpips_alex` and `lpips_vgg`: `cache`, `download` or `random`, or a
    file of AlexNet; empty leaves them out; a note says what is not in the cache and so not computed."""
    identity: str = ""
    """Embedder of metrics only, also another one than that of the shards: `dlib`, or ArcFace as an ONNX file, a folder
    or the name of a pack; empty leaves them out."""


@dataclass(frozen=True)
class Ented:
    """All settings of ENTED. With lazy R1 the discriminator's learning rate is 1.882e-3, as in the paper."""

    shape: Shape = Shape()
    codes: Codes = Codes()
    losses: LossWeights = LossWeights()
    weights: Pretrained = Pretrained()
    adam: Adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99)
    data: Data = Data(batch_size=4, degradation="gfpgan", reference_choice="random", synthesised_share=0.5)
    loop: Loop = Loop(steps=400_000, precision="tf32")

    @property
    def size_px(self) -> int:
        """Side of the faces that the networks work on."""
        return self.shape.size_px

    @property
    def identity(self) -> str:
        return ""

    @property
    def stochastic(self) -> bool:
        return False

    def networks(self) -> dict[str, nn.Module]:
        shape, codes = self.shape, self.codes
        self._check()
        channels = widths(shape.size_px, shape.channel_multiplier, shape.channels)
        deep = {side: width for side, width in channels.items() if side >= shape.deepest_px}
        networks: dict[str, nn.Module] = {
            "generator": EntedNetwork(
                deep,
                dict(zip(deep, shape.kernels, strict=False)),
                codes.channels,
                shape.style_dim,
                shape.refine_latent,
                shape.residuals,
                shape.style,
                shape.noise,
            ),
            "discriminator": Discriminator(shape.size_px, channels),
        }
        if shape.dictionary:
            networks["dictionary"] = Dictionary(codes.count, codes.channels, codes.reservoir)
        return networks

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        return _made(networks, seen.degraded, seen.references[:, 0]).image

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        made = _made(networks, seen.degraded, seen.references[:, 0])
        if not made.extraction:
            return {}
        side = max(made.extraction)
        return attention_pictures(
            seen.references[:, 0], made.image, made.extraction[side], made.distribution[side]
        )

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        if self.data.references != 1:
            raise ValueError(
                f"ENTED restores with one reference: set data.references=1 instead of {self.data.references}"
            )
        if self.shape.dictionary:
            check_faiss()
        discriminator = networks["discriminator"]
        weights, every = self.weights, self.losses.r1_every
        layers = _LAYERS[self.losses.perceptual_layers]
        perceptual = Perceptual(weights.vgg, layers).to(device) if self.losses.perceptual else None
        losses = EntedLosses(networks, self.losses, perceptual, self.codes.noted_places)
        identity = load_embedder(weights.identity, device) if weights.identity else None
        metrics = load_metrics(self.size_px, device, weights.lpips, identity)
        evaluator = Evaluator(self, metrics, stored=embedder)

        def scores(networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
            return {**evaluator.scores(networks, batch), **code_scores(networks, batch)}

        learning = [name for name in ("generator", "dictionary") if name in networks]
        made = adam_for(
            [parameter for name in learning for parameter in networks[name].parameters()], self.adam
        )
        return TrainingModule(
            networks=networks,
            averaged=("generator",),
            optimisers={
                "generator": made,
                "discriminator": adam_for(
                    discriminator.parameters(), self.adam, every if self.losses.r1 else None
                ),
            },
            phases=[
                *self._generator_phases(tuple(learning), losses),
                *discriminator_phases(discriminator, losses.fakes, self.losses.r1, every),
            ],
            pictures=evaluator.pictures,
            scores=scores,
            notes=(
                *(() if perceptual is None else (perceptual.note,)),
                *(() if identity is None else (f"identity: {identity.name}",)),
                *metrics.notes,
                *self._unused_dictionary(),
            ),
            between_steps=self._between_steps(networks, made) if self.shape.dictionary else None,
            check=embedding_check(identity, embedder),
        )

    def _unused_dictionary(self) -> tuple[str, ...]:
        warm_up = self.codes.warm_up_steps
        if not self.shape.dictionary or self.loop.steps > warm_up:
            return ()
        return (
            f"the dictionary stays unused: its warm-up takes {warm_up} steps, this run {self.loop.steps}",
        )

    def _generator_phases(self, learning: tuple[str, ...], losses: EntedLosses) -> list[Phase]:
        plain = Phase("generator", "generator", learning, losses.generator)
        if not self.shape.dictionary:
            return [plain]
        until = self.codes.until
        return [
            Phase("generator", "generator", learning, losses.generator_noting, end_step=until),
            Phase("generator", "generator", learning, losses.generator, start_step=until),
        ]

    def _between_steps(
        self, networks: Networks, optimiser: torch.optim.Adam
    ) -> Callable[[int, Distributed], None]:
        dictionary = _dictionary_of(networks)

        def renew(step: int, ranks: Distributed) -> None:
            if self.codes.due(step):
                dictionary.estimate(ranks)
                optimiser.state.pop(dictionary.codes, None)  # its moments belong to the old codes

        return renew

    def _check(self) -> None:
        """Raise ValueError in one sentence for invalid settings."""
        shape, codes = self.shape, self.codes
        if shape.deepest_px >= shape.size_px:
            raise ValueError(f"shape.deepest_px is {shape.deepest_px}: it must be below shape.size_px")
        sides = (shape.size_px // shape.deepest_px).bit_length()
        if len(shape.kernels) > sides:
            raise ValueError(
                f"shape.kernels has {len(shape.kernels)} numbers, and from {shape.deepest_px} to {shape.size_px} px "
                f"there are {sides} sides: leave some out"
            )
        if not shape.dictionary:
            return
        if codes.until < codes.warm_up_steps:
            raise ValueError(
                f"codes.until is {codes.until}: no k-means would come, so set it to codes.warm_up_steps "
                f"({codes.warm_up_steps}) or more, or shape.dictionary=false"
            )
        least = max(codes.count, codes.noted_places)
        most = codes.warm_up_steps * codes.noted_places
        if not least <= codes.reservoir <= most:
            raise ValueError(
                f"codes.reservoir is {codes.reservoir}: set it to at least {least}, for codes.count and "
                f"codes.noted_places, and at most {most}, which codes.warm_up_steps times codes.noted_places fill"
            )


def code_scores(networks: Networks, batch: DeviceBatch) -> dict[str, Tensor]:
    """Metrics (B,): the number of different codes of a degraded face, and the share of places where it has the code of
    the clean face; NaN before the codes are in use, none without a dictionary."""
    network = networks["generator"]
    assert isinstance(network, EntedNetwork)  # noqa: S101
    if "dictionary" not in networks:
        return {}
    dictionary = _dictionary_of(networks)
    chosen, wanted = (
        quantise(network.coded(images), dictionary.codes).chosen
        for images in (restorer_input(batch).degraded, batch.target)
    )
    figures = code_figures(chosen, wanted, len(dictionary.codes))
    return {name: torch.where(dictionary.used, figure, torch.nan) for name, figure in figures.items()}


PRESETS = {
    "paper": Ented(losses=LossWeights(attention_sides="mean")),
    "tiny": Ented(
        shape=Shape(
            size_px=64,
            deepest_px=8,
            channels=64,
            channel_multiplier=1,
            style_dim=128,
            kernels=(16, 32, 32),
        ),
        codes=Codes(
            count=128, channels=32, warm_up_steps=200, every=100, until=800, reservoir=2_048, noted_places=64
        ),
        losses=LossWeights(
            adversarial=0.3,
            perceptual=0.0,
            attention_sides="mean",  # measured as helping, see docs/ablations.md
            pixels=15.0,
            r1=0.1,
        ),
        weights=Pretrained(vgg=""),
        adam=Adam(lr=4e-3, beta1=0.5, beta2=0.99),  # learns more in few steps
        data=Data(batch_size=4, degradation=TINY_GFPGAN),
        loop=TINY_LOOP,
    ),
}
