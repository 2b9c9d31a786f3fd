"""Files that are broken, hostile or show no face, each with the reject reason that the build must give it."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageFilter

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.reject import Reject

_FACELESS = 6


def faulty_files(example: bytes, rng: np.random.Generator) -> list[tuple[str, bytes, Reject]]:
    """Name, bytes and expected reject reason of each file. example: a valid JPEG."""
    faults = [
        ("cut_off.jpg", example[: len(example) // 2], Reject.TRUNCATED),
        ("nothing.jpg", b"", Reject.EMPTY),
        ("page.jpg", b"<!DOCTYPE html><title>404 Not Found</title>", Reject.NOT_AN_IMAGE),
        ("drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', Reject.NOT_AN_IMAGE),
        ("bomb.png", _bomb_png(), Reject.TOO_MANY_PIXELS),
        ("moving.gif", _animation(), Reject.ANIMATED),
        ("icon.png", _png(np.full((16, 16, 3), 128, np.uint8)), Reject.TOO_SMALL),
    ]
    faults += [(f"landscape_{i}.jpg", _jpeg(_landscape(rng)), Reject.NO_FACE) for i in range(_FACELESS)]
    return faults


def _bomb_png() -> bytes:
    """A PNG of a few hundred bytes that claims to have 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _animation() -> bytes:
    frames = [Image.new("RGB", (96, 96), (shade, 80, 160)) for shade in (0, 120, 240)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def _landscape(rng: np.random.Generator) -> UInt8Image:
    """A picture of sky, hills and a meadow, without people."""
    height, width = 480, 640
    x = np.linspace(0, 1, width)
    y = np.linspace(0, 1, height)[:, None]
    sky = np.stack([0.45 + 0.4 * y + 0 * x, 0.65 + 0.25 * y + 0 * x, 0.95 - 0.1 * y + 0 * x], -1)
    picture = sky
    for depth in range(3):
        waves = sum(
            np.sin(2 * np.pi * (x * (k + 1) * rng.uniform(0.5, 1.5) + rng.random())) / (k + 2)
            for k in range(5)
        )
        ridge = 0.45 + 0.15 * depth + 0.08 * waves
        colour = np.array([0.25, 0.45 + 0.08 * depth, 0.3 - 0.07 * depth]) * rng.uniform(0.8, 1.2)
        picture = np.where((y > ridge)[..., None], colour, picture)
    grain = rng.normal(0, 0.02, (height, width, 1))
    smooth = Image.fromarray((np.clip(picture + grain, 0, 1) * 255).astype(np.uint8))
    return np.asarray(smooth.filter(ImageFilter.GaussianBlur(1)))


def _png(pixels: UInt8Image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg(pixels: UInt8Image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
