"""The place where two photos differ: found between people before one wall, not between a photo and its copies."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from facerefs.stages.copies.copy_augmentations import augmented_jpeg
from facerefs.stages.images.local_difference import THUMBNAIL_PX, local_difference, thumbnail
from tests.hostile import portrait


def difference(one: Image.Image, other: Image.Image) -> float:
    a, b = (
        np.frombuffer(thumbnail(np.asarray(image.convert("RGB"))), np.uint8).reshape(
            -1, THUMBNAIL_PX, THUMBNAIL_PX
        )
        for image in (one, other)
    )
    return float(local_difference(a, b)[0])


@pytest.mark.parametrize("edit", ["re-encoded", "resized", "grey"])
def test_copies_differ_nowhere(edit: str) -> None:
    photo = portrait(200, 240, 3)
    copy = Image.open(io.BytesIO(augmented_jpeg(photo, edit)))
    assert difference(photo, copy) < 0.08


def test_tones_do_not_count() -> None:
    photo = portrait(200, 240, 3)
    assert (
        difference(photo, photo.point([round(255 * (level / 255) ** 0.8) for level in range(256)] * 3)) < 0.08
    )


def before_a_wall(seed: int) -> Image.Image:
    """A small person before a pattern that is the same for all."""
    wall = Image.fromarray(
        np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.full((50, 50), 200)).astype(np.uint8)
    )
    wall = wall.convert("RGB")
    person = portrait(60, 80, seed)
    wall.paste(person, (170, 160))
    return wall


def test_two_people_before_one_wall_differ() -> None:
    people = [before_a_wall(seed) for seed in range(5)]
    apart = [difference(a, b) for i, a in enumerate(people) for b in people[:i]]
    assert min(apart) > 0.08


def test_a_wall_of_black_and_white_does_not_outweigh_a_person() -> None:
    wall = (np.indices((THUMBNAIL_PX, THUMBNAIL_PX)).sum(axis=0) // 2 % 2 * 200 + 20).astype(np.uint8)
    faint = wall.copy()
    faint[8:12, 8:12] += 7  # less than 8 % of the wall's contrast
    assert local_difference(wall[None], faint[None])[0] > 0.08


def test_a_logo_is_a_difference() -> None:
    photo = portrait(200, 240, 3)
    marked = photo.copy()
    ImageDraw.Draw(marked).rectangle((120, 210, 190, 230), fill="white")
    assert difference(photo, marked) > 0.08


def test_flat_photos_do_not_differ() -> None:
    assert difference(Image.new("RGB", (99, 99)), Image.new("RGB", (50, 70), "white")) < 0.05


def test_no_pairs_have_no_differences() -> None:
    none = np.zeros((0, THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)
    assert local_difference(none, none).shape == (0,)
