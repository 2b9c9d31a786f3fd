"""Collate prepared samples into one batch of tensors, with pixels as uint8, to be sent to a device."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.operations.padded_batch import PaddedBatch, pad_batch
from facerefs.stages.degrade.program import Program, compile_thetas
from facerefs.trainers.stream.samples.prepare import Prepared
from facerefs.trainers.stream.samples.sample import Face
from facerefs.trainers.stream.workers.shared import empty_shared


@dataclass(frozen=True, eq=False)
class FaceBatch:
    """B samples with K references each. Images are stored in memory as (H, W, 3), so that a face is one plain copy.

    If a sample has fewer than K references, the rest are black images with the target's landmarks and embeddings of
    zeros; `reference_count` is the number of real ones. A face without an embedding has zeros, too; D is 0 if none has
    one. Masks are None if no face of the batch has one; the mask of a face without one is all 255. `parsers` are the
    engines that made the masks, sorted.
    """

    keys: tuple[str, ...]
    identities: tuple[str, ...]
    thetas: tuple[Theta, ...]
    positions: Tensor  # (B,) int64, in the stream
    seeds: tuple[int, ...]  # 0 to 2**63 - 1, of each draw: for what the device draws
    target: Tensor  # (B, 3, H, W) uint8 RGB
    landmarks: Tensor  # (B, 68, 2) float32, pixels
    boxes: Tensor  # (B, 3, 4) float32: left eye, right eye, mouth
    embedding: Tensor  # (B, D) float32, of the target
    target_mask: Tensor | None  # (B, 1, H, W) uint8
    references: Tensor  # (B, K, 3, H, W) uint8 RGB
    reference_landmarks: Tensor  # (B, K, 68, 2) float32
    reference_count: Tensor  # (B,) int64
    reference_embeddings: Tensor  # (B, K, D) float32
    reference_masks: Tensor | None  # (B, K, 1, H, W) uint8
    degraded: PaddedBatch | None  # uint8, as stored; None if the target is degraded by `program`
    program: Program  # the thetas, compiled
    parsers: tuple[str, ...] = ()
    has_given: bool = False  # some degraded faces are published images, whose thetas nobody knows

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "FaceBatch":
        """The batch on another device."""
        return self._each(lambda part: part.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "FaceBatch":
        """The batch in page-locked memory; called by torch's DataLoader."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, move: Any) -> "FaceBatch":
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: move(part)
            for name, part in parts.items()
            if isinstance(part, Tensor | PaddedBatch | Program)
        }
        return replace(self, **moved)


def collate(prepared: Sequence[Prepared], references: int, at_once: int | None = None) -> FaceBatch:
    """One batch of samples, padded to K = `references` references each; use the number set in the preparation.

    at_once: how many images are degraded together, see `compile_thetas`: None for a GPU, 1 for a CPU.
    Raises ValueError if faces differ in size or embeddings in length, or if only some samples hold a stored degraded
    face.
    """
    samples = [one.sample for one in prepared]
    targets = [sample.target for sample in samples]
    faces = [face for sample in samples for face in (sample.target, *sample.references)]
    height, width = _only({face.image.shape[:2] for face in faces}, "sizes of faces")
    dimensions = _only({len(face.embedding) for face in faces} - {0} or {0}, "lengths of embeddings")
    slots = [
        sample.references[i] if i < len(sample.references) else None
        for sample in samples
        for i in range(references)
    ]
    around = (len(samples), references)
    landmarks = _stacked([target.landmarks for target in targets])
    reference_landmarks = landmarks[:, None].repeat(1, references, 1, 1)
    for place, face in enumerate(slots):
        if face is not None:
            reference_landmarks[divmod(place, references)] = torch.from_numpy(face.landmarks)
    masks = _masks(slots, height, width)
    thetas = tuple(sample.theta for sample in samples)
    return FaceBatch(
        keys=tuple(sample.key for sample in samples),
        identities=tuple(sample.identity for sample in samples),
        thetas=thetas,
        positions=torch.tensor([one.position for one in prepared]),
        seeds=tuple(one.seed for one in prepared),
        target=_images(targets, height, width),
        landmarks=landmarks,
        boxes=_stacked([sample.boxes for sample in samples]),
        embedding=_embeddings(targets, dimensions),
        target_mask=_masks(targets, height, width),
        references=_grouped(_images(slots, height, width), around),
        reference_landmarks=reference_landmarks,
        reference_count=torch.tensor([len(sample.references) for sample in samples]),
        reference_embeddings=_grouped(_embeddings(slots, dimensions), around),
        reference_masks=None if masks is None else _grouped(masks, around),
        degraded=_padded([sample.degraded for sample in samples]),
        program=compile_thetas(thetas, height, width, at_once),
        parsers=tuple(sorted({face.parser for face in faces if face.parser})),
        has_given=any(sample.is_given for sample in samples),
    )


def _only(values: set[Any], what: str) -> Any:
    if len(values) != 1:
        raise ValueError(f"a batch cannot hold several {what}: {', '.join(map(str, sorted(values)))}")
    return values.pop()


def _grouped(tensor: Tensor, around: tuple[int, int]) -> Tensor:
    """(B, K, ...) of (B K, ...)."""
    return tensor.view(*around, *tensor.shape[1:])


def _stacked(arrays: Sequence[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _embeddings(faces: Sequence[Face | None], dimensions: int) -> Tensor:
    """(N, D) float32; zeros for None, and for a face without an embedding."""
    vectors = np.zeros((len(faces), dimensions), np.float32)
    for place, face in zip(vectors, faces, strict=True):
        if face is not None and len(face.embedding):
            place[...] = face.embedding
    return torch.from_numpy(vectors)


def _images(faces: Sequence[Face | None], height: int, width: int) -> Tensor:
    """(N, 3, H, W) uint8, with one copy per face; None is black."""
    pixels = empty_shared(len(faces), height, width, 3)
    for place, face in zip(pixels.numpy(), faces, strict=True):
        place[...] = 0 if face is None else face.image
    return pixels.permute(0, 3, 1, 2)


def _masks(faces: Sequence[Face | None], height: int, width: int) -> Tensor | None:
    """(N, 1, H, W) uint8, or None if no face has a mask; 255 for a face without a mask, 0 for None."""
    if all(face is None or face.mask is None for face in faces):
        return None
    masks = empty_shared(len(faces), 1, height, width)
    for place, face in zip(masks.numpy(), faces, strict=True):
        place[...] = 0 if face is None else 255 if face.mask is None else face.mask
    return masks


def _padded(images: Sequence[NDArray[np.uint8] | None]) -> PaddedBatch | None:
    stored = [image for image in images if image is not None]
    if len(stored) not in (0, len(images)):
        raise ValueError(f"a batch cannot mix {len(stored)} stored degraded faces with fresh degradations")
    return pad_batch(stored) if stored else None
