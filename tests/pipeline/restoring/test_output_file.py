"""How restored faces are written."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.restoring.writing.output_file import write_face
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return render(draw_person(5, 0), draw_view(5, 0, 0), 256).image


def test_jpeg_has_quality_98_and_full_colour(face: np.ndarray, tmp_path: Path) -> None:
    write_face(face, None, tmp_path / "face.jpg")
    with Image.open(tmp_path / "face.jpg") as file:
        assert [component[1:3] for component in file.layer] == [(1, 1)] * 3  # 4:4:4
        expected = io.BytesIO()
        Image.new("RGB", (8, 8)).save(expected, "JPEG", quality=98)
        assert file.quantization == Image.open(expected).quantization
        error = np.asarray(file).astype(float) - face
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 40


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_png_and_webp_are_lossless_and_hold_transparency(
    face: np.ndarray, tmp_path: Path, ending: str
) -> None:
    alpha = np.zeros(face.shape[:2], np.uint8)
    alpha[:, 100:] = 200
    write_face(face, alpha, tmp_path / f"face.{ending}")
    with Image.open(tmp_path / f"face.{ending}") as file:
        assert file.mode == "RGBA"
        assert np.array_equal(np.asarray(file), np.dstack([face, alpha]))
    write_face(face, None, tmp_path / f"opaque.{ending}")
    with Image.open(tmp_path / f"opaque.{ending}") as file:
        assert file.mode == "RGB"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_the_profile_is_srgb_and_the_same_bytes_each_time(
    face: np.ndarray, tmp_path: Path, ending: str
) -> None:
    write_face(face, None, tmp_path / f"face.{ending}")
    with Image.open(tmp_path / f"face.{ending}") as file:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(file.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert profile.tobytes()[24:26] == (2024).to_bytes(2, "big")  # no clock


def test_a_file_is_whole_or_not_there(face: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "face.png").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*face\.png: .*\. Mend that, and add --resume"):
        write_face(face, None, tmp_path / "face.png")
    assert [path.name for path in tmp_path.iterdir()] == ["face.png"]
