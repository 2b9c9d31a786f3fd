"""RPF: Kim et al., "RPF: Reference-based Progressive Face Super-Resolution Without Losing Details and Identity",
IEEE Access 11, 2023.

Enlarges a face of L x L pixels by a factor of 8 to 64, doubling it block by block, with one reference of the same
person. Numbers and layers that the paper does not give are marked as choices. Norms in losses are means over all
elements (choice).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.geometry.points import TRUTH
from facerefs.trainers.geometry.sizes import before_enlargement, enlarged, reduced, reduced_masks
from facerefs.trainers.identity.embedder import IdentityEmbedder, load_embedder
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.losses.adversarial import (
    gradient_penalty,
    wasserstein_discriminator,
    wasserstein_generator,
)
from facerefs.trainers.losses.distances import embedding_distance
from facerefs.trainers.losses.perceptual import Perceptual
from facerefs.trainers.masks.mask import FaceMask, load_face_mask
from facerefs.trainers.models.common.earlier_run import fill_from_run
from facerefs.trainers.models.common.embedded import embedding_check
from facerefs.trainers.models.common.evaluator import Evaluator
from facerefs.trainers.models.common.metrics import load_metrics
from facerefs.trainers.models.common.per_batch import PerBatch
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.models.rpf.factor import bicubic_by, check_reduces
from facerefs.trainers.models.rpf.masks import BatchMasks, masks_note, reference_mask
from facerefs.trainers.models.rpf.reconstruction import align, masked, run_block, run_blocks
from facerefs.trainers.models.rpf.refinement import Refinement
from facerefs.trainers.models.rpf.schedule import Schedule, Stage, TrainingStage, training_stages
from facerefs.trainers.models.rpf.synthesis import SynthesisModule
from facerefs.trainers.models.rpf.warping import Warping
from facerefs.trainers.networks.critic import Critic
from facerefs.trainers.networks.features import ALEXNET
from facerefs.trainers.networks.stylegan2.widths import widths
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

Weight = Annotated[float, Ge(0)]

# --- Network (section III.B) ---


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks: L = size_px / factor, and log2 factor blocks.

    The channels of refinement are StyleGAN2's (choice: the paper only names GCFSR). reference, masks: for the ablations
    of the paper's table 2. progressive: without it there is one block, at full size, whose input is the L x L image,
    enlarged to half that size by bicubic interpolation (choice: the paper does not say how it enlarges at once).
    """

    size_px: Literal[32, 64, 128, 256, 512, 1024] = 1024
    """Side of the output faces in pixels."""
    factor: Literal[8, 16, 32, 64] = 64
    """Factor by which the input is enlarged."""
    channels: Positive = 64
    """Channels of the warping and synthesis modules."""
    residual_blocks: Positive = 4
    """Residual blocks of the warping and synthesis modules."""
    refinement_channels: Positive = 512
    """Maximum number of channels of a layer of the refinement modules."""
    channel_multiplier: Positive = 2
    """Factor of the number of channels of the refinement modules at sides of 64 pixels and more."""
    style_dim: Positive = 512
    """Length of the style codes of the refinement modules."""
    critic_channels: Positive = 64
    """Channels of the first layer of a critic."""
    reference: bool = True
    """Whether a reference is used; false is the paper's ablation, with the enlarged input in its place."""
    progressive: bool = True
    """Whether the side is doubled block by block; false is the paper's ablation: one block for the whole factor."""
    masks: bool = True
    """Whether non-facial regions are masked in the reference and in the losses; false is the paper's ablation."""

    @property
    def blocks(self) -> int:
        """N, the number of blocks."""
        return self.factor.bit_length() - 1 if self.progressive else 1

    @property
    def small_px(self) -> int:
        """L, the side of the input in pixels."""
        return self.size_px // self.factor

    def side_px(self, number: int) -> int:
        """The side of the output of block `number`."""
        return self.size_px >> (self.blocks - number)


# --- Losses (section III.C) ---


