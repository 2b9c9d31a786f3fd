"""One degraded face restored by a trained model, with photos of the same person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trainers.identity.embedder import Embedder
from trainers.loop.trainee import Networks
from trainers.models.model import Restorer, Seen
from trainers.models.seen import with_landmarks


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face in FFHQ's alignment: image (S, S, 3) uint8 RGB, landmarks (68, 2) in its pixels."""

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


@torch.no_grad()
def restore(
    model: Restorer,
    networks: Networks,
    embedder: Embedder | None,
    degraded: NDArray[np.uint8],
    find_landmarks: Callable[[Tensor], Tensor],
    references: Sequence[AlignedFace],
) -> NDArray[np.uint8]:
    """The restored face (S, S, 3) uint8 RGB at the model's side S.

    degraded: (H, H, 3) uint8 RGB, aligned, of any side. find_landmarks: (1, 3, S, S) in [-1, 1] -> (1, 68, 2).
    embedder: the one whose embeddings the model was trained with, None if with none. Raises ValueError if an image is
    not square, or if there are fewer references than the model wants.
    """
    wanted = model.data.references
    if len(references) < wanted:
        raise ValueError(f"the model wants {wanted} references of the person, and has {len(references)}")
    device = next(next(iter(networks.values())).parameters()).device
    chosen = [_sized(face, model.size_px, device) for face in references[:wanted]]
    seen = _seen(_image(degraded, model.size_px, device), chosen, embedder)
    restored = model.restore(networks, with_landmarks(seen, find_landmarks(seen.degraded)))
    pixels: NDArray[np.uint8] = (
        ((restored[0].float().clamp(-1, 1) + 1) * 127.5)
        .round()
        .to(torch.uint8)
        .permute(1, 2, 0)
        .cpu()
        .numpy()
    )
    return pixels


@dataclass(frozen=True, eq=False)
class _Reference:
    image: Tensor  # (1, 3, S, S)
    landmarks: Tensor  # (1, 68, 2)
    full: Tensor  # (1, 3, H, H): embedded as it is
    full_landmarks: Tensor


def _sized(face: AlignedFace, size_px: int, device: torch.device) -> _Reference:
    points = torch.from_numpy(np.asarray(face.landmarks, np.float32)).to(device)[None]
    scale = size_px / face.image.shape[0]
    return _Reference(
        image=_image(face.image, size_px, device),
        landmarks=(points + 0.5) * scale - 0.5,
        full=_image(face.image, face.image.shape[0], device),
        full_landmarks=points,
    )


def _image(pixels: NDArray[np.uint8], size_px: int, device: torch.device) -> Tensor:
    """(H, H, 3) uint8 -> (1, 3, size_px, size_px) in [-1, 1]; a smaller face is enlarged as in training, bilinear."""
    height, width = pixels.shape[:2]
    if height != width:
        raise ValueError(f"an aligned face is square, and this one is {width}x{height} px")
    image = torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    if height > size_px and height % size_px == 0:
        return functional.avg_pool2d(image, height // size_px)
    return functional.interpolate(
        image, (size_px, size_px), mode="bilinear", align_corners=False, antialias=height > size_px
    )


def _seen(degraded: Tensor, references: Sequence[_Reference], embedder: Embedder | None) -> Seen:
    """What the model sees, but for the warp."""
    side = degraded.shape[-1]
    nothing = degraded.new_zeros(1, 0)
    embeddings = [
        nothing if embedder is None else embedder(face.full, face.full_landmarks) for face in references
    ]
    count = len(references)
    return Seen(
        degraded=degraded,
        references=_stacked([face.image for face in references], degraded.new_zeros(1, 0, 3, side, side)),
        reference_embeddings=_stacked(embeddings, degraded.new_zeros(1, 0, 0)),
        reference_landmarks=_stacked(
            [face.landmarks for face in references], degraded.new_zeros(1, 0, 68, 2)
        ),
        reference_masks=None,
        warped=degraded.new_zeros(1, count, 3, side, side),
        valid=degraded.new_ones(1, count, 1, side, side),
        landmarks=degraded.new_zeros(1, 68, 2),
    )


def _stacked(parts: Sequence[Tensor], none: Tensor) -> Tensor:
    return torch.stack(list(parts), 1) if parts else none
