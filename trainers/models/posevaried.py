"""Pose-varied: Hu, Liu, Liu, Lu, Yu and Fu, "Enhancing Quality of Pose-varied Face Restoration with Local Weak Feature
Sensing and GAN Prior", the network with mixed multi-path residual blocks (MMRB).

Restores a degraded face without a reference: a codec predicts its latent and clean features at each scale, which
StyleGAN2, trained on faces, takes instead of noise. Numbers and layers that the paper does not give are marked as
choices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.identity.embedder import IdentityEmbedder, load_embedder
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from facerefs.trainers.losses.distances import embedding_distance
from facerefs.trainers.losses.perceptual import GFPGAN_LAYERS, Perceptual
from facerefs.trainers.models.common.discriminator_phases import Fakes, discriminator_phases
from facerefs.trainers.models.common.embedded import embedding_check
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.metrics import load_metrics
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.common.tiny import TINY_LOOP, TINY_POSEVARIED
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.networks.mmrb import Mmrb
from facerefs.trainers.networks.patch_discriminator import REDUCTION, LocalDiscriminators
from facerefs.trainers.networks.stylegan2.discriminator import HALF_POWER, Discriminator, freeze_first
from facerefs.trainers.networks.stylegan2.encoder import Encoder
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.networks.stylegan2.layers import EqualConv2d, EqualLinear
from facerefs.trainers.networks.stylegan2.resample import Upsample
from facerefs.trainers.networks.stylegan2.widths import Widths, widths
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.weights.stylegan2 import Report, load_discriminator, load_generator, load_or_draw

Weight = Annotated[float, Ge(0)]
Rate = Annotated[float, Gt(0)]

# --- Network (section 3.1, figure 2) ---


@dataclass(frozen=True, eq=False)
class Coded:
    """The codec's output for degraded faces, eq. 1; values for each scale are by side in pixels."""

    latent: Tensor  # (B, style_dim): Z
    features: dict[int, Tensor]  # (B, C, side, side): x^, for the noise branches
    faces: dict[int, Tensor]  # (B, 3, side, side): the reconstruction at each scale


