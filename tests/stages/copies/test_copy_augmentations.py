"""Every augmentation gives a photo that can be decoded, of the same scene, with other bytes."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from facerefs.stages.copies.copy_augmentations import AUGMENTATIONS, augmented_jpeg
from tests.hostile import portrait


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_gives_the_same_jpeg_every_time(name: str) -> None:
    photo = portrait(200, 240, 1)
    assert decoded(augmented_jpeg(photo, name)).format == "JPEG"
    assert augmented_jpeg(photo, name) == augmented_jpeg(photo, name)


def test_augmentations_do_what_their_names_say() -> None:
    photo = portrait(200, 240, 1)
    width, height = photo.size
    made = {name: decoded(augmented_jpeg(photo, name)) for name in AUGMENTATIONS}
    before = np.asarray(photo, float)
    sizes = {name: image.size for name, image in made.items() if image.size != photo.size}
    assert sizes == {
        "resized": (width // 2, height // 2),
        "cropped": (round(0.97 * width) - round(0.08 * width), round(0.92 * height) - round(0.03 * height)),
    }
    assert np.ptp(np.asarray(made["grey"], int), axis=2).max() <= 2
    assert np.asarray(made["brighter"], float).mean() > before.mean() + 5
    assert np.asarray(made["contrast"], float).std() > before.std() * 1.1
    assert np.abs(np.asarray(ImageOps.mirror(made["mirrored"]), float) - before).mean() < 3
    assert np.abs(np.asarray(made["re-encoded"], float) - before).mean() < 8
    corners = np.asarray(made["rotated"])[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.max() < 20
