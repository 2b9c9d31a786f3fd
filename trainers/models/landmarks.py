"""Landmarks on degraded faces: a heat-map network, trained on degraded faces with the landmarks of the clean faces.

ReFine (Chong et al., WACV 2025) warps its reference by "existing face landmark detectors", fine-tuned on low-quality
faces; its own is not public. Here FAN is fine-tuned, or a small network of our own is trained from scratch. All
numbers are choices.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn import functional

from facerefs.stages.degrade.operations.constant import constant
from facerefs.trainers.geometry.similarity import move_images, move_points, random_similarities
from facerefs.trainers.loop.optimisers import adam_for
from facerefs.trainers.loop.settings import Adam, Data, Loop, Positive
from facerefs.trainers.loop.training_module import Networks, Phase, Terms, TrainingModule
from facerefs.trainers.metrics.nme import by_strength, eye_distance, nme, strength
from facerefs.trainers.models.common.tiny import REFINE_256, TINY_REFINE
from facerefs.trainers.models.model import LandmarkModel
from facerefs.trainers.networks import fan
from facerefs.trainers.networks.heatmaps import HeatmapNet, divergence, points_of
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.weights.fan import load_fan

_GREEN, _RED = (-1.0, 1.0, -1.0), (1.0, -1.0, -1.0)
_DOT_SHARE, _LEAST_DOT_PX = 1 / 300, 0.4  # standard deviation of a drawn point: share of the side, minimum


@dataclass(frozen=True)
class Moves:
    """How far degraded faces are moved in training, because at inference time they are aligned only roughly."""

    shift_share: Annotated[float, Ge(0)] = 0.06
    """Largest shift in each direction, as a share of the face's side."""
    scale_share: Annotated[float, Ge(0)] = 0.15
    """Largest change of scale, as a share."""
    turn_deg: Annotated[float, Ge(0)] = 15.0
    """Largest rotation in degrees."""


