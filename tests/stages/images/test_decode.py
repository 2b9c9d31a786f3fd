"""Decoding what strangers send: odd photos are read, hostile files are refused, nothing else happens."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facerefs.schemas.reject import Reject
from facerefs.stages.images.decode import DecodedPhoto, DecodeError, DecodeLimits, decode
from tests.hostile import encoded, hostile_files, odd_photos, oriented, png_bomb, portrait

LIMITS = DecodeLimits()
SMALL = DecodeLimits(max_pixels=1_000_000, min_side_px=1)
ODD = odd_photos()
HOSTILE = hostile_files()
MUTABLE = sorted(data for data in ODD.values() if len(data) < 50_000)


def mean_difference(photo: DecodedPhoto, image: Image.Image) -> float:
    return float(np.abs(photo.pixels.astype(int) - np.asarray(image.convert("RGB"))).mean())


@pytest.mark.parametrize("name", ODD)
def test_odd_photos_are_read(name: str) -> None:
    photo = decode(ODD[name], LIMITS)
    assert (photo.width, photo.height) == (96, 128)
    assert photo.pixels.shape == (128, 96, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.writeable


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_their_reason(name: str) -> None:
    data, reject = HOSTILE[name]
    with pytest.raises(DecodeError) as caught:
        decode(data, LIMITS)
    assert caught.value.reject is reject
    assert caught.value.detail


@pytest.mark.parametrize(
    "name", ["plain.jpg", "cmyk.jpg", "srgb.jpg", "broken_profile.jpg", "polyglot.jpg", "phone.jpg"]
)
def test_colours_survive(name: str) -> None:
    assert mean_difference(decode(ODD[name], LIMITS), portrait()) < 5


@pytest.mark.parametrize(
    "name", ["plain.png", "plain.bmp", "plain.tif", "cmyk.tif", "png_named.jpg", "colour_key.png"]
)
def test_lossless_formats_give_the_same_pixels(name: str) -> None:
    assert mean_difference(decode(ODD[name], LIMITS), portrait()) == 0


def test_sixteen_bits_become_eight() -> None:
    assert mean_difference(decode(ODD["grey16.png"], LIMITS), portrait().convert("L")) == 0


def test_the_format_is_that_of_the_content() -> None:
    assert decode(ODD["png_named.jpg"], LIMITS).format == "PNG"


def test_an_embedded_profile_is_applied() -> None:
    """The file has red and blue exchanged, and so has its profile: together they give the picture."""
    stored = Image.merge("RGB", portrait().split()[::-1])
    photo = decode(ODD["swapped_profile.jpg"], LIMITS)
    assert mean_difference(photo, stored) > 20
    assert mean_difference(photo, portrait()) < 5


@pytest.mark.parametrize("name", ["alpha.png", "alpha.webp", "grey_alpha.png"])
def test_transparency_becomes_white(name: str) -> None:
    photo = decode(ODD[name], LIMITS)
    assert (photo.pixels[:28, :28] == 255).all()
    assert not (photo.pixels[40:, 40:] == 255).all()


def test_what_is_lost_on_the_way_to_pixels_is_told() -> None:
    alpha = decode(ODD["alpha.png"], LIMITS).alpha
    assert alpha is not None
    assert (alpha.shape, alpha[:28, :28].max(), alpha[40:, 40:].min()) == ((128, 96), 0, 255)
    turned = portrait().convert("RGBA")
    turned.putpixel((0, 0), (0, 0, 0, 9))
    lying = decode(oriented(turned, 6, "PNG"), LIMITS)
    assert lying.alpha is not None
    assert (lying.alpha == 9).sum() == 1
    assert lying.alpha.shape == lying.pixels.shape[:2]
    deep = encoded(Image.fromarray(np.full((64, 64), 40_000, np.uint16)), "PNG")
    assert [decode(ODD[name], LIMITS).bits for name in ("plain.png", "grey16.png")] == [8, 16]
    assert decode(deep, LIMITS).bits == 16
    assert decode(ODD["swapped_profile.jpg"], LIMITS).profile
    plain = decode(ODD["plain.png"], LIMITS)
    assert (plain.alpha, plain.profile, decode(ODD["srgb.jpg"], LIMITS).profile) == (None, "", "")


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_come_upright_as_pillow_turns_them(orientation: int, format_: str) -> None:
    data = oriented(portrait(), orientation, format_)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(decode(data, LIMITS).pixels, np.asarray(expected))


@pytest.mark.parametrize("orientation", [0, 9, 60_000])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    photo = decode(oriented(portrait(), orientation, "PNG"), LIMITS)
    assert mean_difference(photo, portrait()) == 0


def test_limits_hold_at_their_edges() -> None:
    data = encoded(portrait(96, 128), "PNG")
    decode(data, DecodeLimits(max_bytes=len(data), max_pixels=96 * 128, min_side_px=96))
    for limits, reject in [
        (DecodeLimits(max_bytes=len(data) - 1), Reject.TOO_MANY_BYTES),
        (DecodeLimits(max_pixels=96 * 128 - 1), Reject.TOO_MANY_PIXELS),
        (DecodeLimits(min_side_px=97), Reject.TOO_SMALL),
    ]:
        with pytest.raises(DecodeError) as caught:
            decode(data, limits)
        assert caught.value.reject is reject


def test_pillow_is_left_as_it_was(recwarn: pytest.WarningsRecorder) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(DecodeError):
        decode(png_bomb(10_000, 10_000), LIMITS)
    assert before == Image.MAX_IMAGE_PIXELS
    assert not recwarn.list


def decode_or_refuse(data: bytes) -> None:
    try:
        photo = decode(data, SMALL)
    except DecodeError as error:
        refusal = error
    else:
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.shape == (photo.height, photo.width, 3)
        assert photo.width * photo.height <= SMALL.max_pixels
        return
    assert isinstance(refusal.reject, Reject)
    assert refusal.detail.encode()  # a table can hold it


@settings(max_examples=200, deadline=None)
@given(head=st.sampled_from([b"", *[data[:12] for data in MUTABLE]]), body=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(head: bytes, body: bytes) -> None:
    decode_or_refuse(head + body)


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from(MUTABLE),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
    end=st.floats(0.01, 1),
)
def test_mutated_photos_are_read_or_refused(
    data: bytes, changes: list[tuple[float, int]], end: float
) -> None:
    mutated = bytearray(data)
    for where, value in changes:
        mutated[int(where**3 * len(mutated))] = value  # most faults hide in headers
    decode_or_refuse(bytes(mutated[: max(1, int(end * len(mutated)))]))
