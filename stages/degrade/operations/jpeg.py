"""JPEG files by libjpeg, through Pillow."""

import io
from typing import Literal

import numpy as np
from PIL import Image

from facerefs.schemas.arrays import UInt8Image


def compress(image: UInt8Image, quality: int, chroma: Literal["4:2:0", "4:4:4"]) -> bytes:
    """The JPEG file of an image: libjpeg's standard tables and accurate integer DCT, no metadata."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=chroma)
    return file.getvalue()


def decompress(data: bytes) -> UInt8Image:
    """The image of a JPEG file that `compress` made."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as file:
        return np.asarray(file.convert("RGB"))
