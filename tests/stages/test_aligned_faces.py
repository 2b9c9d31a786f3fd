"""Analyse with `align: keep`: crops with the pixels of the files, and reasons for photos that are not aligned."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.reject import Reject
from facerefs.stages.analyse import Analyse
from facerefs.stages.engines.align import detect_close, kept, most_in_place
from facerefs.stages.engines.engine import Detection
from facerefs.stages.faces.geometry import ffhq_transform, misalignment
from facerefs.stages.images.encode import decode_image, encode_crop
from tests.stages.aligned_people import aligned_face
from tests.stages.test_analyse import photos, png

QUICK = {"niqe": False, "min_sharpness": None}


@pytest.fixture(scope="module")
def keep() -> Analyse:
    stage = Analyse(align="keep", **QUICK)
    stage.setup()
    return stage


@pytest.fixture(scope="module")
def face() -> UInt8Image:
    return aligned_face(0, 0)


def rejection(stage: Analyse, data: bytes) -> tuple[str | None, str | None]:
    (row,) = stage.process(photos(data)).to_pylist()
    return row["reject"], row["reject_detail"]


def test_the_crop_has_the_pixels_of_the_file(keep: Analyse, face: UInt8Image) -> None:
    (row,) = keep.process(photos(png(face))).to_pylist()
    assert row["reject"] is None
    np.testing.assert_array_equal(decode_image(row["crop"]), face)
    np.testing.assert_array_equal(decode_image(encode_crop(row["crop"], "webp", 98)), face)
    assert row["transform"] == [1, 0, 0, 0, 1, 0]
    assert (row["outside"], row["face_px"]) == (0, 512)
    points = np.reshape(row["landmarks"], (68, 2))
    assert misalignment(ffhq_transform(points, 512), 512) < 0.05


def test_a_whole_multiple_is_reduced_only_where_asked_for(keep: Analyse, face: UInt8Image) -> None:
    twice = png(face.repeat(2, axis=0).repeat(2, axis=1))
    reject, detail = rejection(keep, twice)
    assert (reject, detail) == (
        Reject.NOT_ALIGNED,
        "1024 x 1024 px, not 512 x 512: analyse.align=reduce would reduce it",
    )
    (row,) = Analyse(align="reduce", **QUICK).process(photos(twice)).to_pylist()
    assert row["reject"] is None
    np.testing.assert_array_equal(decode_image(row["crop"]), face)
    np.testing.assert_allclose(row["transform"], [0.5, 0, -0.25, 0, 0.5, -0.25])
    assert row["face_px"] == 1024


def test_what_is_not_aligned_is_named(keep: Analyse, face: UInt8Image) -> None:
    image = Image.fromarray(face)
    smaller = Image.new("RGB", (512, 512), (120, 120, 120))
    smaller.paste(image.resize((400, 400)), (56, 56))
    for name, picture, words in (
        ("shape", image.crop((0, 0, 512, 500)), "512 x 500 px, not 512 x 512"),
        ("size", image.resize((600, 600)), "600 x 600 px, not 512 x 512"),
        ("scale", smaller, "would move the corners by"),
        ("turn", image.rotate(14, Image.Resampling.BICUBIC), "would move the corners by"),
        ("place", Image.fromarray(np.roll(face, 90, axis=1)), "would move the corners by"),
    ):
        reject, detail = rejection(keep, png(np.asarray(picture)))
        assert reject == Reject.NOT_ALIGNED, name
        assert detail is not None
        assert words in detail, (name, detail)
    assert rejection(keep, png(np.full((512, 512, 3), 90, np.uint8)))[0] == Reject.NO_FACE


def test_what_would_be_converted_is_not_kept(keep: Analyse, face: UInt8Image) -> None:
    seen_through = Image.fromarray(np.dstack([face, np.full(face.shape[:2], 200, np.uint8)]))
    deep = Image.fromarray(face[..., 0].astype(np.uint16) * 257)
    for image, words in ((seen_through, "transparent"), (deep, "16 bits")):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        reject, detail = rejection(keep, buffer.getvalue())
        assert reject == Reject.NOT_ALIGNED
        assert words in (detail or "")


class FixedLandmarks:
    """Finds the same points whatever the photo."""

    name = "fixed"

    def __init__(self, points: np.ndarray) -> None:
        self.points = points

    def landmarks(self, image: UInt8Image, box: np.ndarray, five: np.ndarray | None = None) -> np.ndarray:
        return self.points


def test_the_mean_of_a_block_is_rounded_to_the_nearest(face: UInt8Image) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (36, 36, 3), np.uint8)
    points = np.random.default_rng(3).uniform(5, 30, (68, 2)).astype(np.float32)
    found = Detection(np.array([5, 5, 30, 30], np.float32), 1.0)
    made, _ = kept(photo, found, FixedLandmarks(points), 12, 10)
    exact = photo.astype(float).reshape(12, 3, 12, 3, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(made.crop.pixels, np.floor(exact + 0.5).astype(np.uint8))


class WantsMargin:
    """Finds one face, and only in photos that are larger than 512 px: as SCRFD where a face fills the photo."""

    name = "wants margin"

    def detect(self, image: UInt8Image) -> list[Detection]:
        box = np.array([356, 416, 656, 727], np.float32)
        return [Detection(box, 0.9, box[:2] + np.ones((5, 2), np.float32))] if image.shape[0] > 512 else []


def test_a_face_that_fills_the_photo_is_found_with_a_margin_around_it(face: UInt8Image) -> None:
    (found,) = detect_close(face, WantsMargin())
    np.testing.assert_array_equal(found.box, [100, 160, 400, 471])
    assert found.points is not None
    np.testing.assert_array_equal(found.points[0], [101, 161])


def test_of_several_faces_the_one_in_the_place_counts() -> None:
    boxes = ((0, 0, 400, 400), (100, 160, 400, 470), (10, 10, 60, 60))
    faces = [Detection(np.array(box, np.float32), 1.0) for box in boxes]
    assert most_in_place(faces, 512) == 1


@pytest.mark.shared
def test_real_aligned_faces_are_kept_to_the_bit(shared_faces: Path, keep: Analyse) -> None:
    files = sorted((shared_faces / "aligned512").glob("*/*.png"))[::6]
    rows = keep.process(photos(*(file.read_bytes() for file in files))).to_pylist()
    assert [row["reject"] for row in rows] == [None] * len(files)
    for file, row in zip(files, rows, strict=True):
        np.testing.assert_array_equal(decode_image(row["crop"]), np.asarray(Image.open(file).convert("RGB")))
