"""The perceptual hash: what it forgives, and what it does not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from facerefs.stages.images.decode import DecodeLimits, decode
from facerefs.stages.images.hashing import MIRRORED_DETAIL, detail_hash, perceptual_hashes
from tests.hostile import encoded, portrait


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def perceptual_hash(image: np.ndarray) -> int:
    return perceptual_hashes(image)[0]


def read(data: bytes) -> np.ndarray:
    return decode(data, DecodeLimits(min_side_px=1)).pixels


EDITS = {
    "jpeg": lambda image: read(encoded(image, "JPEG", quality=40)),
    "webp": lambda image: read(encoded(image, "WEBP", quality=50)),
    "half": lambda image: np.asarray(image.resize((image.width // 2, image.height // 2))),
    "double": lambda image: np.asarray(image.resize((image.width * 2, image.height * 2))),
    "tone": lambda image: np.asarray(ImageEnhance.Brightness(image).enhance(1.1)),
    "grey": lambda image: np.asarray(image.convert("L")),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("seed", range(5))
def test_an_edited_copy_stays_near(edit: str, seed: int) -> None:
    image = portrait(400, 500, seed)
    assert bits(perceptual_hash(np.asarray(image)), perceptual_hash(EDITS[edit](image))) <= 6


def test_other_pictures_are_far() -> None:
    hashes = [perceptual_hash(np.asarray(portrait(200, 200, seed))) for seed in range(30)]
    distances = [bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 10
    assert 28 < np.mean(distances) < 36


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 300), height=st.integers(1, 300))
def test_the_second_hash_is_that_of_the_mirror_image(seed: int, width: int, height: int) -> None:
    pixels = np.asarray(portrait(width, height, seed))
    _, mirrored = perceptual_hashes(pixels)
    if min(width, height) >= 32:  # else much hangs on few levels
        # Pillow's filters round a mirror image a level differently now and then.
        assert bits(mirrored, perceptual_hash(np.ascontiguousarray(pixels[:, ::-1]))) <= 4


def detail_bits(a: bytes, b: bytes) -> int:
    return bits(int.from_bytes(a), int.from_bytes(b))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 300), height=st.integers(1, 300))
def test_the_detail_hash_gives_that_of_the_mirror_image(seed: int, width: int, height: int) -> None:
    pixels = np.asarray(portrait(width, height, seed))
    mirrored = bytes(a ^ b for a, b in zip(detail_hash(pixels), MIRRORED_DETAIL, strict=True))
    if min(width, height) >= 32:  # else coefficients are exactly 0, and so neither is the other's contrary
        assert detail_bits(mirrored, detail_hash(np.ascontiguousarray(pixels[:, ::-1]))) <= 16


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("seed", range(5))
def test_the_detail_hash_of_an_edited_copy_stays_near(edit: str, seed: int) -> None:
    image = portrait(400, 500, seed)
    edited = detail_hash(EDITS[edit](image))
    assert detail_bits(detail_hash(np.asarray(image)), edited) <= 20
    assert detail_bits(detail_hash(np.asarray(portrait(400, 500, seed + 5))), edited) > 90


def test_the_hash_agrees_with_its_definition_in_floating_point() -> None:
    from scipy.fft import dctn

    for seed in range(20):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
        low = dctn(pixels.astype(float), norm=None)[:8, :8].ravel()
        expected = "".join("1" if value > np.median(low[1:]) else "0" for value in low)
        assert f"{perceptual_hash(pixels):064b}" == expected


@pytest.mark.parametrize("level", [1, 77, 255])
def test_flat_images_hash_alike(level: int) -> None:
    assert perceptual_hash(np.full((90, 51, 3), level, np.uint8)) == 1 << 63


def test_a_black_image_has_no_bit() -> None:
    assert perceptual_hash(np.zeros((8, 8), np.uint8)) == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8), np.float32),
        np.zeros((0, 8), np.uint8),
        np.zeros((8,), np.uint8),
    ],
)
def test_what_is_no_image_is_an_error(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        perceptual_hash(image)


@pytest.mark.shared
def test_portraits_of_one_person_are_further_apart_than_copies(shared_faces: Path) -> None:
    images = [
        Image.open(path).convert("RGB") for path in sorted((shared_faces / "aligned512").glob("*/*.png"))
    ]
    hashes = [perceptual_hash(np.asarray(image)) for image in images]
    copies = [perceptual_hash(np.asarray(image.resize((200, 200)))) for image in images]
    assert max(bits(a, b) for a, b in zip(hashes, copies, strict=True)) <= 2
    assert min(bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) >= 8
