"""Images of different sizes in one tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Sizes:
    """Heights and widths of a batch of images: on the images' device, and here, to save a wait for the device."""

    shapes: tuple[tuple[int, int], ...]
    heights: Tensor  # (B,) int64
    widths: Tensor  # (B,) int64

    @cached_property
    def height(self) -> int:
        """The largest."""
        return max(height for height, _ in self.shapes)

    @cached_property
    def width(self) -> int:
        """The largest."""
        return max(width for _, width in self.shapes)

    @cached_property
    def alike(self) -> bool:
        """Whether all images are of one size."""
        return len(set(self.shapes)) <= 1

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Sizes":
        """The same on another device."""
        heights, widths = (side.to(device, non_blocking=non_blocking) for side in (self.heights, self.widths))
        return Sizes(self.shapes, heights, widths)

    def pin_memory(self) -> "Sizes":
        """The same in page-locked memory."""
        return Sizes(self.shapes, self.heights.pin_memory(), self.widths.pin_memory())


def sizes_of(shapes: Sequence[tuple[int, int]]) -> Sizes:
    """Sizes from pairs (height, width)."""
    heights, widths = torch.tensor(shapes).view(-1, 2).unbind(1)
    return Sizes(tuple(shapes), heights.contiguous(), widths.contiguous())


@dataclass(frozen=True)
class Canvas:
    """Images of different sizes, each at the top left of its own canvas; what lies beyond belongs to no image."""

    pixels: Tensor  # (B, 3, H, W) RGB: floating in [0, 1], or uint8
    sizes: Sizes

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Canvas":
        """The same on another device."""
        pixels = self.pixels.to(device, non_blocking=non_blocking)
        return Canvas(pixels, self.sizes.to(device, non_blocking))

    def pin_memory(self) -> "Canvas":
        """The same in page-locked memory, from which a GPU copies on its own."""
        return Canvas(self.pixels.pin_memory(), self.sizes.pin_memory())


def canvas_of(images: Sequence[NDArray[np.uint8]]) -> Canvas:
    """Put (h, w, 3) uint8 images onto one uint8 canvas, as large as the largest of them."""
    sizes = sizes_of([(image.shape[0], image.shape[1]) for image in images])
    pixels = np.zeros((len(images), 3, sizes.height, sizes.width), np.uint8)
    for canvas, image in zip(pixels, images, strict=True):
        height, width = image.shape[:2]
        canvas[:, :height, :width] = image.transpose(2, 0, 1)
    return Canvas(torch.from_numpy(pixels), sizes)


def take_rows(images: Tensor, rows: Tensor) -> Tensor:
    """Rows of each image by its own indices: (B, C, H, W) and (B, R) int64 -> (B, C, R, W)."""
    batch, channels, height, width = images.shape
    if batch == 1:
        return images.index_select(2, rows[0])
    first = torch.arange(batch * channels, device=images.device).view(batch, channels, 1) * height
    flat = (first + rows[:, None]).reshape(-1)
    return images.reshape(-1, width).index_select(0, flat).view(batch, channels, -1, width)


def take_columns(images: Tensor, columns: Tensor) -> Tensor:
    """Columns of each image by its own indices: (B, C, H, W) and (B, R) int64 -> (B, C, H, R)."""
    batch, channels, height, _ = images.shape
    return images.gather(3, columns[:, None, None].expand(batch, channels, height, -1))


def mirror(images: Tensor, sizes: Sizes) -> Tensor:
    """Left and right of each image exchanged."""
    if sizes.alike:
        return images.flip(3)
    return take_columns(images, sizes.widths[:, None] - 1 - up_to(sizes.widths, images.shape[3]))


def repeat_edges(images: Tensor, sizes: Sizes, height: int, width: int) -> Tensor:
    """The images on a canvas of height x width, their edges repeated; what lay beyond them is not looked at."""
    if sizes.alike:
        inside = images[..., : min(height, sizes.height), : min(width, sizes.width)]
        if inside.shape[2:] == (height, width):
            return inside
        return F.pad(inside, (0, width - inside.shape[3], 0, height - inside.shape[2]), mode="replicate")
    return take_columns(take_rows(images, up_to(sizes.heights, height)), up_to(sizes.widths, width))


def up_to(lengths: Tensor, count: int) -> Tensor:
    """0, 1, 2 ... for each, up to its own last index, which is then repeated: (B,) -> (B, count)."""
    return torch.minimum(torch.arange(count, device=lengths.device), lengths[:, None] - 1)
