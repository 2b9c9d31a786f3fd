"""Apply theta to images: the one implementation of degradation, for shards, training and ReFine's cycle loss.

Operations run in theta's order: `x_d = JPEG_q((y * k) down_s + n)`. Where this differs from GFPGAN's loader:

- The degraded face is the result of the last operation, at low resolution. So colour operations come before
  JPEG (GFPGAN: after JPEG and resizing back), and the stored JPEG is the whole degraded face. A constant
  shift and luma commute with resizing, and with JPEG except for rounding and clipping.
- JPEG quality is an integer (GFPGAN draws a real number, which OpenCV truncates).

`degrade` is for networks: batched, differentiable, on any device, in the precision of its images. `degrade_exactly` is
for files: with the pixels of double precision (`rounded_alike`), with libjpeg itself, rounded once to 8 bits. So its
bytes are the same for any number of threads and on any processor: rounding errors are about 1e-15, and a pixel would
have to lie that close to a half to be rounded differently.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.operations import Jpeg
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.apply_operation import apply_step
from facerefs.stages.degrade.operations.jpeg import compress, decompress
from facerefs.stages.degrade.operations.padded_batch import PaddedBatch, Sizes, sizes_of
from facerefs.stages.degrade.operations.resize import resize
from facerefs.stages.degrade.program import ImageGroup, Program, compile_thetas
from facerefs.stages.degrade.rounded_alike import begins_with_blur_and_noise, blurred_with_noise

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
_AT_ONCE_ON_CPU = 1  # image: larger groups are no faster there, and are padded to their largest image


def degrade(images: Tensor, thetas: Program | Sequence[Theta]) -> PaddedBatch:
    """The degraded images, each by its own theta, at their low resolutions.

    images: (B, 3, H, W) floating, RGB in [0, 1], on any device; half precisions are computed in float32. thetas: one
    for each image, or the program that `compile_thetas` made of them, for example in a loader's worker. The result has
    the same dtype and is differentiable in `images`. Raises ValueError if the program is for images of another shape.
    """
    program = _program(thetas, images)
    done = [(images, pixels) for images, pixels, _ in _degraded_groups(images, program)]
    return PaddedBatch(_merged(done, program.sizes.height, program.sizes.width), program.sizes)


def degrade_and_resize_back(images: Tensor, thetas: Program | Sequence[Theta]) -> Tensor:
    """The input of a network: `degrade`, then `resize_back` to the images' size; on a CPU faster than the two calls."""
    height, width = images.shape[-2:]
    done = [
        (chosen, resize_back(PaddedBatch(pixels, sizes), height, width))
        for chosen, pixels, sizes in _degraded_groups(images, _program(thetas, images))
    ]
    return _merged(done, height, width)


def resize_back(degraded: PaddedBatch, height: int, width: int) -> Tensor:
    """Degraded faces resized back to full size, bilinear, as the papers feed them to their networks.

    degraded: floating. Returns (B, 3, height, width) in its dtype, not rounded to 8 bits.
    """
    if degraded.sizes.same_size:  # torch's own function does the same in a fifth of the time
        inside = degraded.pixels[..., : degraded.sizes.height, : degraded.sizes.width]
        return F.interpolate(inside, (height, width), mode="bilinear", align_corners=False, antialias=False)
    full = sizes_of([(height, width)] * len(degraded.pixels)).to(degraded.pixels.device, non_blocking=True)
    return resize(degraded.pixels, degraded.sizes, full, "bilinear")


@dataclass(frozen=True)
class DegradedFace:
    """A degraded face at its low resolution: the result of the last operation of theta."""

    made: UInt8Image | bytes  # (h, w, 3) RGB; a JPEG file if the last operation was JPEG

    @property
    def jpeg(self) -> bytes | None:
        """The file that decodes to `image`; None if the last operation was not JPEG."""
        return self.made if isinstance(self.made, bytes) else None

    @cached_property
    def image(self) -> UInt8Image:
        """The face, (h, w, 3) RGB. A JPEG is decoded when somebody asks: a shard holds the file alone."""
        return decompress(self.made) if isinstance(self.made, bytes) else self.made


