"""Image grids: one row for each sample, one column for each kind of image, with its name above."""

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_LEAST_SIDE_PX = 96  # smaller images are enlarged so that the names fit above: choice
_TITLE_PX = 18
_GAP_PX = 2


def grid(pictures: Mapping[str, Tensor]) -> Image.Image:
    """A grid of images (B, 3, H, W) in [-1, 1] by name; values outside are clipped, NaN is black."""
    columns = {name: _pixels(images) for name, images in pictures.items()}
    first = next(iter(columns.values()))
    rows, height, width = first.shape[:3]
    scale = max(1, -(-_LEAST_SIDE_PX // width))
    cell = (width * scale + _GAP_PX, height * scale + _GAP_PX)
    sheet = Image.new("RGB", (len(columns) * cell[0], _TITLE_PX + rows * cell[1]), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, (name, images) in enumerate(columns.items()):
        pen.text((number * cell[0] + 2, 2), name, "black", font)
        for row, image in enumerate(images):
            shown = Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            sheet.paste(shown, (number * cell[0], _TITLE_PX + row * cell[1]))
    return sheet


def _pixels(images: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """(B, H, W, 3) uint8 of (B, 3, H, W) in [-1, 1]."""
    levels = ((images.detach().float() + 1) * 127.5).nan_to_num(0).clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