class Decoding(nn.Module):
    """A decoder level: doubles the size, adds the encoder's features (choice: as in GFPGAN's U-Net), and mixes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.narrow = EqualConv2d(in_channels, out_channels, 3, activate=True)
        self.upsample = Upsample()
        self.mix = EqualConv2d(out_channels, out_channels, 3, activate=True)

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        mixed: Tensor = self.mix((self.upsample(self.narrow(features)) + encoded) * HALF_POWER)
        return mixed


class Codec(nn.Module):
    """x^, Z = Codec(x), eq. 1: an encoder with an MMRB on each scale but its first and last, a decoder without.

    Choices: both use StyleGAN2's layers and numbers of channels. Z is linear in the last features.
    """

    def __init__(self, channels: Widths, style_dim: int, mmrb: bool = True) -> None:
        super().__init__()
        sides = sorted(channels)
        self.encoder = Encoder(channels)
        self.mmrbs = nn.ModuleDict({str(side): Mmrb(channels[side]) for side in sides[1:-1] if mmrb})
        self.latent = EqualLinear(channels[sides[0]] * sides[0] ** 2, style_dim)
        self.deepest = EqualConv2d(channels[sides[0]], channels[sides[0]], 3, activate=True)
        self.decoder = nn.ModuleDict(
            {str(side): Decoding(channels[side // 2], channels[side]) for side in sides[1:]}
        )
        self.to_rgb = nn.ModuleDict({str(side): EqualConv2d(channels[side], 3, 1) for side in sides})

    def forward(self, degraded: Tensor) -> Coded:
        """The codec's output for images (B, 3, H, W) in [-1, 1]."""
        encoded = self._encode(degraded)
        smallest = min(encoded)
        features = {smallest: self.deepest(encoded[smallest])}
        for side, decoding in self.decoder.items():
            features[int(side)] = decoding(features[int(side) // 2], encoded[int(side)])
        faces = {side: self.to_rgb[str(side)](part).float() for side, part in features.items()}
        return Coded(self.latent(encoded[smallest].flatten(1)), features, faces)

    def _encode(self, degraded: Tensor) -> dict[int, Tensor]:
        x: Tensor = self.encoder.from_rgb(degraded)
        encoded = {x.shape[-1]: x}
        for side, down in self.encoder.down.items():
            x = down(x)
            if side in self.mmrbs:
                x = self.mmrbs[side](x)
            encoded[int(side)] = x
        return encoded


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored face (B, 3, H, W), and the codec's own reconstruction at each scale."""

    image: Tensor
    coded: dict[int, Tensor]


class PosevariedNetwork(nn.Module):
    """X' = G(x): images (B, 3, H, W) in [-1, 1] -> `Restored`. W is Z after StyleGAN2's mapping of 8 layers (eq. 2).

    The codec's features are concatenated in the style blocks instead of noise (eq. 3), with as many channels as the
    blocks have, multiplied by a learned strength: as in GPEN, whose StyleGAN2 the paper uses.
    """

    def __init__(
        self, size_px: int, channels: Widths, style_dim: int, mapping_layers: int, mmrb: bool
    ) -> None:
        super().__init__()
        self.codec = Codec(channels, style_dim, mmrb)
        self.prior = Generator(size_px, channels, style_dim, mapping_layers, beside=channels)

    def forward(self, degraded: Tensor) -> Restored:
        coded: Coded = self.codec(degraded)
        return Restored(self.prior(coded.latent, beside=coded.features), coded.faces)


# --- Losses (section 3.4) ---


@dataclass(frozen=True)
class LossWeights:
    """The weights of the terms, eq. 11 to 16.

    local: 6 times the global weight. scales: for the codec's reconstruction (choice: GFPGAN's pyramid loss, which the
    paper follows). r1: choice, as in GPEN. frozen_layers: section 3.3.
    """

    adversarial: Weight = 0.5
    """Weight of the adversarial term of the whole face."""
    local: Weight = 3.0
    """Weight of the adversarial terms of eyes and mouth; 0 leaves them and their discriminators out."""
    pixels: Weight = 8.0
    """Weight of the L1 difference of pixels."""
    features: Weight = 0.02
    """Weight of the feature term with VGG19, eq. 14; 0 leaves it out and loads no weights."""
    identity: Weight = 10.0
    """Weight of the face-preserving term, eq. 15: L1 of embeddings with a mean square of 1; 0 leaves it out."""
    scales: Weight = 1.0
    """Weight of the L1 difference of pixels at each scale of the codec; 0 leaves it out."""
    scales_until: Positive | None = 50_000
    """Step after which the term `scales` ends; null lets it go on to the last step."""
    frozen_layers: Annotated[int, Ge(0)] = 5
    """Number of frozen convolutions of the discriminator, from its input on (FreezeD)."""
    r1: Weight = 10.0
    """Weight of R1, the gradient penalty of the discriminator; 0 leaves its phase out."""
    r1_every: Positive = 16
    """Steps between two R1 phases."""


@dataclass(frozen=True, eq=False)
class PosevariedLosses:
    """The losses of the phases, bound to the networks that they train."""

    networks: Networks
    weights: LossWeights
    perceptual: Perceptual | None
    embedder: IdentityEmbedder | None

    @cached_property
    def fakes(self) -> Fakes:
        return Fakes(lambda batch: self._made(batch).image)

    def generator_and_scales(self, batch: DeviceBatch) -> Terms:
        """The terms of `generator`, and of the codec's own reconstruction at each scale."""
        made = self._made(batch)
        return self._generator(made.image, batch) | {
            "scales": self.weights.scales * scales_loss(made.coded, batch.target)
        }

    def generator(self, batch: DeviceBatch) -> Terms:
        """Eq. 16."""
        return self._generator(self._made(batch).image, batch)

    def discriminators(self, batch: DeviceBatch) -> Terms:
        """Eq. 11 and 12 for all discriminators: cross entropy, of the images of the generator's phase."""
        with torch.no_grad():
            fake = self.fakes(batch)
        discriminator, truth, boxes = self.networks["discriminator"], batch.target, batch.boxes
        terms = {"logistic": non_saturating_discriminator(discriminator(truth), discriminator(fake))}
        if self.weights.local:
            real_logits, fake_logits = (self.networks["local"](images, boxes) for images in (truth, fake))
            for part, real in real_logits.items():
                terms[part] = non_saturating_discriminator(real, fake_logits[part])
        return terms

    def _made(self, batch: DeviceBatch) -> Restored:
        made: Restored = self.networks["generator"](restorer_input(batch).degraded)
        return made

    def _generator(self, image: Tensor, batch: DeviceBatch) -> dict[str, Tensor]:
        weights, truth = self.weights, batch.target
        self.fakes.keep(batch, image)
        realistic = non_saturating_generator(self.networks["discriminator"](image))
        terms = {
            "adversarial": weights.adversarial * realistic,  # eq. 11
            "pixels": weights.pixels * (image - truth).abs().mean(),  # eq. 14
        }
        if weights.local:
            # Eq. 12 prints the generator's saturating loss, log(1 - D), whose gradient fades when D wins. Choice: as
            # "the cross-entropy loss function is used", and eq. 11 is non-saturating, this one is too.
            logits = self.networks["local"](image, batch.boxes).values()
            terms["local"] = (
                weights.local * torch.stack([non_saturating_generator(one) for one in logits]).sum()
            )
        if self.perceptual is not None:
            terms["features"] = weights.features * self.perceptual(image, truth)
        if self.embedder is not None and weights.identity:
            places = batch.landmarks
            with torch.no_grad():
                wanted = self.embedder(truth, places)
            terms["identity"] = weights.identity * embedding_distance(self.embedder(image, places), wanted)
        return terms


def scales_loss(faces: Mapping[int, Tensor], truth: Tensor) -> Tensor:
    """The sum over scales of the mean absolute difference: images (B, 3, side, side) by side, and (B, 3, H, W)."""
    size = truth.shape[-1]
    terms = [(face - avg_pool2d(truth, size // side)).abs().mean() for side, face in faces.items()]
    return torch.stack(terms).sum()


# --- Phases (sections 3.3 and 4.2) ---


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks. Channels are StyleGAN2's, at most `channels`, times `channel_multiplier` from 64 px on.

    eye_px, mouth_px: choice, GFPGAN's at 512. local_channels: choice.
    """

    size_px: Literal[16, 32, 64, 128, 256, 512, 1024] = 512
    """Side in pixels of the faces that the networks work on."""
    channels: Positive = 512
    """Maximum number of channels of a layer."""
    channel_multiplier: Annotated[float, Gt(0)] = 2
    """Factor of the number of channels at sides of 64 pixels and more."""
    style_dim: Positive = 512
    """Length of the latent and of the style code."""
    mapping_layers: Positive = 8
    """Layers of the mapping network."""
    mmrb: bool = True
    """Whether the encoder has mixed multi-path residual blocks (MMRB); false is the paper's ablation."""
    eye_px: Positive = 80
    """Side in pixels of the region of an eye for its discriminator."""
    mouth_px: Positive = 120
    """Side in pixels of the region of the mouth for its discriminator."""
    local_channels: Positive = 64
    """Channels of the first layer of the discriminators of eyes and mouth, at full size."""


@dataclass(frozen=True)
class Pretrained:
    """Where pretrained networks come from: a path, `cache`, `download` or `random`.

    The paper fine-tunes GPEN's networks, trained on faces; an ordinary generator, which takes noise, is widened.
    """

    generator: str = ""
    """Weights of the StyleGAN2 generator trained on faces, which is fine-tuned: a file, or `random`."""
    discriminator: str = ""
    """Weights of its discriminator: a file, or `random`."""
    vgg: str = "cache"
    """Weights of VGG19 for the feature term: a file, `cache`, `download` or `random`."""
    lpips: str = ""
    """Weights of AlexNet and VGG16 for the metrics `lpips_alex` and `lpips_vgg`: `cache`, `download` or `random`, or a
    file of AlexNet; empty leaves them out; a note says what is not in the cache and so not computed."""
    identity: str = "buffalo_l"
    """Embedder of the face-preserving term and of metrics, also another one than that of the shards: `dlib`, or ArcFace
    as an ONNX file, a folder or the name of a pack; empty leaves its metrics out."""


@dataclass(frozen=True)
class Posevaried:
    """All settings of the pose-varied network.

    The steps after which rates are halved ("piece-wise attenuation") and the betas are choices.
    """

    shape: Shape = Shape()
    losses: LossWeights = LossWeights()
    weights: Pretrained = Pretrained()
    adam: Adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99)
    prior_lr: Weight = 2e-4
    """Learning rate of the StyleGAN2 generator; codec, noise strengths and local discriminators use `adam.lr`. 0 is
    the paper's ablation without fine-tuning."""
    discriminator_lr: Rate = 2e-5
    """Learning rate of the StyleGAN2 discriminator."""
    halved_after: tuple[Positive, ...] = (600_000, 650_000)
    """Steps after which all learning rates are halved."""
    data: Data = Data(batch_size=4, references=0, degradation="posevaried")
    loop: Loop = Loop(steps=700_000, precision="tf32")

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
        shape = self.shape
        channels = widths(shape.size_px, shape.channel_multiplier, shape.channels)
        networks: dict[str, nn.Module] = {
            "generator": PosevariedNetwork(
                shape.size_px, channels, shape.style_dim, shape.mapping_layers, shape.mmrb
            ),
            "discriminator": Discriminator(shape.size_px, channels),
        }
        if self.losses.local:
            for name, side in (("eye_px", shape.eye_px), ("mouth_px", shape.mouth_px)):
                if side % REDUCTION:
                    raise ValueError(f"shape.{name} is {side}: it must be a multiple of {REDUCTION}")
            networks["local"] = LocalDiscriminators(shape.local_channels, shape.eye_px, shape.mouth_px)
        return networks

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        restored: Restored = networks["generator"](seen.degraded)
        return restored.image

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        """The codec's own reconstruction of a face, at full size; none if training ends without its loss.

        The layers that make it then keep what they had learnt when the loss ended, and the codec's features go on.
        """
        until = self.losses.scales_until
        if not self.losses.scales or (until is not None and until < self.loop.steps):
            return {}
        restored: Restored = networks["generator"](seen.degraded)
        return {"codec": restored.coded[max(restored.coded)].clamp(-1, 1)}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        generator, discriminator = networks["generator"], networks["discriminator"]
        assert isinstance(generator, PosevariedNetwork)  # noqa: S101
        assert isinstance(discriminator, Discriminator)  # noqa: S101
        weights, losses = self.weights, self.losses
        self._check()
        freeze_first(discriminator, losses.frozen_layers)
        notes = [
            load_or_draw("generator", weights.generator, partial(load_generator, generator.prior)),
            load_or_draw("discriminator", weights.discriminator, partial(_load_frozen, discriminator)),
        ]
        if losses.frozen_layers and weights.discriminator == "random":
            notes.append(
                f"discriminator: its first {losses.frozen_layers} convolutions stay as they were drawn"
            )
        layers = dict.fromkeys(GFPGAN_LAYERS, 1.0)  # choice: these layers; eq. 14 gives all the same weight
        perceptual = Perceptual(weights.vgg, layers, "l2").to(device) if losses.features else None
        identity = load_embedder(weights.identity, device) if weights.identity else None
        metrics = load_metrics(self.size_px, device, weights.lpips, identity)
        if identity is not None:
            notes.append(f"identity: {identity.name}")
        notes += [*([] if perceptual is None else [perceptual.note]), *metrics.notes]
        if not self.prior_lr:
            notes.append(_frozen_prior(generator.prior, weights.generator))
        bound = PosevariedLosses(networks, losses, perceptual, identity)
        evaluator = Evaluator(self, metrics, stored=embedder)
        return TrainingModule(
            networks=networks,
            averaged=("generator",),
            optimisers=self._optimisers(networks),
            phases=self._phases(bound),
            pictures=evaluator.pictures,
            scores=evaluator.scores,
            notes=tuple(notes),
            check=embedding_check(identity, embedder),
            halved_after=self.halved_after,
        )

    def _check(self) -> None:
        if self.data.references:
            raise ValueError("the pose-varied network restores without references: set data.references=0")
        for name in ("generator", "discriminator"):
            if not getattr(self.weights, name):
                raise MissingWeights(
                    f"the pose-varied network fine-tunes a StyleGAN2 trained on faces: set weights.{name} to a file of "
                    "such weights (facerefs train stylegan2 makes them), or to `random` to train from scratch"
                )
        if self.losses.identity and not self.weights.identity:
            raise ValueError("losses.identity wants a network: set weights.identity, or losses.identity=0")

    def _phases(self, losses: PosevariedLosses) -> list[Phase]:
        weights, until = self.losses, self.losses.scales_until if self.losses.scales else 0
        phases = []
        if until != 0:
            phases.append(
                Phase("generator", "generator", ("generator",), losses.generator_and_scales, end_step=until)
            )
        if until is not None:
            phases.append(Phase("generator", "generator", ("generator",), losses.generator, start_step=until))
        judges = ("discriminator", "local") if weights.local else ("discriminator",)
        phases.append(Phase("discriminator", "discriminator", judges, losses.discriminators))
        _, *lazily = discriminator_phases(
            losses.networks["discriminator"], losses.fakes, weights.r1, weights.r1_every
        )
        return phases + lazily

    def _optimisers(self, networks: Networks) -> dict[str, torch.optim.Adam]:
        own: list[nn.Parameter] = []
        prior: list[nn.Parameter] = []
        for name, parameter in networks["generator"].named_parameters():
            slowly = name.startswith("prior.") and not name.endswith(".noise_strength")
            (prior if slowly else own).append(parameter)
        learning = [one for one in networks["discriminator"].parameters() if one.requires_grad]
        lazily = self.losses.r1_every if self.losses.r1 else None
        judges = adam_for(learning, replace(self.adam, lr=self.discriminator_lr), lazily)
        if "local" in networks:  # these have no lazy phase
            (group,) = adam_for(networks["local"].parameters(), self.adam).param_groups
            judges.add_param_group(group)
        return {
            "generator": adam_for(own, self.adam, lr_overrides={self.prior_lr: prior}),
            "discriminator": judges,
        }


def _frozen_prior(prior: Generator, weights: str) -> str:
    """A note on a prior that is not fine-tuned. Raises ValueError if it would never use the codec's features."""
    if weights == "random":
        return "generator: prior_lr=0, it stays as it was drawn, but for its noise strengths"
    network = prior.synthesis
    used = (
        network.get_parameter(f"blocks.{side}.to_rgb.weight")[:, -width:].any()
        for side, width in network.beside.items()
    )
    if not any(used):
        raise ValueError(
            f"{weights} has no weights for the codec's features, and with prior_lr=0 they would stay 0: set "
            "weights.generator to a generator that takes such features (GPEN's, or one of a run of this model)"
        )
    return "generator: prior_lr=0, it stays as it was loaded, but for its noise strengths"


def _load_frozen(discriminator: Discriminator, path: Path) -> Report:
    """Load a discriminator. Raises ValueError if a frozen layer would keep its random weights."""
    report = load_discriminator(discriminator, path)
    frozen = [name for name, parameter in discriminator.named_parameters() if not parameter.requires_grad]
    if drawn := [name for name in frozen if name not in report.matched]:
        raise ValueError(
            f"{path} is of {report.size_px} px and has no {drawn[0]} for {discriminator.size_px} px, which would stay "
            "frozen as it was drawn: set weights.discriminator to a file of this size, or losses.frozen_layers=0"
        )
    return report


PRESETS = {
    "paper": Posevaried(),
    # Choices: nothing is frozen, because nothing is pretrained; what the paper fine-tunes has a high learning rate; and
    # adversarial weights are a tenth of the paper's, which are too strong for so small a generator. Regions have about
    # the paper's share of the face.
    "tiny": Posevaried(
        shape=Shape(
            size_px=64,
            channels=48,
            channel_multiplier=1 / 8,
            style_dim=128,
            eye_px=12,
            mouth_px=16,
            local_channels=16,
        ),
        losses=LossWeights(
            adversarial=0.05,
            local=0.3,
            features=0.0,
            identity=0.0,
            scales_until=500,
            frozen_layers=0,
            r1=0.1,
        ),
        weights=Pretrained(generator="random", discriminator="random", vgg="", identity="dlib"),
        adam=Adam(lr=4e-3, beta1=0.5, beta2=0.99),
        prior_lr=4e-3,
        discriminator_lr=1e-3,
        halved_after=(),
        data=Data(batch_size=4, references=0, degradation=TINY_POSEVARIED),
        loop=TINY_LOOP,
    ),
}
