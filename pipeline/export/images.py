"""Images as an export writes them: as they are stored, again as lossless PNG, or back at full size."""

import io

import numpy as np

from facerefs.pipeline.export.read_set import SetSample, StoredImage
from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.sample import IMAGE_TYPES
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.samples.pixels import decode_rgb

_HALF = 0.5 + 1e-9  # so much that a value a rounding error below one half is rounded up on every machine


def pixels_of(image: StoredImage, side_px: int | None = None) -> UInt8Image:
    """The pixels (H, W, 3) of a stored image; side_px: the required side. Raises BadSample."""
    return decode_rgb(f"image.{image.extension}", image.data, side_px, side_px)


def as_png(image: StoredImage, side_px: int) -> StoredImage:
    """The image as PNG with the same pixels: its own bytes if it is one."""
    if image.extension == "png":
        check_size(image, side_px)
        return image
    return _png(pixels_of(image, side_px))


def full_size_png(sample: SetSample) -> StoredImage:
    """The degraded face as networks see it: resized back to the ground truth's size (bilinear), rounded to 8 bits."""
    import torch

    from facerefs.stages.degrade.apply_theta import resize_back
    from facerefs.stages.degrade.operations.padded_batch import PaddedBatch, sizes_of

    small = pixels_of(sample.degraded)
    # In double precision, so that the bytes are the same on every machine.
    pixels = torch.from_numpy(small).permute(2, 0, 1)[None].double()
    batch = PaddedBatch(pixels, sizes_of([(small.shape[0], small.shape[1])]))
    full = resize_back(batch, sample.side_px, sample.side_px)[0].permute(1, 2, 0).numpy()
    rounded = np.floor(full + _HALF).clip(0, 255).astype(np.uint8)
    return _png(rounded)


def _png(pixels: UInt8Image) -> StoredImage:
    """Level 1, as BasicSR writes PNG: three times as fast as Pillow's default, a tenth larger."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return StoredImage("png", buffer.getvalue())


def check_size(image: StoredImage, side_px: int) -> None:
    """Raise BadSample unless the header is that of a square image with this side; nothing is decoded."""
    from PIL import Image, UnidentifiedImageError

    formats = [one.pillow for one in IMAGE_TYPES.values() if one.extension == image.extension]
    try:
        with Image.open(io.BytesIO(image.data), formats=formats) as opened:
            size = opened.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise BadSample(f"an image .{image.extension} cannot be read: {type(error).__name__}") from None
    if size != (side_px, side_px):
        raise BadSample(f"an image is {size[0]}x{size[1]} px where {side_px}x{side_px} is wanted")
