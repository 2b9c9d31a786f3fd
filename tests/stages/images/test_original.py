"""A photo's own pixels: its bits, its colours and its alpha, upright."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from facerefs.stages.images.decode import DecodeLimits, decode
from facerefs.stages.images.original import OriginalPhoto, original_of

LIMITS = DecodeLimits(min_side_px=16)
NOISE = np.random.default_rng(0).integers(0, 2**16, (40, 60, 4), np.uint16)


def saved(image: Image.Image, format_: str, **words: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **words)
    return file.getvalue()


def own(data: bytes) -> OriginalPhoto:
    return original_of(data, decode(data, LIMITS))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("orientation", [None, 3, 6, 5])
def test_16_bits_are_kept_upright(channels: int, orientation: int | None) -> None:
    data = cv2.imencode(".png", NOISE[..., :channels])[1].tobytes()
    if orientation:
        exif = Image.Exif()
        exif[274] = orientation
        data = with_exif(data, exif.tobytes()[6:])
    found = own(data)
    wanted = NOISE[..., [2, 1, 0, 3]]
    if orientation:
        wanted = {3: wanted[::-1, ::-1], 6: np.rot90(wanted, 3), 5: wanted.transpose(1, 0, 2)}[orientation]
    assert np.array_equal(found.pixels, wanted[..., :3])
    assert (found.alpha is None) == (channels == 3)
    if found.alpha is not None:
        assert np.array_equal(found.alpha, wanted[..., 3])


def with_exif(png: bytes, exif: bytes) -> bytes:
    import struct
    import zlib

    body = b"eXIf" + exif
    return png[:33] + struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


def test_colours_below_alpha_are_the_files() -> None:
    rgba = Image.fromarray((NOISE >> 8).astype(np.uint8))
    found = own(saved(rgba, "PNG"))
    assert np.array_equal(np.dstack([found.pixels, found.alpha]), np.asarray(rgba))
    assert found.profile is None


def test_a_profile_of_other_colours_is_kept_with_its_pixels() -> None:
    rgb = Image.fromarray((NOISE[..., :3] >> 8).astype(np.uint8))
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert own(saved(rgb, "PNG", icc_profile=swapped)).profile is None  # it does not fit RGB
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = own(saved(rgb, "PNG", icc_profile=wide(srgb)))
    assert found.profile == wide(srgb)
    assert np.array_equal(found.pixels, np.asarray(rgb))


def wide(profile: bytes) -> bytes:
    """A profile whose red and green primaries change places: its tags rXYZ and gXYZ do."""
    swapped = profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    assert swapped != profile
    return swapped


def test_cmyk_and_grey_are_given_in_srgb() -> None:
    rgb = Image.fromarray((NOISE[..., :3] >> 8).astype(np.uint8))
    for image, format_ in ((rgb.convert("CMYK"), "JPEG"), (rgb.convert("L"), "PNG")):
        data = saved(image, format_)
        assert np.array_equal(own(data).pixels, decode(data, LIMITS).pixels)
    grey = Image.fromarray(NOISE[..., 0])
    assert np.array_equal(own(saved(grey, "PNG")).pixels, np.repeat(NOISE[..., :1], 3, axis=2))
