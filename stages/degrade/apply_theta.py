"""Apply theta: the one implementation of degradation, for shards, for training and for ReFine's cycle term.

Operations run in theta's order: `x_d = JPEG_q((y * k) down_s + n)`. Where this differs from GFPGAN's loader:

- The degraded face is what the last operation leaves, at low resolution. So colour operations stand before
  JPEG (GFPGAN: after JPEG and resizing back), and the stored JPEG is the whole degraded face. A constant
  shift and luma commute with resizing, and with JPEG but for its rounding and for clipping.
- JPEG quality is a whole number (GFPGAN draws a real one, which OpenCV truncates).

`degrade` is for networks: batched, differentiable, on any device, in the precision of its images. `degrade_exactly` is
for files: in double precision, with libjpeg itself, rounded once, to 8 bits. That is what makes its bytes the same
for any number of threads and any processor: rounding errors there are about 1e-15, and a pixel would have to lie that
close to a half to be rounded otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.operations import Jpeg
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.apply_operation import apply
from facerefs.stages.degrade.operations.jpeg import compress, decompress
from facerefs.stages.degrade.operations.padded_batch import Canvas, Sizes, sizes_of
from facerefs.stages.degrade.operations.resize import resize
from facerefs.stages.degrade.program import Program, Run, compile_thetas

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
_ON_A_CPU = 1  # image at once: more gain nothing there, and share a canvas as large as the largest of them


def degrade(images: Tensor, thetas: Program | Sequence[Theta]) -> Canvas:
    """Degrade each image by its own theta.

    images: (B, 3, H, W) floating, RGB in [0, 1], on any device; half precisions are computed in float32. thetas: one
    for each, or the program that `compile_thetas` made of them (a loader's worker has time for that). Returns images
    of differing sizes in the same dtype, differentiable in `images`. Raises ValueError if the images are of another
    shape or kind than the program is for.
    """
    program = _program(thetas, images)
    done = [(images, pixels) for images, pixels, _ in _runs(images, program)]
    return Canvas(_merged(done, program.sizes.height, program.sizes.width), program.sizes)


def degrade_and_restore(images: Tensor, thetas: Program | Sequence[Theta]) -> Tensor:
    """The input of a network: `degrade`, then `restored` to the images' own size; on a CPU cheaper than both."""
    height, width = images.shape[-2:]
    done = [
        (chosen, restored(Canvas(pixels, sizes), height, width))
        for chosen, pixels, sizes in _runs(images, _program(thetas, images))
    ]
    return _merged(done, height, width)


def restored(canvas: Canvas, height: int, width: int) -> Tensor:
    """Degraded faces back at full size, bilinear, as the papers feed them to their networks.

    canvas: floating. Returns (B, 3, height, width) in its dtype, not rounded to 8 bits.
    """
    if canvas.sizes.alike:  # torch's own does the same in a fifth of the time
        inside = canvas.pixels[..., : canvas.sizes.height, : canvas.sizes.width]
        return F.interpolate(inside, (height, width), mode="bilinear", align_corners=False, antialias=False)
    full = sizes_of([(height, width)] * len(canvas.pixels)).to(canvas.pixels.device)
    return resize(canvas.pixels, canvas.sizes, full, "bilinear")


@dataclass(frozen=True)
class Degraded:
    """A degraded face at its low resolution, as theta's last operation left it."""

    image: UInt8Image  # (h, w, 3) RGB
    jpeg: bytes | None  # the file that decodes to `image`, if the last operation was JPEG


def degrade_exactly(images: Tensor, thetas: Sequence[Theta]) -> list[Degraded]:
    """Degrade each image by its own theta, to bytes that never change.

    images: (B, 3, H, W) floating, RGB in [0, 1], on any device. Raises ValueError if the images have another shape or
    range, or if there is not one theta for each.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images are (B, 3, H, W) and floating, not {tuple(images.shape)} {images.dtype}")
    if len(images) != len(thetas):
        raise ValueError(f"{len(images)} images have {len(thetas)} thetas; each needs one")
    if not bool(((images >= 0) & (images <= 1)).all()):  # false for NaN
        raise ValueError("images have values outside [0, 1]")
    return [_exactly(image[None].double(), theta) for image, theta in zip(images, thetas, strict=True)]


def _program(thetas: Program | Sequence[Theta], images: Tensor) -> Program:
    """The program for these images, on their device."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images are (B, 3, H, W) and floating, not {tuple(images.shape)} {images.dtype}")
    height, width = images.shape[-2:]
    if not isinstance(thetas, Program):
        thetas = compile_thetas(thetas, height, width, _ON_A_CPU if images.device.type == "cpu" else None)
    count = len(thetas.sizes.shapes)
    if (len(images), height, width) != (count, thetas.height, thetas.width):
        raise ValueError(
            f"{len(images)} images of {height} x {width} do not fit a program for {count} of "
            f"{thetas.height} x {thetas.width}"
        )
    return thetas.to(images.device)


