"""Put restored faces into a photo's own pixels: its profile and its 16 bits."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facerefs.pipeline.restoring.pasting.paste import Patch, blend

if TYPE_CHECKING:
    from facerefs.stages.images.original import OriginalPhoto


def with_patches(photo: "OriginalPhoto", patches: Sequence[Patch], strength: float) -> "OriginalPhoto":
    """The photo with the patches, the last in front; every pixel outside of them is the file's own."""
    pixels = photo.pixels
    for patch in patches:
        own = patch if photo.profile is None else _in_profile(patch, photo.profile)
        pixels = blend(pixels, own, strength)
    return replace(photo, pixels=pixels)


def _in_profile(patch: Patch, profile: bytes) -> Patch:
    """The patch, from sRGB to the colours of an RGB profile."""
    from PIL import Image, ImageCms

    levels = Image.fromarray(np.rint(patch.pixels).astype(np.uint8))
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(levels, ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    return replace(patch, pixels=np.asarray(converted, np.float32))
