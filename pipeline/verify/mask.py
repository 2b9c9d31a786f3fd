"""Check the mask of a face: as large as the face, gray, and of two values. Both images have small headers."""

import io

import numpy as np


def mask_fault(mask: bytes, face: bytes) -> str | None:
    """The fault of a mask file, or None. Both are images whose headers were read and are within the limits."""
    from PIL import Image

    with Image.open(io.BytesIO(face)) as image:
        size = image.size
    with Image.open(io.BytesIO(mask)) as image:
        if image.mode != "L" or getattr(image, "n_frames", 1) != 1:
            return f"is of mode {image.mode} and not one gray image"
        if image.size != size:
            return f"has {image.width} x {image.height} px, and its face {size[0]} x {size[1]}"
        try:
            values = np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            return f"cannot be decoded ({error})"
    if not np.isin(values, (0, 255)).all():
        return "has other values than 0 and 255"
    return None