def _runs(images: Tensor, program: Program) -> Iterator[tuple[Tensor | None, Tensor, Sizes]]:
    """Which images of the batch, what became of them, and their sizes."""
    work = images.float() if images.dtype in (torch.float16, torch.bfloat16) else images
    for run in program.runs:
        chosen = work if run.images is None else work.index_select(0, run.images)
        with torch.autocast(images.device.type, enabled=False):
            pixels = _run(chosen, run)
        yield run.images, pixels.clamp(0, 1).to(images.dtype), run.sizes  # resizing may leave [0, 1]


def _merged(done: list[tuple[Tensor | None, Tensor]], height: int, width: int) -> Tensor:
    """The images of all runs, in the order of the batch."""
    if done[0][0] is None:
        return done[0][1]
    count = sum(len(pixels) for _, pixels in done)
    merged = _blank(count, height, width, done[0][1])
    for images, pixels in done:
        merged[images, :, : pixels.shape[2], : pixels.shape[3]] = pixels
    return merged


def _blank(count: int, height: int, width: int, like: Tensor) -> Tensor:
    """Zeros. On a CPU in memory of NumPy's, which asks for huge pages: a sixth of the time of torch's own."""
    if like.device.type == "cpu" and like.dtype in _NUMPY:
        return torch.from_numpy(np.zeros((count, 3, height, width), _NUMPY[like.dtype]))
    return like.new_zeros(count, 3, height, width)


def _run(pixels: Tensor, run: Run) -> Tensor:
    for step in run.steps:
        if step.images is None:
            pixels = apply(step, pixels)
            continue
        chosen = pixels.index_select(0, step.images)[..., : step.before.height, : step.before.width]
        pixels = _fitted(pixels, step.canvas).index_copy(
            0, step.images, _fitted(apply(step, chosen), step.canvas)
        )
    return pixels


def _fitted(pixels: Tensor, canvas: tuple[int, int]) -> Tensor:
    """On a canvas of another size: what is cut off or added belongs to no image."""
    height, width = canvas
    cut = pixels[..., :height, :width]
    return F.pad(cut, (0, width - cut.shape[3], 0, height - cut.shape[2]))


def _exactly(image: Tensor, theta: Theta) -> Degraded:
    jpeg = None
    (run,) = compile_thetas([theta], image.shape[2], image.shape[3]).runs
    for step in run.steps:
        if step.kind.operation is Jpeg:
            chroma = cast(Literal["4:2:0", "4:4:4"], step.kind.choice)
            jpeg = compress(_pixels(image), int(step.values["quality"]), chroma)
            image = _tensor(decompress(jpeg)).to(image)
        else:
            jpeg = None
            image = apply(step, image)
    return Degraded(_pixels(image), jpeg)


def _pixels(image: Tensor) -> UInt8Image:
    """(1, 3, H, W) in about [0, 1] to (H, W, 3) uint8, rounding halves to even, as OpenCV does."""
    rounded = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    pixels: UInt8Image = rounded.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


def _tensor(image: UInt8Image) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) float64 in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255
