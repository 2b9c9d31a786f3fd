"""A padded batch: images of different sizes in one tensor."""

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
    """Heights and widths of a batch of images: on the device, and as tuples, to read them without waiting."""

    shapes: tuple[tuple[int, int], ...]  # (height, width) of each image
    heights: Tensor  # (B,) int64
    widths: Tensor  # (B,) int64

    @cached_property
    def height(self) -> int:
        """The largest height."""
        return max(height for height, _ in self.shapes)

    @cached_property
    def width(self) -> int:
        """The largest width."""
        return max(width for _, width in self.shapes)

    @cached_property
    def same_size(self) -> bool:
        """Whether all images are of one size."""
        return len(set(self.shapes)) <= 1

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Sizes":
        """The sizes on another device."""
        heights, widths = (side.to(device, non_blocking=non_blocking) for side in (self.heights, self.widths))
        return Sizes(self.shapes, heights, widths)

    def pin_memory(self) -> "Sizes":
        """The sizes in page-locked memory."""
        return Sizes(self.shapes, self.heights.pin_memory(), self.widths.pin_memory())


def sizes_of(shapes: Sequence[tuple[int, int]]) -> Sizes:
    """The sizes of pairs (height, width)."""
    heights, widths = torch.tensor(shapes).view(-1, 2).unbind(1)
    return Sizes(tuple(shapes), heights.contiguous(), widths.contiguous())


@dataclass(frozen=True)
class PaddedBatch:
    """Images of different sizes, each at the top left, padded to the largest; the padding may hold any values."""

    pixels: Tensor  # (B, 3, H, W) RGB: floating in [0, 1], or uint8
    sizes: Sizes

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "PaddedBatch":
        """The batch on another device."""
        pixels = self.pixels.to(device, non_blocking=non_blocking)
        return PaddedBatch(pixels, self.sizes.to(device, non_blocking))

    def pin_memory(self) -> "PaddedBatch":
        """The batch in page-locked memory, from which a GPU can copy in the background."""
        return PaddedBatch(self.pixels.pin_memory(), self.sizes.pin_memory())


def pad_batch(images: Sequence[NDArray[np.uint8]]) -> PaddedBatch:
    """A uint8 batch of (h, w, 3) uint8 images, padded with zeros to the largest height and width."""
    sizes = sizes_of([(image.shape[0], image.shape[1]) for image in images])
    pixels = np.zeros((len(images), 3, sizes.height, sizes.width), np.uint8)
    for padded, image in zip(pixels, images, strict=True):
        height, width = image.shape[:2]
        padded[:, :height, :width] = image.transpose(2, 0, 1)
    return PaddedBatch(torch.from_numpy(pixels), sizes)


def take_rows(images: Tensor, rows: Tensor) -> Tensor:
    """Chosen rows of each image: (B, C, H, W) and indices (B, R) int64 -> (B, C, R, W)."""
    batch, channels, height, width = images.shape
    if batch == 1:
        return images.index_select(2, rows[0])
    first = torch.arange(batch * channels, device=images.device).view(batch, channels, 1) * height
    flat = (first + rows[:, None]).reshape(-1)
    return images.reshape(-1, width).index_select(0, flat).view(batch, channels, -1, width)


def take_columns(images: Tensor, columns: Tensor) -> Tensor:
    """Chosen columns of each image: (B, C, H, W) and indices (B, R) int64 -> (B, C, H, R)."""
    batch, channels, height, _ = images.shape
    if batch == 1:
        return images.index_select(3, columns[0])
    return images.gather(3, columns[:, None, None].expand(batch, channels, height, -1))


def mirror(images: Tensor, sizes: Sizes) -> Tensor:
    """The images mirrored left to right, each within its own width."""
    if sizes.same_size:
        return images.flip(3)
    return take_columns(images, sizes.widths[:, None] - 1 - clamped_indices(sizes.widths, images.shape[3]))


def repeat_edges(images: Tensor, sizes: Sizes, height: int, width: int) -> Tensor:
    """The images padded to height x width by repeating their edge pixels; the old padding is not used."""
    if sizes.same_size:
        inside = images[..., : min(height, sizes.height), : min(width, sizes.width)]
        if inside.shape[2:] == (height, width):
            return inside
        return F.pad(inside, (0, width - inside.shape[3], 0, height - inside.shape[2]), mode="replicate")
    return take_columns(
        take_rows(images, clamped_indices(sizes.heights, height)), clamped_indices(sizes.widths, width)
    )


def clamped_indices(lengths: Tensor, count: int) -> Tensor:
    """For each length the indices 0, 1, 2 ... up to length - 1, which is then repeated: (B,) -> (B, count)."""
    return torch.minimum(torch.arange(count, device=lengths.device), lengths[:, None] - 1)
