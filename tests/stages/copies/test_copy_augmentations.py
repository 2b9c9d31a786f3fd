"""Every edit is a photo that can be decoded, of the same scene, and not the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from facerefs.stages.copies.copy_augmentations import EDITS, edited
from tests.hostile import portrait


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_gives_the_same_jpeg_every_time(edit: str) -> None:
    photo = portrait(200, 240, 1)
    assert decoded(edited(photo, edit)).format == "JPEG"
    assert edited(photo, edit) == edited(photo, edit)


def test_the_edits_do_what_they_are_called() -> None:
    photo = portrait(200, 240, 1)
    width, height = photo.size
    made = {edit: decoded(edited(photo, edit)) for edit in EDITS}
    before = np.asarray(photo, float)
    sizes = {edit: image.size for edit, image in made.items() if image.size != photo.size}
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
