"""ReFine: Chong et al., "Copy or Not? Reference-Based Face Image Restoration with Fine Details", WACV 2025.

Restores a degraded face with one reference of the same person, and copies its details where they do not contradict
the degraded face. Numbers and layers that the paper does not give are marked as choices.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.optim import Optimizer

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.geometry.points import DETECTOR_NME, PointsSource, detected, jittered, true
from facerefs.trainers.identity.embedder import IdentityEmbedder, load_embedder_of
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.losses.adversarial import non_saturating_generator
from facerefs.trainers.losses.cycle import degraded_again
from facerefs.trainers.losses.distances import identity_loss, pixel_distances, spatial_minimum
from facerefs.trainers.losses.lpips import Lpips
from facerefs.trainers.models.common.discriminator_phases import Fakes, discriminator_phases
from facerefs.trainers.models.common.embedded import embedding_check
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.metrics import load_metrics
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.common.tiny import TINY_LOOP, TINY_REFINE
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.models.run import load_finder
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.encoder import Encoder
from facerefs.trainers.networks.stylegan2.generator import Generator, Noise
from facerefs.trainers.networks.stylegan2.layers import EPSILON, EqualConv2d, EqualLinear
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.weights.pretrained import CACHE
from facerefs.trainers.weights.stylegan2 import load_discriminator, load_generator, load_or_draw

Weight = Annotated[float, Ge(0)]
Distances = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]  # of (B, 3, H, W) to each other: (B, 1, H, W)


# --- Network (section 3.1, figure 2) ---


class MaskFusion(nn.Module):
    """m = sigmoid(conv(cat(enc, gen))), m enc + (1 - m) gen: one mask for all channels (choice), from a 3x3 conv.

    bias: added to the logits of the mask.
    """

    def __init__(self, channels: int, bias: float = 0.0) -> None:
        super().__init__()
        self.mask = EqualConv2d(2 * channels, 1, 3)
        self.bias = bias

    def forward(self, encoded: Tensor, generated: Tensor) -> Tensor:
        mask = (self.mask(torch.cat([encoded, generated], 1)) + self.bias).sigmoid()
        return torch.lerp(generated, encoded.to(generated.dtype), mask.to(generated.dtype))


class RefineNetwork(nn.Module):
    """x^ = G(x_d, y_w, I(y)), eq. 1: images (B, 3, H, W) in [-1, 1] and an embedding (B, D) -> (B, 3, H, W).

    Choices: the layers of the style are StyleGAN2's, and the embedding, a vector of length 1, is scaled to a mean
    square of 1 next to the style code, because its elements of about 0.04 would have little effect. Noise is used in
    training only, if `noisy`: a face is restored the same each time. The prior has no mapping, since it gets a style.
    mask_bias, normalised, fusions: see `Shape`.
    """

    def __init__(
        self,
        size_px: int,
        channels: Mapping[int, int],
        embedding_dim: int,
        style_dim: int = 512,
        mask_bias: float = 0.0,
        noisy: bool = True,
        normalised: bool = False,
        fusions: Literal[1, 2] = 1,
    ) -> None:
        super().__init__()
        self.noisy, self.normalised = noisy, normalised
        self.encoder = Encoder(channels, in_channels=6)
        self.style_code = EqualLinear(channels[4] * 16, style_dim, activate=True)
        sizes = [style_dim + embedding_dim, *[style_dim] * 4]
        self.embedding_gain = math.sqrt(embedding_dim)
        self.style = nn.Sequential(*(EqualLinear(n, m, activate=True) for n, m in pairwise(sizes)))
        self.prior = Generator(size_px, channels, style_dim, mapping_layers=0)
        self.register_load_state_dict_pre_hook(_without_mapping)  # type: ignore[no-untyped-call]
        self.fusions = nn.ModuleDict(
            {str(side): MaskFusion(width, mask_bias) for side, width in channels.items()}
        )
        self.second_fusions = nn.ModuleDict(
            {
                str(side): MaskFusion(width, mask_bias)
                for side, width in channels.items()
                if fusions == 2 and side > 4  # at 4 px there is one convolution
            }
        )

    def forward(self, degraded: Tensor, warped: Tensor, embedding: Tensor) -> Tensor:
        features = self.encoder(torch.cat([degraded, warped], 1))
        code = self.style_code(features[4].flatten(1))
        known = torch.cat([code, embedding * self.embedding_gain], 1)
        if self.normalised:
            known = known * torch.rsqrt(known.square().mean(1, keepdim=True) + EPSILON)
        style = self.style(known)

        def fuse(side: int, generated: Tensor) -> Tensor:
            fused: Tensor = self.fusions[str(side)](features[side], generated)
            return fused

        def fuse_second(side: int, generated: Tensor) -> Tensor:
            fused: Tensor = self.second_fusions[str(side)](features[side], generated)
            return fused

        noise: Noise = "random" if self.training and self.noisy else "none"
        image: Tensor = self.prior.synthesis(
            style, noise, fuse, fuse_second=fuse_second if self.second_fusions else None
        )
        return image


_OLD_MAPPING = "prior.mapping.layers."


def _without_mapping(_network: nn.Module, state: dict[str, Any], prefix: str, *_other: Any) -> None:
    """Leave out the prior's mapping, which checkpoints held before, though it was never used."""
    for name in [name for name in state if name.startswith(prefix + _OLD_MAPPING)]:
        del state[name]


