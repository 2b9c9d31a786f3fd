"""libjpeg as every decoder knows it, and the differentiable JPEG against it."""

import cv2
import numpy as np
import pytest
import simplejpeg
import torch

from facerefs.schemas.operations import Jpeg, Resize
from facerefs.stages.degrade.apply_theta import degrade
from facerefs.stages.degrade.operations.jpeg import compress, decompress
from facerefs.stages.degrade.operations.padded_batch import sizes_of
from facerefs.stages.degrade.operations.soft_jpeg import soft_jpeg
from tests.stages.degrade.oracle import FLOAT, PHOTO, batch, image, psnr

QUALITIES = (1, 5, 10, 20, 30, 40, 49, 50, 60, 75, 85, 90, 95, 98, 100)
CHROMAS = ("4:2:0", "4:4:4")


@pytest.mark.parametrize("quality", [5, 60, 75, 100])
@pytest.mark.parametrize("size", [(512, 512), (97, 97), (33, 171), (1, 1)], ids=str)
def test_jpeg_has_the_bytes_of_opencv_and_the_pixels_of_every_decoder(
    quality: int, size: tuple[int, int]
) -> None:
    photo = np.ascontiguousarray(PHOTO[: size[0], : size[1]])
    data = compress(photo, quality, "4:2:0")
    _, expected = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert data == expected.tobytes()
    pixels = decompress(data)
    np.testing.assert_array_equal(pixels, cv2.imdecode(expected, cv2.IMREAD_COLOR)[..., ::-1])
    np.testing.assert_array_equal(pixels, simplejpeg.decode_jpeg(data))


def test_jpeg_keeps_full_chroma_if_asked() -> None:
    data = compress(PHOTO, 90, "4:4:4")
    assert simplejpeg.decode_jpeg_header(data)[3] == "444"


def _losses_db(size: tuple[int, int], chroma: str) -> list[float]:
    """Our pixels against libjpeg's, of all qualities; as one batch."""
    photo = np.ascontiguousarray(PHOTO[100 : 100 + size[0], 180 : 180 + size[1]])
    thetas = [(Jpeg(quality, chroma),) for quality in QUALITIES]
    made = degrade(batch(*[photo.astype(np.float32) / 255] * len(thetas)), thetas).pixels
    theirs = [simplejpeg.decode_jpeg(compress(photo, quality, chroma)) for quality in QUALITIES]
    levels = [image(one) * 255 for one in made]
    assert all(np.abs(one - one.round()).max() < 1e-4 for one in levels)
    return [psnr(one.round() / 255, other / 255) for one, other in zip(levels, theirs, strict=True)]


@pytest.mark.parametrize("chroma", CHROMAS)
@pytest.mark.parametrize("size", [(400, 320), (97, 97), (16, 97), (33, 47)], ids=str)
def test_the_soft_jpeg_is_libjpegs_at_every_quality(size: tuple[int, int], chroma: str) -> None:
    losses = _losses_db(size, chroma)
    assert min(losses) > 48
    assert np.median(losses) > 53


@pytest.mark.parametrize("chroma", CHROMAS)
@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 2), (2, 2), (3, 3), (4, 4), (5, 5), (5, 1), (8, 8), (16, 16), (17, 17), (9, 24)],
    ids=str,
)
def test_the_soft_jpeg_is_libjpegs_for_the_smallest_images(size: tuple[int, int], chroma: str) -> None:
    """A coefficient near a half may fall to the other side: then all of a block changes. Seldom."""
    losses = _losses_db(size, chroma)
    assert np.median(losses) > 50
    assert min(losses) > 30


def test_flat_and_saturated_colours_are_libjpegs() -> None:
    levels = np.stack(np.meshgrid([0, 128, 255], [0, 77, 255], [0, 200, 255]), -1).reshape(-1, 1, 1, 3)
    patches = np.broadcast_to(levels, (27, 24, 24, 3)).astype(np.uint8)
    for quality in (10, 75, 100):
        theta = (Jpeg(quality, "4:2:0"),)
        made = degrade(batch(*(patches / 255).astype(np.float32)), [theta] * 27).pixels
        theirs = [decompress(compress(patch, quality, "4:2:0")) for patch in patches]
        assert psnr(made.permute(0, 2, 3, 1), np.stack(theirs) / 255) > 45


@pytest.mark.parametrize("chroma", CHROMAS)
def test_what_is_coded_does_not_depend_on_what_lies_beyond_an_image(chroma: str) -> None:
    sizes = [(40, 33), (7, 9), (64, 64), (1, 1), (17, 3)]
    thetas = [(Resize(w, h, "area"), Jpeg(60, chroma)) for h, w in sizes]
    together = degrade(batch(*[FLOAT[:64, :64]] * 5, dtype=torch.float64), thetas).pixels
    for got, theta, (h, w) in zip(together, thetas, sizes, strict=True):
        alone = degrade(batch(FLOAT[:64, :64], dtype=torch.float64), [theta]).pixels[0]
        assert psnr(got[:, :h, :w], alone) > 60


def test_without_rounding_and_at_best_quality_nearly_nothing_changes() -> None:
    photo = batch(FLOAT[100:164, 100:164], dtype=torch.float64)
    same = soft_jpeg(photo, sizes_of([(64, 64)]), torch.tensor([100]), "4:4:4", rounding=False)
    assert psnr(same, photo) > 110
    assert not torch.equal(soft_jpeg(photo, sizes_of([(64, 64)]), torch.tensor([5]), "4:4:4"), photo)
