"""Published degraded images: those whose pixels are kept as they are, and why others are refused."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from facerefs.schemas.reject import Reject
from facerefs.stages.images.degraded import DegradedError, fits, given_file
from facerefs.stages.images.encode import decode_image

PIXELS = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)


def encoded(image: Image.Image, format_: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_)
    return buffer.getvalue()


def stored(data: bytes, side_px: int = 128) -> np.ndarray:
    name, file = given_file(data, hashlib.sha256(data).hexdigest(), side_px)
    assert name == "lq.png"
    return decode_image(file)


def test_the_pixels_are_those_of_the_file() -> None:
    image = Image.fromarray(PIXELS)
    np.testing.assert_array_equal(stored(encoded(image)), PIXELS)
    np.testing.assert_array_equal(stored(encoded(image), 64), PIXELS)
    jpeg = encoded(image, "JPEG")
    np.testing.assert_array_equal(stored(jpeg), np.asarray(Image.open(io.BytesIO(jpeg))))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded(Image.fromarray(PIXELS[:, :32])), "32 x 64 px"),
        (encoded(Image.fromarray(PIXELS[:48, :48])), "48 x 48 px"),
        (encoded(Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]))), "would be converted"),
        (encoded(Image.fromarray(PIXELS))[:400], "truncated"),
        (b"no image", "not_an_image"),
    ],
)
def test_what_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(DegradedError, match=words) as error:
        stored(data)
    assert error.value.reject == Reject.BAD_DEGRADED


def test_a_file_that_is_gone_or_has_changed() -> None:
    for data in (None, encoded(Image.fromarray(PIXELS))):
        with pytest.raises(DegradedError) as error:
            given_file(data, "0" * 64, 128)
        assert error.value.reject == Reject.CHANGED


def test_sizes() -> None:
    assert [side for side in range(513) if fits(side, side, 512)] == [2**power for power in range(10)]