@dataclass(frozen=True)
class LossWeights:
    """The weights of the loss terms. Only alpha of eq. 4 is the paper's; eq. 6 has no weights, so they are 1.

    A weight of 0 leaves a term out, and what it needs. The perceptual term uses AlexNet's relu5 (choice), which needs
    at least 32 px. identity_from_px: choice. penalty: Gulrajani et al. 2017.
    refined_from: the source of the first stage's "resized LR image": the truth at `half` the block's side (choice), or
    the `input`, x, which is blurrier from block to block; modules trained on that sharpen too much in a chain, as their
    input is already sharp.
    """

    synthesis_adversarial: Weight = 0.1
    """Weight of the adversarial term of the synthesis modules, eq. 4."""
    reconstruction: Weight = 1.0
    """Weight of the L1 difference of pixels in the refinement modules, eq. 7."""
    perceptual: Weight = 1.0
    """Weight of the perceptual term by AlexNet in blocks of at least 32 pixels, eq. 8; 0 leaves it out."""
    identity: Weight = 1.0
    """Weight of the identity term, eq. 9: L1 of embeddings with a mean square of 1; 0 leaves it out."""
    adversarial: Weight = 1.0
    """Weight of the adversarial term of the refinement modules; 0 leaves it out."""
    penalty: Weight = 10.0
    """Weight of the gradient penalty of the critics."""
    wasserstein_divisor: Literal["root", "one"] = "root"
    """Divisor of the modules' Wasserstein terms: `root` of the number of elements of an image, so that the terms are
    comparable to means, or `one`, as Gulrajani et al. have them."""
    outside: Weight = 0.0
    """Weight of the L1 difference between the synthesised and the bicubic image outside the face, which is not in the
    paper, whose eq. 5 leaves those pixels without any loss; 0 leaves it out."""
    identity_from_px: Positive = 64
    """Smallest side in pixels of a block that has the identity term."""
    refined_from: Literal["half", "input"] = "half"
    """Input of a refinement module in training, which it enlarges: the truth at half the side, or the whole model's
    input, which is blurrier."""