@dataclass(frozen=True)
class Landmarks:
    """All settings of the detector and its training; `widths` and `stride` define `small`, see `HeatmapNet`."""

    size_px: Positive = 256
    """Side of the network's input in pixels; FAN needs 256."""
    network: Literal["small", "fan"] = "small"
    """Network that is trained: a small one from scratch, or FAN, fine-tuned."""
    fan_weights: str = "cache"
    """Weights of FAN: a file, `cache` (the folder of torch hub) or `random`."""
    widths: tuple[Positive, ...] = (64, 96, 128, 160, 192)
    """Channels of the small network on each scale, the finest first."""
    stride: Positive = 4
    """Side in pixels of a cell of the heat maps of the small network."""
    moves: Moves = Moves()
    map_weight: Annotated[float, Ge(0)] = 0.2
    """Weight of the divergence of the heat maps from Gaussians."""
    sigma_cells: Annotated[float, Gt(0)] = 1.0
    """Standard deviation of these Gaussians, in cells of the heat maps."""
    adam: Adam = Adam(lr=5e-4, beta1=0.9, beta2=0.999)
    data: Data = field(default_factory=lambda: Data(batch_size=16, references=0, degradation=REFINE_256))
    loop: Loop = Loop(steps=50_000, clip_norm=1.0, precision="tf32")

    def networks(self) -> dict[str, nn.Module]:
        """`heatmaps`. Raises ValueError for a size that does not fit, MissingWeights without face-alignment."""
        if self.network == "fan":
            if self.size_px != fan.SIZE_PX:
                raise ValueError(f"network fan sees {fan.SIZE_PX} px, not size_px {self.size_px}")
            return {"heatmaps": fan.FanNetwork(keep_statistics=self.fan_weights != "random")}
        network = HeatmapNet(self.widths, self.stride)
        unit = self.stride * 2 ** (len(self.widths) - 1)
        if self.size_px < unit or self.size_px % unit:
            raise ValueError(
                f"size_px is a multiple of {unit} for stride {self.stride} and {len(self.widths)} widths, "
                f"not {self.size_px}"
            )
        return {"heatmaps": network}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        """One phase, `landmarks`, with the terms `points` and `maps`. Raises MissingWeights.

        Scores: `nme`; `nme/moved`, of faces moved as in training, because aligned faces are all in the same place,
        where a constant answer has an error of only about 5 %; and `nme` by the strength of the degradation.
        """
        network = networks["heatmaps"]
        notes = (load_fan(network, self.fan_weights),) if isinstance(network, fan.FanNetwork) else ()

        def loss(batch: DeviceBatch) -> Terms:
            images, transforms = self._moved(batch)
            return self.loss(network, images, move_points(batch.landmarks, transforms))

        return TrainingModule(
            networks=networks,
            averaged=("heatmaps",),
            optimisers={"heatmaps": adam_for(list(network.parameters()), self.adam)},
            phases=[Phase("landmarks", "heatmaps", ("heatmaps",), loss)],
            pictures=self._pictures,
            scores=self._scores,
            notes=notes,
        )

    def loss(self, network: nn.Module, images: Tensor, truth: Tensor) -> Terms:
        """The terms for degraded images (B, 3, S, S) in [-1, 1] and true landmarks (B, 68, 2).

        Landmarks outside the image are ignored.
        points: the L1 distance as a share of the distance between the eyes (Sun et al. 2018 found L1 best).
        maps: the divergence from a Gaussian (DSNT), which keeps each map concentrated.
        """
        logits, stride = network(images), _stride(network)
        inside = ((truth >= -0.5) & (truth <= self.size_px - 0.5)).all(-1)
        share = inside / inside.sum().clamp(min=1)
        errors = (points_of(logits, stride) - truth).abs().sum(-1) / eye_distance(truth)[:, None]
        return {
            "points": (errors * share).sum(),
            "maps": self.map_weight * (divergence(logits, truth, stride, self.sigma_cells) * share).sum(),
        }

    def find(self, networks: Networks, degraded: Tensor) -> Tensor:
        """Points (B, 68, 2) in pixels of the images (B, 3, size_px, size_px), which are in [-1, 1]."""
        network = networks["heatmaps"]
        return points_of(network(degraded), _stride(network))

    def _pictures(self, networks: Networks, batch: DeviceBatch) -> dict[str, Tensor]:
        degraded, truth = _degraded(batch), batch.landmarks
        found = draw_points(draw_points(degraded, truth, _GREEN), self.find(networks, degraded), _RED)
        return {
            "degraded": degraded,
            "found (red), true": found,
            "truth": draw_points(batch.target, truth, _GREEN),
        }

    def _scores(self, networks: Networks, batch: DeviceBatch) -> dict[str, Tensor]:
        truth = batch.landmarks
        errors = nme(self.find(networks, _degraded(batch)), truth)
        bins = by_strength(errors, strength(batch.thetas, self.size_px))
        moved, transforms = self._moved(batch)
        scores = {"nme": errors, "nme/moved": nme(self.find(networks, moved), move_points(truth, transforms))}
        return scores | {f"nme/{name}": values for name, values in bins.items()}

    def _moved(self, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        """Degraded faces, each moved randomly, and the transforms (B, 2, 3) that moved them."""
        amounts = self.moves.shift_share, self.moves.scale_share, self.moves.turn_deg
        degraded = _degraded(batch)
        transforms = random_similarities(len(degraded), self.size_px, *amounts, degraded.device)
        return move_images(degraded, transforms), transforms


def find_landmarks(model: LandmarkModel, networks: Networks, images: Tensor) -> Tensor:
    """Points (B, 68, 2) in pixels of aligned degraded faces (B, 3, H, W) of any size, which are in [-1, 1].

    Computed in float32 also under autocast: a finder is another model's input, and in none of its training.
    """
    height, width = images.shape[-2:]
    size = (model.size_px, model.size_px)
    seen = images
    if (height, width) != size:
        seen = functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
    with torch.autocast(images.device.type, enabled=False):
        points = model.find(networks, seen.float())
    return (points + 0.5) * constant((width, height), points) / model.size_px - 0.5


def draw_points(images: Tensor, points: Tensor, colour: tuple[float, float, float]) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1] with soft dots at points (B, P, 2) in pixels."""
    height, width = images.shape[-2:]
    sigma_px = max(_LEAST_DOT_PX, _DOT_SHARE * width)
    across, down = (
        (-((_counted(side, points) - points[..., axis, None]) / sigma_px).square() / 2).exp()
        for axis, side in enumerate((width, height))
    )
    share = (down.mT @ across).clamp(max=1)[:, None].to(images)
    return images + (constant(colour, images)[:, None, None] - images) * share


def _counted(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)


def _stride(network: nn.Module) -> int:
    return int(network.stride)  # type: ignore[arg-type]


def _degraded(batch: DeviceBatch) -> Tensor:
    if batch.degraded is None:
        raise ValueError("landmarks are learnt on degraded faces, and this batch has none")
    return batch.degraded


PRESETS = {
    "paper": Landmarks(),
    "tiny": Landmarks(
        size_px=64,
        widths=(64, 96, 128),
        stride=4,
        adam=Adam(lr=2e-3, beta1=0.9, beta2=0.999),
        data=Data(batch_size=16, references=0, degradation=TINY_REFINE),
        loop=Loop(
            steps=2_000,
            clip_norm=1.0,
            average_half_life_images=1_500.0,
            validate_every=500,
            checkpoint_every=500,
        ),
    ),
}
