"""The image files of a sample: encodes and decodes ground truth, references and the degraded face."""

import io
from typing import Literal

import numpy as np

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.sample import DEGRADED, IMAGE_TYPES
from facerefs.schemas.theta import Theta

ImageFormat = Literal["jpeg", "png", "webp"]

JPEG_QUALITIES = range(100, 89, -1)
"""The JPEG qualities that ground truths and references may have."""
# Written twice as fast as method 2, 12 % larger, read as fast (benchmarks/formats.py).
_WEBP_METHOD = 0
_JPEG_SHARES = {90: 0.17, 95: 0.26, 98: 0.39, 100: 0.67}  # bytes per byte of the crop, by quality, likewise


def encode_crop(crop: bytes, image_format: ImageFormat, jpeg_quality: int) -> bytes:
    """A crop (PNG) as the file that a sample holds: the PNG itself, lossless WebP, or JPEG 4:4:4 of this quality."""
    return crop if image_format == "png" else encode_pixels(decode_image(crop), image_format, jpeg_quality)


def encode_pixels(pixels: UInt8Image, image_format: ImageFormat, jpeg_quality: int) -> bytes:
    """UInt8Image (H, W, 3) as the file that a sample holds: PNG, lossless WebP, or JPEG 4:4:4 of this quality."""
    if image_format == "png":
        return _png(pixels)
    if image_format == "jpeg":
        from facerefs.stages.degrade.operations.jpeg import compress

        return compress(pixels, jpeg_quality, "4:4:4")
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, method=_WEBP_METHOD)
    return buffer.getvalue()


def encode_mask(mask: UInt8Image) -> bytes:
    """A mask, uint8 (H, W), as the gray PNG that a sample holds."""
    return _png(mask)


def expected_share(image_format: ImageFormat, jpeg_quality: int) -> float:
    """The bytes of such a file per byte of the crop, an average over photos: for planning shard sizes, not exact."""
    match image_format:
        case "png":
            return 1
        case "webp":
            return 0.75
        case "jpeg":
            return float(np.interp(jpeg_quality, list(_JPEG_SHARES), list(_JPEG_SHARES.values())))


def decode_image(data: bytes) -> UInt8Image:
    """The pixels of such a file: uint8 (H, W, 3) RGB."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=[one.pillow for one in IMAGE_TYPES.values()]) as file:
        return np.asarray(file.convert("RGB"))


def decode_mask(data: bytes) -> UInt8Image:
    """The values of a gray mask file: uint8 (H, W)."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=[one.pillow for one in IMAGE_TYPES.values()]) as file:
        return np.asarray(file.convert("L"))


def degraded_file(truth: UInt8Image, theta: Theta, as_jpeg: bool) -> tuple[str, bytes]:
    """The file name and bytes of the degraded face of a ground truth: the JPEG that its theta ends with, or a PNG.

    truth: (H, W, 3) RGB, as the ground-truth file decodes, so that anyone can replay the degraded face. as_jpeg:
    whether every theta ends with JPEG; if not, all are PNG, so that all samples have the same files.
    """
    import torch

    from facerefs.stages.degrade.apply_theta import degrade_exactly

    planes = torch.from_numpy(np.ascontiguousarray(truth.transpose(2, 0, 1)))
    (result,) = degrade_exactly(planes[None].float() / 255, [theta])
    if as_jpeg and result.jpeg is not None:
        return DEGRADED.name("jpg"), result.jpeg
    return DEGRADED.name("png"), _png(result.image)


def _png(pixels: UInt8Image) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
