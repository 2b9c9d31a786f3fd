"""Held-out faces of all arms of a model, beneath each other."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TITLE_PX = 22


def beneath(grids: Mapping[str, Path], name: str) -> Image.Image:
    """Pictures beneath each other, each with its title above."""
    images = {title: Image.open(path) for title, path in grids.items()}
    width = max(image.width for image in images.values())
    sheet = Image.new("RGB", (width, sum(image.height + TITLE_PX for image in images.values())), "white")
    pen, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(14), 0
    for title, image in images.items():
        pen.text((2, top + 2), f"{name}, {title}", "black", font)
        sheet.paste(image, (0, top + TITLE_PX))
        top += image.height + TITLE_PX
    return sheet