@dataclass(frozen=True, eq=False)
class RpfLosses:
    """The losses of the phases, bound to the networks that they train. `number` is that of a block, from 1."""

    networks: Networks
    model: "Rpf"
    masks: BatchMasks | None  # None: the whole image counts
    perceptual: Perceptual | None
    embedder: IdentityEmbedder | None

    @cached_property
    def _frozen(self) -> PerBatch[tuple[Tensor, Tensor]]:
        """What frozen modules made of a batch, for a critic and its module: x^(n) and the aligned reference."""
        return PerBatch()

    def warping(self, number: int, batch: DeviceBatch) -> Terms:
        image, reference, side_px = self._begun(number, batch)
        aligned = align(self.networks, number, image, reference)
        return {"aligned": (aligned - reduced(self._warped(batch), side_px)).abs().mean()}  # eq. 3

    def synthesis(self, number: int, batch: DeviceBatch) -> Terms:
        """Eq. 4; the mask of eq. 5 is the truth's (choice: it is m there, but m_y in the adversarial loss)."""
        whole, truth, mask = self._synthesised(number, batch)
        made = whole if mask is None else masked(whole, mask)
        terms = {"masked": (made - truth).abs().mean()}  # eq. 5
        if weight := self.model.losses.synthesis_adversarial:
            terms["adversarial"] = weight * self._believed(f"synthesis_critic_{number}", made)
        if mask is not None and (weight := self.model.losses.outside):
            image, _ = self._aligned_once(number, batch)
            bicubic = enlarged(image, whole.shape[-1])
            terms["outside"] = weight * ((1 - mask) * (whole - bicubic)).abs().mean()
        return terms

    def synthesis_critic(self, number: int, batch: DeviceBatch) -> Terms:
        with torch.no_grad():
            whole, truth, mask = self._synthesised(number, batch)
            made = whole if mask is None else masked(whole, mask)
        return self._critic(self.networks[f"synthesis_critic_{number}"], truth, made)

    def refinement(self, number: int, batch: DeviceBatch) -> Terms:
        """Eq. 6."""
        weights = self.model.losses
        made, truth = self._refined(number, batch)
        side_px = made.shape[-1]
        terms = {"pixels": weights.reconstruction * (made - truth).abs().mean()}  # eq. 7
        if self.perceptual is not None and side_px >= self.perceptual.network.smallest_px:
            terms["perceptual"] = weights.perceptual * self.perceptual(made, truth)  # eq. 8
        if self.embedder is not None and weights.identity and side_px >= weights.identity_from_px:
            points = (batch.landmarks + 0.5) * (side_px / batch.target.shape[-1]) - 0.5
            with torch.no_grad():
                wanted = self.embedder(truth, points)
            # Eq. 9.
            terms["identity"] = weights.identity * embedding_distance(self.embedder(made, points), wanted)
        if weights.adversarial:
            terms["adversarial"] = weights.adversarial * self._believed(f"refinement_critic_{number}", made)
        return terms

    def refinement_critic(self, number: int, batch: DeviceBatch) -> Terms:
        with torch.no_grad():
            made, truth = self._refined(number, batch)
        return self._critic(self.networks[f"refinement_critic_{number}"], truth, made)

    def _critic(self, critic: nn.Module, real: Tensor, made: Tensor) -> Terms:
        """Gulrajani et al. 2017, eq. 3."""
        terms = {"wasserstein": wasserstein_discriminator(critic(real), critic(made))}
        if weight := self.model.losses.penalty:
            terms["penalty"] = weight * gradient_penalty(critic, real, made)
        return terms

    def _believed(self, critic: str, made: Tensor) -> Tensor:
        """The generator's Wasserstein loss, divided as `wasserstein_divisor` says, by default to match the other terms.

        Choice. The slope of a critic is 1, and that of a mean over n elements sqrt(1 / n): without the division the
        adversarial terms would outweigh all others at the paper's weights, more so for larger images.
        """
        divisor = math.sqrt(made[0].numel()) if self.model.losses.wasserstein_divisor == "root" else 1.0
        return wasserstein_generator(self.networks[critic](made)) / divisor

    def _refined(self, number: int, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        """A refinement module's output for a bicubic image, and the truth y^(n): section IV.B, first stage."""
        side_px = self.model.shape.side_px(number)
        if number == 1 or self.model.losses.refined_from == "input":
            image = self.model.small(restorer_input(batch))
        else:
            image = reduced(batch.target, side_px // 2)
        made = self.networks[f"refinement_{number}"](enlarged(image, side_px))
        return made, reduced(batch.target, side_px)

    def _synthesised(self, number: int, batch: DeviceBatch) -> tuple[Tensor, Tensor, Tensor | None]:
        """The whole synthesised image, the truth masked by its own mask, and this mask (None: all counts)."""
        image, aligned = self._aligned_once(number, batch)
        side_px = self.model.shape.side_px(number)
        truth = reduced(batch.target, side_px)
        made: Tensor = self.networks[f"synthesis_{number}"](image, aligned)
        if self.masks is None:
            return made, truth, None
        mask = reduced_masks(self.masks.truth(batch), side_px)
        return made, masked(truth, mask), mask

    def _aligned_once(self, number: int, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        """x^(n) and the aligned reference, computed once for a critic and its module."""
        return self._frozen.once(batch, str(number), lambda: self._aligned(number, batch))

    @torch.no_grad()
    def _aligned(self, number: int, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        image, reference, _ = self._begun(number, batch)
        return image, align(self.networks, number, image, reference)

    @torch.no_grad()
    def _begun(self, number: int, batch: DeviceBatch) -> tuple[Tensor, Tensor, int]:
        """x^(n), the masked reference, and the side of block n."""
        reference = self._reference(batch)
        small = self.model.small(restorer_input(batch))
        image = run_blocks(self.networks, number - 1, small, reference)
        return image, reference, self.model.shape.side_px(number)

    def _reference(self, batch: DeviceBatch) -> Tensor:
        mask = None if self.masks is None else partial(self.masks.reference, batch)
        reference = self.model.reference(restorer_input(batch), mask)
        if reference is None:
            raise ValueError("pairs want a reference: set data.references=1")
        return reference

    @torch.no_grad()
    def _warped(self, batch: DeviceBatch) -> Tensor:
        """r_warp: the masked reference on the landmarks of the truth, by thin-plate splines (figure 8)."""
        if not self.model.shape.reference:
            return self._reference(batch)
        seen = restorer_input(batch)
        valid = seen.valid[:, 0]
        return masked(seen.warped[:, 0], valid if self.masks is None else valid * self.masks.warped(batch))


# --- Phases (section IV.B) ---


def phases_of(stage: TrainingStage, losses: RpfLosses) -> list[Phase]:
    """The phases of a training stage: its critic, in float32, then its module, each once per step (choice)."""
    learns = {"warping": losses.warping, "synthesis": losses.synthesis, "refinement": losses.refinement}
    judges = {"synthesis": losses.synthesis_critic, "refinement": losses.refinement_critic}

    def phase(network: str, loss: Callable[[int, DeviceBatch], Terms], exact: bool) -> Phase:
        bound = partial(loss, stage.block)
        return Phase(
            network,
            network,
            (network,),
            bound,
            force_fp32=exact,
            start_step=stage.start_step,
            end_step=stage.end_step,
        )

    module = phase(stage.network, learns[stage.module], exact=False)
    if stage.critic is None or stage.critic not in losses.networks:
        return [module]
    return [phase(stage.critic, judges[stage.module], exact=True), module]


@dataclass(frozen=True)
class Pretrained:
    """Where pretrained networks come from: a path, `cache`, `download` or `random`."""

    refinement: str = ""
    """Initial weights of the refinement modules: the folder or a checkpoint of a run that trained them, or `random`;
    empty means `random` too, but is not allowed if the stage `reference` is trained alone."""
    perceptual: str = "cache"
    """Weights of AlexNet for the perceptual term: a file, `cache`, `download` or `random`."""
    lpips: str = "cache"
    """Weights of AlexNet and VGG16 for the metrics `lpips_alex` and `lpips_vgg`: `cache`, `download` or `random`, or a
    file of AlexNet; empty leaves them out; a note says what is not in the cache and so not computed."""
    identity: str = "buffalo_l"
    """Embedder of the identity term and of validation, also another one than that of the shards; empty leaves both
    out."""
    parsing: str = ""
    """Weights of the face parser that finds non-facial regions of samples without masks, and of photos that `restore`
    gets: a file, `cache` or `download`; empty uses the hull of the landmarks."""


@dataclass(frozen=True)
class Rpf:
    """All settings of RPF. Every module and critic has its own Adam.

    The paper only gives the learning rate. Choices: a module's betas are Adam's defaults, a critic's those of Gulrajani
    et al.
    """

    shape: Shape = Shape()
    losses: LossWeights = LossWeights()
    schedule: Schedule = field(default_factory=Schedule)
    weights: Pretrained = Pretrained()
    adam: Adam = Adam(lr=1e-4, beta1=0.9, beta2=0.999)
    critic_adam: Adam = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
    data: Data = Data(batch_size=1, degradation=bicubic_by(64))
    loop: Loop = Loop(steps=1_987_460, precision="tf32")

    @property
    def size_px(self) -> int:
        """Side of the output faces."""
        return self.shape.size_px

    @property
    def identity(self) -> str:
        """Empty: the networks take no embedding."""
        return ""

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def training_stages(self) -> tuple[TrainingStage, ...]:
        """Which module learns in which steps."""
        return training_stages(self.schedule, self.shape.blocks)

    def networks(self) -> dict[str, nn.Module]:
        shape = self.shape
        if shape.small_px < 4:
            raise ValueError(
                f"shape.factor={shape.factor} leaves {shape.small_px} of {shape.size_px} px, and blocks want 4 px: "
                f"set a shape.size_px of at least {4 * shape.factor}, or a smaller factor"
            )
        networks: dict[str, nn.Module] = {}
        for number in range(1, shape.blocks + 1):
            side_px = shape.side_px(number)
            channels = widths(side_px, shape.channel_multiplier, shape.refinement_channels)
            networks[f"warping_{number}"] = Warping(side_px, shape.channels)
            networks[f"synthesis_{number}"] = SynthesisModule(shape.channels, shape.residual_blocks)
            networks[f"refinement_{number}"] = Refinement(channels, shape.style_dim)
        for stage in self.training_stages:
            if stage.critic is not None and self._adversarial(stage):
                side_px = shape.side_px(stage.block)
                networks[stage.critic] = Critic(side_px, shape.critic_channels)
        return networks

    def _adversarial(self, stage: TrainingStage) -> float:
        losses = self.losses
        return losses.adversarial if stage.module == "refinement" else losses.synthesis_adversarial

    def small(self, seen: RestorerInput) -> Tensor:
        """x^(1): the L x L image that was enlarged to the degraded face, at half the side of the first block."""
        small = before_enlargement(seen.degraded, self.shape.small_px)
        return small if self.shape.progressive else enlarged(small, self.shape.side_px(0))

    def reference(self, seen: RestorerInput, mask: Callable[[], Tensor] | None) -> Tensor | None:
        """The masked reference (eq. 1), or its replacement in the ablation of table 2; None if samples have none.

        mask: returns its mask (B, 1, H, W), called only if needed; None leaves the reference unmasked.
        """
        if not self.shape.reference:
            return enlarged(self.small(seen), self.size_px)
        if not seen.references.shape[1]:
            return None
        reference = seen.references[:, 0]
        return reference if mask is None else masked(reference, mask())

    def restore(self, networks: Networks, seen: RestorerInput) -> Tensor:
        return run_blocks(networks, self.shape.blocks, self.small(seen), self._masked(seen))

    def pictures(self, networks: Networks, seen: RestorerInput) -> Mapping[str, Tensor]:
        """The bicubic input and, from the last block, the images of figure 7."""
        reference, last = self._masked(seen), self.shape.blocks
        small = self.small(seen)
        shown = {"bicubic": enlarged(small, self.size_px)}
        made = run_block(networks, last, run_blocks(networks, last - 1, small, reference), reference)
        parts = {"masked": reference, "aligned": made.aligned, "synthesised": made.synthesised}
        return shown | {name: part for name, part in parts.items() if part is not None}

    def _masked(self, seen: RestorerInput) -> Tensor | None:
        return self.reference(seen, partial(reference_mask, seen, self._region) if self.shape.masks else None)

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        self._check()
        notes = [f"training stage: {line}" for line in self._unfinished()]
        notes += self._start(networks)
        identity = load_embedder(self.weights.identity, device) if self.weights.identity else None
        if identity is not None:
            notes.append(
                f"identity: {identity.name}; losses.identity is for embeddings with a mean square of 1"
            )
        perceptual = self._perceptual(device)
        notes += [perceptual.note] if perceptual is not None else []
        masks = BatchMasks(self._region) if self.shape.masks else None
        losses = RpfLosses(networks, self, masks, perceptual, identity)
        metrics = load_metrics(self.size_px, device, self.weights.lpips, identity)
        notes += metrics.notes
        evaluator = Evaluator(self, metrics, stored=embedder)
        return TrainingModule(
            networks=networks,
            averaged=(),
            optimisers={
                name: adam_for(network.parameters(), self.critic_adam if "critic" in name else self.adam)
                for name, network in networks.items()
            },
            phases=[phase for stage in self.training_stages for phase in phases_of(stage, losses)],
            pictures=evaluator.pictures,
            scores=evaluator.scores,
            notes=tuple(notes),
            points=TRUTH,  # r_warp is a target of eq. 3; what the networks get is not warped by landmarks
            check=embedding_check(identity, embedder),
            notes_about=self._notes_about if masks is not None and self._is_paired else None,
        )

    def mask_note(self, device: torch.device) -> str:
        """Where the masks of a user's references come from; `` without masks. Raises MissingWeights."""
        needs = self.shape.masks and self.shape.reference and self.data.references
        return _face_mask(self.weights.parsing, device).note if needs else ""

    def _notes_about(self, batch: DeviceBatch) -> tuple[str, ...]:
        return (masks_note(batch, partial(_face_mask, self.weights.parsing, batch.target.device)),)

    def _region(self, images: Tensor, landmarks: Tensor) -> Tensor:
        return _face_mask(self.weights.parsing, images.device)(images, landmarks)

    @property
    def _is_paired(self) -> bool:
        """Whether a module is trained on pairs: only then are there masks in the losses."""
        return any(stage.samples == "pairs" for stage in self.training_stages)

    # Checks of the settings, and loading.

    def _check(self) -> None:
        stages, shape = self.schedule.stages, self.shape
        if stages not in (("refinement",), ("reference",), ("refinement", "reference")):
            raise ValueError(
                f"schedule.stages is [refinement], [reference] or both in this order, not [{', '.join(stages)}]"
            )
        check_reduces(self.data.degradation, shape.factor)
        if self._is_paired and shape.reference and not self.data.references:
            raise ValueError(
                "the stage `reference` wants pairs: set data.references=1, or schedule.stages=[refinement] alone"
            )
        last = self.training_stages[-1].end_step
        if self.loop.steps > last:
            raise ValueError(
                f"loop.steps={self.loop.steps} is more than the {last} steps of the schedule: set "
                "fewer, or more of schedule.refinement_steps, warping_steps and synthesis_steps"
            )

    def _unfinished(self) -> list[str]:
        return [
            f"{stage.network} gets {max(0, self.loop.steps - stage.start_step)} of {stage.steps} steps"
            for stage in self.training_stages
            if self.loop.steps < stage.end_step
        ]

    def _start(self, networks: Networks) -> list[str]:
        """Load the refinement modules of another run, required if this run does not train them; returns notes."""
        place, alone = self.weights.refinement, "refinement" not in self.schedule.stages
        if not place:
            if alone:
                raise MissingWeights(
                    "the stage `reference` alone starts from trained refinement modules: set weights.refinement "
                    "to a run of schedule.stages=[refinement], or to `random`"
                )
            return []
        if place == "random":
            return ["refinement modules: random weights"]
        names = [f"refinement_{number}" for number in range(1, self.shape.blocks + 1)]
        return [f"refinement modules: {fill_from_run(place, networks, names)}"]

    def _perceptual(self, device: torch.device) -> Perceptual | None:
        if not self.losses.perceptual or "refinement" not in self.schedule.stages:
            return None
        return Perceptual(self.weights.perceptual, {"relu5": 1.0}, "l2", ALEXNET).to(device)


@cache
def _face_mask(setting: str, device: torch.device) -> FaceMask:
    return load_face_mask(setting, device)


def _paper(factor: Literal[8, 16, 32, 64], stages: tuple[Stage, ...] = ("refinement", "reference")) -> Rpf:
    """The preset of a factor at 1024 px, with all steps of these stages of its schedule."""
    shape, schedule = Shape(factor=factor), Schedule(stages=stages)
    steps = training_stages(schedule, shape.blocks)[-1].end_step
    references = int("reference" in stages)
    return Rpf(
        shape=shape,
        schedule=schedule,
        weights=Pretrained(parsing="cache"),
        data=Data(batch_size=1, degradation=bicubic_by(factor), references=references),
        loop=Loop(steps=steps, precision="tf32"),
    )


_TINY = Rpf(
    shape=Shape(
        size_px=64,
        factor=8,
        channels=24,
        refinement_channels=48,
        channel_multiplier=1,
        style_dim=64,
        critic_channels=16,
    ),
    losses=LossWeights(perceptual=0.0, identity=0.0, adversarial=0.1),
    schedule=Schedule(refinement_steps=800, warping_steps=200, synthesis_steps=200),
    weights=Pretrained(identity="dlib"),
    adam=Adam(lr=1e-3, beta1=0.9, beta2=0.99),
    critic_adam=Adam(lr=1e-3, beta1=0.0, beta2=0.9),
    data=Data(batch_size=4, degradation=bicubic_by(8)),
    loop=Loop(steps=2_000, validate_every=200, checkpoint_every=500, validation_samples=32),
)

PRESETS = {
    "paper": _paper(64),
    "paper_refinement": _paper(64, ("refinement",)),
    "paper_reference": _paper(64, ("reference",)),
    "x32": _paper(32),
    "x16": _paper(16),
    "x8": _paper(8),
    "tiny": _TINY,
    # For `facerefs demo`: two minutes on two cores. Choices: no critics, and short stages, since the steps are few.
    "demo": replace(
        _TINY,
        shape=replace(_TINY.shape, size_px=128, channels=16, refinement_channels=24),
        losses=replace(_TINY.losses, adversarial=0.0),
        schedule=Schedule(refinement_steps=180, warping_steps=30, synthesis_steps=30),
        loop=Loop(steps=360, validate_every=180, checkpoint_every=360, validation_samples=32),
    ),
}
