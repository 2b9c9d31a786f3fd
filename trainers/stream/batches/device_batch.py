"""Finish a batch on the device for a model: floating images, degraded faces at full size, warped references."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from facerefs.schemas.theta import Theta
from facerefs.stages.degrade import apply_theta
from facerefs.stages.degrade.program import Program
from facerefs.trainers.geometry.points import TRUTH, PointsSource
from facerefs.trainers.stream.batches.batch import FaceBatch

Degrade: TypeAlias = Callable[[Tensor, Program], Tensor]
Warp: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class DeviceBatch:
    """B samples with K references each, on the device.

    Images and masks are floating: images in the requested `value_range`, masks in [0, 1]. Landmarks and boxes are in
    pixels of H x W. For samples with fewer than K references see `FaceBatch`.
    """

    keys: tuple[str, ...]
    identities: tuple[str, ...]
    thetas: tuple[Theta, ...]
    positions: Tensor  # (B,) int64, in the stream
    program: Program  # the thetas, compiled
    target: Tensor  # (B, 3, H, W), ground truth
    target_mask: Tensor | None  # (B, 1, H, W)
    degraded: Tensor | None  # (B, 3, H, W), back at full size; None if `degrade` was
    landmarks: Tensor  # (B, 68, 2) float32, of the target: nobody has them when a face is restored
    seen_landmarks: Tensor  # (B, 68, 2) float32, of the degraded face, from `points`
    points: str  # kind of the source of `seen_landmarks`: truth, jitter or detector
    boxes: Tensor  # (B, 3, 4) float32: left eye, right eye, mouth
    embedding: Tensor  # (B, D) float32, of the target
    references: Tensor  # (B, K, 3, H, W), not warped
    reference_masks: Tensor | None  # (B, K, 1, H, W)
    reference_landmarks: Tensor  # (B, K, 68, 2) float32
    reference_count: Tensor  # (B,) int64
    reference_embeddings: Tensor  # (B, K, D) float32
    warped: Tensor | None  # (B, K, 3, H, W), warped onto `seen_landmarks`; None if `warp` was
    warped_masks: Tensor | None  # (B, K, 1, H, W)
    valid: Tensor | None  # (B, K, 1, H, W): 1 where `warped` comes from inside a real reference, else 0
    parsers: tuple[str, ...] = ()  # engines that made the masks, sorted; empty if the samples do not say
    has_given: bool = False  # some degraded faces are published images, whose thetas nobody knows


@torch.no_grad()
def to_device(
    batch: FaceBatch,
    device: torch.device,
    degrade: Degrade | None,
    warp: Warp | None,
    dtype: torch.dtype,
    value_range: tuple[float, float],
    points: PointsSource = TRUTH,
) -> DeviceBatch:
    """The batch on the device, finished there: computed in float32, images and masks returned as `dtype`.

    Raises ValueError if `points` are looked for in degraded faces and there are none.
    """
    batch = batch.to(device, non_blocking=True)
    target, references = _unit(batch.target), _unit(batch.references)
    low, high = value_range

    def scaled(images: Tensor | None) -> Any:
        return None if images is None else (images * (high - low) + low).to(dtype)

    masks = None if batch.reference_masks is None else _unit(batch.reference_masks)
    degraded = None if degrade is None else _degraded(batch, target, degrade)
    seen = _seen_landmarks(batch, degraded, points)
    warped, warped_masks, valid = (
        (None, None, None) if warp is None else _warp(batch, references, masks, seen, warp)
    )
    return DeviceBatch(
        keys=batch.keys,
        identities=batch.identities,
        thetas=batch.thetas,
        positions=batch.positions,
        program=batch.program,
        target=scaled(target),
        target_mask=None if batch.target_mask is None else _unit(batch.target_mask).to(dtype),
        degraded=scaled(degraded),
        landmarks=batch.landmarks,
        seen_landmarks=seen,
        points=points.kind,
        boxes=batch.boxes,
        embedding=batch.embedding,
        references=scaled(references),
        reference_masks=None if masks is None else masks.to(dtype),
        reference_landmarks=batch.reference_landmarks,
        reference_count=batch.reference_count,
        reference_embeddings=batch.reference_embeddings,
        warped=scaled(warped),
        warped_masks=None if warped_masks is None else warped_masks.to(dtype),
        valid=None if valid is None else valid.to(dtype),
        parsers=batch.parsers,
        has_given=batch.has_given,
    )


def _unit(pixels: Tensor) -> Tensor:
    """float32 in [0, 1] of uint8, channels first also in memory."""
    return pixels.to(torch.float32, memory_format=torch.contiguous_format) / 255


def _degraded(batch: FaceBatch, target: Tensor, degrade: Degrade) -> Tensor:
    if batch.degraded is None:
        return degrade(target, batch.program)
    degraded = replace(batch.degraded, pixels=_unit(batch.degraded.pixels))
    return apply_theta.resize_back(degraded, *target.shape[-2:])


def _seen_landmarks(batch: FaceBatch, degraded: Tensor | None, points: PointsSource) -> Tensor:
    if points.kind == "truth":
        return batch.landmarks
    if degraded is None:
        raise ValueError(
            "landmarks of degraded faces want degraded faces: give a degradation, or points TRUTH"
        )
    return points.find(batch.landmarks, degraded * 2 - 1, batch.seeds)


def _warp(
    batch: FaceBatch, references: Tensor, masks: Tensor | None, seen_landmarks: Tensor, warp: Warp
) -> tuple[Tensor, Tensor | None, Tensor]:
    around = references.shape[:2]
    layers = references if masks is None else torch.cat([references, masks], 2)
    points = seen_landmarks[:, None].expand_as(batch.reference_landmarks)
    warped, valid = warp(layers.flatten(0, 1), batch.reference_landmarks.flatten(0, 1), points.flatten(0, 1))
    there = torch.arange(around[1], device=valid.device) < batch.reference_count[:, None]
    warped, valid = (layer.view(*around, *layer.shape[1:]) for layer in (warped, valid))
    valid = valid * there[:, :, None, None, None]
    return warped[:, :, :3], None if masks is None else warped[:, :, 3:], valid