def degrade_exactly(images: Tensor, thetas: Sequence[Theta]) -> list[DegradedFace]:
    """The degraded faces, each by its own theta, with the same bytes on every machine.

    images: (B, 3, H, W) floating, RGB in [0, 1], on any device. Raises ValueError if the images have another shape or
    range, or if the number of thetas differs.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images are (B, 3, H, W) and floating, not {tuple(images.shape)} {images.dtype}")
    if len(images) != len(thetas):
        raise ValueError(f"{len(images)} images have {len(thetas)} thetas; each needs one")
    low, high = images.aminmax() if images.numel() else (0, 1)
    if not (low >= 0 and high <= 1):  # true for NaN
        raise ValueError("images have values outside [0, 1]")
    return [_exactly(image[None], theta) for image, theta in zip(images, thetas, strict=True)]


def _program(thetas: Program | Sequence[Theta], images: Tensor) -> Program:
    """The program for these images, on their device. Raises ValueError if it does not fit them."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images are (B, 3, H, W) and floating, not {tuple(images.shape)} {images.dtype}")
    height, width = images.shape[-2:]
    if not isinstance(thetas, Program):
        thetas = compile_thetas(
            thetas, height, width, _AT_ONCE_ON_CPU if images.device.type == "cpu" else None
        )
    count = len(thetas.sizes.shapes)
    if (len(images), height, width) != (count, thetas.height, thetas.width):
        raise ValueError(
            f"{len(images)} images of {height} x {width} do not fit a program for {count} of "
            f"{thetas.height} x {thetas.width}"
        )
    return thetas.to(images.device)


def _degraded_groups(images: Tensor, program: Program) -> Iterator[tuple[Tensor | None, Tensor, Sizes]]:
    """For each group: the indices of its images in the batch, the degraded images, and their sizes."""
    work = images.float() if images.dtype in (torch.float16, torch.bfloat16) else images
    for group in program.groups:
        chosen = work if group.images is None else work.index_select(0, group.images)
        with torch.autocast(images.device.type, enabled=False):
            pixels = _run_steps(chosen, group)
        yield group.images, pixels.clamp(0, 1).to(images.dtype), group.sizes  # resizing may leave [0, 1]


def _merged(done: list[tuple[Tensor | None, Tensor]], height: int, width: int) -> Tensor:
    """The images of all groups, in the order of the batch."""
    if done[0][0] is None:
        return done[0][1]
    count = sum(len(pixels) for _, pixels in done)
    merged = _zeros(count, height, width, done[0][1])
    for images, pixels in done:
        merged[images, :, : pixels.shape[2], : pixels.shape[3]] = pixels
    return merged


def _zeros(count: int, height: int, width: int, like: Tensor) -> Tensor:
    """Zeros (count, 3, height, width). On a CPU from NumPy, which uses huge pages: a sixth of the time of torch."""
    if like.device.type == "cpu" and like.dtype in _NUMPY:
        return torch.from_numpy(np.zeros((count, 3, height, width), _NUMPY[like.dtype]))
    return like.new_zeros(count, 3, height, width)


def _run_steps(pixels: Tensor, group: ImageGroup) -> Tensor:
    for step in group.steps:
        if step.images is None:
            pixels = apply_step(step, pixels)
            continue
        chosen = pixels.index_select(0, step.images)[..., : step.before.height, : step.before.width]
        pixels = _resize_padding(pixels, step.padded_size).index_copy(
            0, step.images, _resize_padding(apply_step(step, chosen), step.padded_size)
        )
    return pixels


def _resize_padding(pixels: Tensor, padded_size: tuple[int, int]) -> Tensor:
    """The batch padded to another size: what is cut off or added belongs to no image."""
    height, width = padded_size
    cut = pixels[..., :height, :width]
    return F.pad(cut, (0, width - cut.shape[3], 0, height - cut.shape[2]))


def _exactly(image: Tensor, theta: Theta) -> DegradedFace:
    (group,) = compile_thetas([theta], image.shape[2], image.shape[3]).groups
    steps, jpeg = group.steps, None
    if begins_with_blur_and_noise(steps):
        image, steps = blurred_with_noise(image, steps[0], steps[1]), steps[2:]
    image = image.double()
    for step in steps:
        if jpeg is not None:
            image, jpeg = _tensor(decompress(jpeg)).to(image), None
        if step.kind.operation is Jpeg:
            chroma = cast(Literal["4:2:0", "4:4:4"], step.kind.choice)
            jpeg = compress(_pixels(image), int(step.values["quality"]), chroma)
        else:
            image = apply_step(step, image)
    return DegradedFace(jpeg or _pixels(image))


def _pixels(image: Tensor) -> UInt8Image:
    """(H, W, 3) uint8 of (1, 3, H, W) in about [0, 1]; halves are rounded to even, as OpenCV does."""
    rounded = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    pixels: UInt8Image = rounded.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


def _tensor(image: UInt8Image) -> Tensor:
    """(1, 3, H, W) float64 in [0, 1] of (H, W, 3) uint8."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255
