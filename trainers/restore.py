"""Restore one degraded face with a trained model, with reference photos of the same person if it uses any."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional

from facerefs.trainers.identity.embedder import IdentityEmbedder
from facerefs.trainers.loop.grids import grid
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.metrics.psnr_ssim import quantise_uint8
from facerefs.trainers.models.common.restorer_input import with_landmarks
from facerefs.trainers.models.model import Restorer, RestorerInput


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face in FFHQ's alignment: image (S, S, 3) uint8 RGB, landmarks (68, 2) in pixels of the image."""

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


@torch.no_grad()
def restorer_input_of(
    model: Restorer,
    embedder: IdentityEmbedder | None,
    degraded: NDArray[np.uint8],
    find_landmarks: Callable[[Tensor], Tensor],
    references: Sequence[AlignedFace],
    device: torch.device,
) -> RestorerInput:
    """The model's input: a degraded face and the first references, as many as the model takes.

    degraded: (H, H, 3) uint8 RGB, aligned, of any side. find_landmarks: (1, 3, S, S) in [-1, 1] -> (1, 68, 2), with
    the model's side S. embedder: the one with which the model was trained, None if there was none. Raises ValueError
    if an image is not square, or if there are fewer references than the model takes.
    """
    wanted = model.data.references
    if len(references) < wanted:
        raise ValueError(f"the model wants {wanted} references of the person, and has {len(references)}")
    chosen = [_sized(face, model.size_px, device) for face in references[:wanted]]
    seen = _seen(_image(degraded, model.size_px, device), chosen, embedder)
    return with_landmarks(seen, find_landmarks(seen.degraded))


@torch.no_grad()
def restored(
    model: Restorer, networks: Networks, seen: RestorerInput, seed: int = 0, number: int = 0
) -> Tensor:
    """A restored face (1, 3, S, S) in about [-1, 1], the same in each call.

    number: index of the output; a stochastic model makes a different face for each, with random numbers from
    (seed, number).
    """
    seed_torch(seed, "restore", batch=number)
    return model.restore(networks, seen)


@torch.no_grad()
def pictured(
    model: Restorer, networks: Networks, seen: RestorerInput, outputs: Sequence[Tensor], seed: int = 0
) -> Image:
    """A row of images, each with its name above: the inputs, the model's intermediate images, and the outputs."""
    seed_torch(seed, "pictures")
    names = ["output"] if len(outputs) == 1 else [f"output {number}" for number in range(1, len(outputs) + 1)]
    return grid(
        {
            "degraded": seen.degraded,
            **({"reference": seen.references[:, 0]} if seen.references.shape[1] else {}),
            **model.pictures(networks, seen),
            **dict(zip(names, outputs, strict=True)),
        }
    )


def pixels_of(image: Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB pixels, as they are saved, of an image (1, 3, H, W) in [-1, 1]."""
    pixels: NDArray[np.uint8] = quantise_uint8(image)[0].to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return pixels


@dataclass(frozen=True, eq=False)
class _Reference:
    image: Tensor  # (1, 3, S, S)
    landmarks: Tensor  # (1, 68, 2)
    full: Tensor  # (1, 3, H, H): at its own size, for the embedder
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


def _seen(
    degraded: Tensor, references: Sequence[_Reference], embedder: IdentityEmbedder | None
) -> RestorerInput:
    """The model's input, except the landmarks and the warped references (zeros)."""
    side = degraded.shape[-1]
    nothing = degraded.new_zeros(1, 0)
    embeddings = [
        nothing if embedder is None else embedder(face.full, face.full_landmarks) for face in references
    ]
    count = len(references)
    return RestorerInput(
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