def _without_moments_of_mapping(optimiser: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state with as many parameters as it has: without those of an old prior's mapping.

    They came first in the prior's group, and never had a gradient, so that there is nothing of them but their numbers.
    """
    groups = []
    for own, kept in zip(optimiser.param_groups, state["param_groups"], strict=False):
        numbers = kept["params"]
        surplus = numbers[: max(0, len(numbers) - len(own["params"]))]
        unused = not any(number in state["state"] for number in surplus)
        groups.append({**kept, "params": numbers[len(surplus) :]} if unused else kept)
    return {**state, "param_groups": groups + state["param_groups"][len(groups) :]}


# --- Losses (section 3.3) ---


@dataclass(frozen=True)
class LossWeights:
    """The loss that is minimised, and the weights of its terms (choice).

    `baseline` is the same network with the traditional loss: the distance to the ground truth and the adversarial term.
    The paper uses LPIPS as its elementwise distance, but does not name the network (choice: VGG16).
    """

    objective: Literal["refine", "baseline"] = "refine"
    """Loss: `refine` is ReFine's own (eq. 2 to 4), `baseline` the paper's ablation: distance to the truth and
    adversarial term."""
    distance: Literal["lpips_vgg", "lpips_alex", "pixels"] = "lpips_vgg"
    """Distance of eq. 2 and 3: LPIPS on VGG16 or AlexNet, or the L1 difference of pixels, which needs no
    weights."""
    minimum: Weight = 1.0
    """Weight of the spatial minimum, eq. 2."""
    cycle: Weight = 1.0
    """Weight of the cycle through the degradation, eq. 3."""
    adversarial: Weight = 0.1
    """Weight of the adversarial term."""
    identity: Weight = 1.0
    """Weight of the identity term, eq. 4; 0 leaves it out."""
    r1: Weight = 10.0
    """Weight of R1, the gradient penalty of the discriminator; 0 leaves its phase out."""
    r1_every: Positive = 16
    """Steps between two R1 phases."""


@dataclass(frozen=True, eq=False)
class RefineLosses:
    """The losses of the phases, bound to the networks that they train."""

    generator_network: nn.Module
    discriminator_network: nn.Module
    weights: LossWeights
    distances: Distances
    embedder: IdentityEmbedder

    @cached_property
    def fakes(self) -> Fakes:
        return Fakes(self.restored)

    def restored(self, batch: DeviceBatch) -> Tensor:
        return _restored(self.generator_network, restorer_input(batch))

    def generator(self, batch: DeviceBatch) -> Terms:
        restored = self.restored(batch)
        self.fakes.keep(batch, restored)
        if self.weights.objective == "baseline":
            (to_truth,) = self.distances(restored, [batch.target])
            terms = {"truth": self.weights.minimum * to_truth.mean()}
        else:
            terms = self._refine(restored, batch)
        realistic = non_saturating_generator(self.discriminator_network(restored))
        return terms | {"adversarial": self.weights.adversarial * realistic}

    def _refine(self, restored: Tensor, batch: DeviceBatch) -> dict[str, Tensor]:
        if batch.has_given:
            raise StreamError(
                "the set has published degraded images, which the cycle of ReFine cannot make again: "
                "set data.degradation to the name of a recipe"
            )
        seen = restorer_input(batch)
        to_truth, to_reference = self.distances(restored, [batch.target, seen.warped[:, 0]])
        (to_degraded,) = self.distances(degraded_again(restored, batch.program), [seen.degraded])
        terms = {
            "minimum": self.weights.minimum
            * spatial_minimum(to_truth, to_reference, seen.valid[:, 0]),  # eq. 2
            "cycle": self.weights.cycle * to_degraded.mean(),  # eq. 3
        }
        if self.weights.identity:  # eq. 4
            # A loss may know the clean face's landmarks: they cut the same part of the face each time.
            embedded = self.embedder(restored, batch.landmarks)
            terms["identity"] = self.weights.identity * identity_loss(
                embedded, seen.reference_embeddings[:, 0]
            )
        return terms


def _restored(network: nn.Module, seen: RestorerInput) -> Tensor:
    restored: Tensor = network(seen.degraded, seen.warped[:, 0], seen.reference_embeddings[:, 0])
    return restored


# --- Phases ("Training process") ---


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks. Channels are StyleGAN2's, at most `channels`, times `channel_multiplier` from 64 px on."""

    size_px: Literal[32, 64, 128, 256, 512, 1024] = 512
    """Side in pixels of the faces that the networks work on."""
    channels: Positive = 512
    """Maximum number of channels of a layer."""
    channel_multiplier: Positive = 2
    """Factor of the number of channels at sides of 64 pixels and more."""
    style_dim: Positive = 512
    """Length of the style code."""
    embedding_dim: Positive = 512
    """Length of the embeddings of the shards: 512 for ArcFace, 128 for dlib."""
    mask_bias: float = 0.0
    """Number added to the logits of the fusion masks; with -2, not from the paper, 12 % of the encoder's features pass
    at first instead of half, so that a pretrained prior is changed less."""
    fusions: Literal[1, 2] = 1
    """Fusions of the encoder's features at each side: after the first convolution of the prior, or after both, where
    GPEN has its own; the paper does not say where."""
    noise: bool = True
    """Whether the prior adds StyleGAN2's noise in training; there is never any in use."""
    style_norm: bool = False
    """Whether style code and embedding, the input of the style layers, are scaled together to a mean square of 1, as
    StyleGAN2's mapping does; not in the paper."""


@dataclass(frozen=True)
class Pretrained:
    """Where pretrained networks come from: a path, `cache`, `download` or `random`."""

    generator: str = ""
    """Weights of the StyleGAN2 generator trained on faces, which is fine-tuned: a file, or `random`."""
    discriminator: str = "random"
    """Weights of the StyleGAN2 discriminator: a file, or `random`."""
    lpips: str = "cache"
    """Weights of the network in LPIPS: a file, `cache`, `download` or `random`."""
    identity: str = "buffalo_l"
    """Embedder of the shards' embeddings: `dlib`, or ArcFace as an ONNX file, a folder or the name of a pack."""
    landmarks: str | None = "jitter"
    """Landmarks of degraded faces, in training and validation: a run of `train landmarks` finds them, `jitter` moves
    those of the clean faces as a detector errs, `truth` takes those of the clean faces, in training only (null, in
    settings of earlier versions)."""


@dataclass(frozen=True)
class Refine:
    """All settings of ReFine."""

    shape: Shape = Shape()
    losses: LossWeights = LossWeights()
    weights: Pretrained = Pretrained()
    adam: Adam = Adam(lr=2e-3, beta1=0.5, beta2=0.99)
    jitter_nme: Annotated[float, Ge(0)] = DETECTOR_NME
    """Mean error of jittered landmarks, as a share of the distance between the outer corners of the eyes: set what
    `benchmarks.landmarks` measures for the detector that you will restore with."""
    prior_lr: Annotated[float, Ge(0)] = 4e-4
    """Learning rate of the StyleGAN2 generator; all other parameters use `adam.lr`."""
    style_lr: Annotated[float, Ge(0)] | None = None
    """Learning rate of the style layers; null, as the paper names none, is `adam.lr`; StyleGAN2's mapping has a
    hundredth of the others' rate."""
    data: Data = Data(batch_size=4, degradation="refine")
    loop: Loop = Loop(steps=800_000, precision="tf32")

    @property
    def size_px(self) -> int:
        """Side of the faces that the networks work on."""
        return self.shape.size_px

    @property
    def identity(self) -> str:
        """The embedder of the references; its embeddings are an input of the network."""
        return self.weights.identity

    @property
    def landmark_run(self) -> str | None:
        """The run that found the landmarks in training; None for jitter and truth."""
        place = self.weights.landmarks
        return None if place in (None, "truth", "jitter") else place

    def networks(self) -> dict[str, nn.Module]:
        shape = self.shape
        channels = widths(shape.size_px, shape.channel_multiplier, shape.channels)
        return {
            "generator": RefineNetwork(
                shape.size_px,
                channels,
                shape.embedding_dim,
                shape.style_dim,
                shape.mask_bias,
                shape.noise,
                shape.style_norm,
                shape.fusions,
            ),
            "discriminator": Discriminator(shape.size_px, channels),
        }

    @property
    def stochastic(self) -> bool:
        return False

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        return _restored(networks["generator"], seen)

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        return {"warped": seen.warped[:, 0]}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        if self.data.references != 1:
            raise ValueError(
                f"ReFine restores with one reference: set data.references=1 instead of {self.data.references}"
            )
        generator, discriminator = networks["generator"], networks["discriminator"]
        assert isinstance(generator, RefineNetwork) and isinstance(discriminator, Discriminator)  # noqa: S101, PT018
        weights = self.weights
        if not weights.generator:
            raise MissingWeights(
                "ReFine fine-tunes a StyleGAN2 trained on faces: set weights.generator to a file of such weights "
                "(facerefs train stylegan2 makes them), or to `random` to train from scratch"
            )
        notes = [
            load_or_draw("generator", weights.generator, partial(load_generator, generator.prior)),
            load_or_draw("discriminator", weights.discriminator, partial(load_discriminator, discriminator)),
        ]
        identity = load_embedder_of(self.weights.identity, embedder, device)
        _check_dimensions(self.shape.embedding_dim, identity)
        lpips = self._lpips(device)
        notes += [f"identity: {identity.name}"] + ([lpips.note] if lpips else [])
        losses = RefineLosses(
            generator, discriminator, self.losses, lpips.distance_maps if lpips else pixel_distances, identity
        )
        points = self._points(device)
        notes.append(points.note)
        loaded = {} if lpips is None else {lpips.net: lpips}
        metrics = load_metrics(self.size_px, device, CACHE, identity, loaded)
        notes += metrics.notes
        evaluator = Evaluator(self, metrics, stored=embedder)
        phases = [
            Phase("generator", "generator", ("generator",), losses.generator),
            *discriminator_phases(discriminator, losses.fakes, self.losses.r1, self.losses.r1_every),
        ]
        lazily = self.losses.r1_every if self.losses.r1 else None
        return TrainingModule(
            networks=networks,
            averaged=("generator",),
            optimisers={
                "generator": optimiser_of(self, generator),
                "discriminator": adam_for(discriminator.parameters(), self.adam, lazily),
            },
            phases=phases,
            pictures=evaluator.pictures,
            scores=evaluator.scores,
            notes=tuple(notes),
            points=points,
            check=embedding_check(identity, embedder),
        )

    def _points(self, device: torch.device) -> PointsSource:
        """Section 3.1: the reference is warped by landmarks that a detector, fine-tuned for that, finds on x_d."""
        if self.landmark_run is not None:
            return detected(self.landmark_run, load_finder(Path(self.landmark_run), device))
        return jittered(self.jitter_nme) if self.weights.landmarks == "jitter" else true(self.jitter_nme)

    def _lpips(self, device: torch.device) -> Lpips | None:
        if self.losses.distance == "pixels":
            return None
        net: Literal["alex", "vgg"] = "vgg" if self.losses.distance == "lpips_vgg" else "alex"
        return Lpips(net, self.weights.lpips).to(device)


def optimiser_of(model: Refine, generator: nn.Module) -> torch.optim.Adam:
    """The generator's Adam: its prior has a learning rate of its own, and its style layers may have one."""
    own: list[nn.Parameter] = []
    others: dict[float, list[nn.Parameter]] = {model.prior_lr: []}
    for name, parameter in generator.named_parameters():
        if name.startswith("prior."):
            others[model.prior_lr].append(parameter)
        elif name.startswith("style.") and model.style_lr is not None:
            others.setdefault(model.style_lr, []).append(parameter)
        else:
            own.append(parameter)
    made = adam_for(own, model.adam, lr_overrides=others)
    made.register_load_state_dict_pre_hook(_without_moments_of_mapping)
    return made


def _check_dimensions(dimensions: int, identity: IdentityEmbedder) -> None:
    if identity.dimensions != dimensions:
        raise ValueError(
            f"{identity.name} gives {identity.dimensions} numbers: set shape.embedding_dim={identity.dimensions}"
        )


PRESETS = {
    "paper": Refine(),
    "tiny": Refine(
        shape=Shape(size_px=64, channels=64, channel_multiplier=1, style_dim=128, embedding_dim=128),
        losses=LossWeights(distance="pixels", r1=0.1),
        weights=Pretrained(generator="random", identity="dlib"),
        prior_lr=2e-3,
        data=Data(batch_size=4, degradation=TINY_REFINE),
        loop=TINY_LOOP,
    ),
}
