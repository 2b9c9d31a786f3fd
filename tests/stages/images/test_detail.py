"""Real detail of a photo: enlargements are recognised, and sharp photos are not taken for them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facerefs.stages.images.detail import detail_scale
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view
from tests.hostile import encoded

KERNELS = [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]


@pytest.fixture(scope="module")
def sharp() -> Image.Image:
    """A rendered photo that keeps its detail: 256 pixels, from a rendering of 512."""
    return Image.fromarray(render(draw_person(1, 0), draw_view(1, 0, 0), 512).image).resize((256, 256))


def scale(image: Image.Image) -> float:
    return detail_scale(np.asarray(image.convert("RGB")))


def test_a_sharp_photo_has_detail_to_its_last_pixel(sharp: Image.Image) -> None:
    assert scale(sharp) > 0.8


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("times", [3, 4, 6])
def test_an_enlarged_photo_has_the_detail_of_what_it_was_made_of(
    sharp: Image.Image, kernel: Image.Resampling, times: int
) -> None:
    enlarged = sharp.resize((256 * times, 256 * times), kernel)
    assert 0.6 / times < scale(enlarged) < 1.6 / times


def test_jpeg_and_sharpening_do_not_hide_an_enlargement(sharp: Image.Image, tmp_path: Path) -> None:
    enlarged = sharp.resize((1024, 1024)).filter(ImageFilter.UnsharpMask(3, 150, 0))
    (tmp_path / "1.jpg").write_bytes(encoded(enlarged, "JPEG"))
    assert scale(Image.open(tmp_path / "1.jpg")) < 0.45


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (16, 500), (17, 33)])
def test_flat_images_of_any_size_count_as_sharp(size: tuple[int, int]) -> None:
    assert scale(Image.new("RGB", size, (90, 90, 90))) == 1.0
