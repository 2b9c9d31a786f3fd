"""What `facerefs restore` keeps of a photo: its pixels, turn, alpha, bits, profile; and what it writes beside it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from facerefs.pipeline.errors import UserError
from tests.pipeline.restoring.test_restore import _toy, blind, pixels, place  # noqa: F401
from tests.stages.images.test_original import wide


def changed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one != other).any(axis=2) if one.ndim == 3 else one != other


@pytest.fixture
def photo(place: Path) -> np.ndarray:  # noqa: F811
    return pixels(place / "0.png")


def test_a_lying_photo_comes_upright_and_only_its_face_changes(place: Path, photo: np.ndarray) -> None:  # noqa: F811
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(photo)).save(place / "lying.png", exif=exif)
    out = pixels(blind(place, "upright.png", run="steady", source="lying.png"))
    assert out.shape == photo.shape
    share = changed(out, photo).mean()
    assert 0.1 < share < 0.6
    assert not changed(out, photo)[:20].any()
    same = pixels(blind(place, "upright0.png", run="steady", source="lying.png", strength=0.0))
    assert np.array_equal(same, photo)


def test_a_photo_without_exif_is_found_turned_and_stays_as_it_lies(place: Path, photo: np.ndarray) -> None:  # noqa: F811
    upright = pixels(blind(place, "straight.png", run="steady"))
    Image.fromarray(np.rot90(photo)).save(place / "turned.png")
    out = pixels(blind(place, "turned_out.png", run="steady", source="turned.png"))
    back = np.rot90(out, 3)
    assert np.abs(back.astype(int) - upright).mean() < 1
    assert (changed(back, photo) & ~changed(upright, photo)).mean() < 0.02


def test_alpha_16_bits_and_profile_stay(place: Path, photo: np.ndarray) -> None:  # noqa: F811
    noise = np.random.default_rng(0).integers(0, 257, (*photo.shape[:2], 4), np.uint16)
    deep = np.dstack([photo[..., ::-1], np.full(photo.shape[:2], 255, np.uint8)]).astype(np.uint16) * 256
    deep = np.minimum(deep.astype(np.uint32) + noise, 65535).astype(np.uint16)
    deep[:50, :50] = (1000, 2000, 3000, 4000)
    cv2.imwrite(str(place / "deep_alpha.png"), deep)
    blind(place, "deep_out.png", run="steady", source="deep_alpha.png")
    out = cv2.imread(str(place / "deep_out.png"), cv2.IMREAD_UNCHANGED)
    assert out.dtype == np.uint16
    assert np.array_equal(out[..., 3], deep[..., 3])
    assert 0.1 < changed(out, deep).mean() < 0.6
    assert np.array_equal(out[:50, :50], deep[:50, :50])
    with Image.open(place / "deep_out.png") as image:
        assert image.info["icc_profile"]

    profile = wide(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    swapped = ImageCms.profileToProfile(
        Image.fromarray(photo),
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(wide_file(place, profile)),
    )
    assert swapped is not None
    swapped.save(place / "wide.png", icc_profile=profile)
    with Image.open(blind(place, "wide_out.png", run="steady", source="wide.png")) as image:
        assert image.info["icc_profile"] == profile
        assert not changed(np.asarray(image), np.asarray(swapped))[:20].any()
        shown = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(wide_file(place, profile)), ImageCms.createProfile("sRGB")
        )
    assert shown is not None
    straight = pixels(blind(place, "narrow_out.png", run="steady"))
    assert np.abs(np.asarray(shown).astype(int) - straight).mean() < 4


def wide_file(place: Path, profile: bytes) -> str:  # noqa: F811
    (place / "wide.icc").write_bytes(profile)
    return str(place / "wide.icc")


def test_frames_keep_their_numbers_and_lines_are_written_once(
    place: Path,  # noqa: F811
    photo: np.ndarray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = place / "frames"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "frame2.png")
    Image.fromarray(np.roll(photo, 6, axis=1)).save(folder / "frame10.png")
    (folder / "frame11.png").write_bytes((place / "nobody.png").read_bytes())
    words = {
        "run": place / "refine",
        "references": (place / "1.png",),
        "frames": True,
        "sheet": True,
        "overwrite": False,
    }
    out = blind(place, "frames_out", source="frames", **words)
    names = ["frame10.png", "frame11.png", "frame2.png"]
    assert [path.name for path in sorted(out.glob("frame??.png")) + sorted(out.glob("frame?.png"))] == names
    assert np.array_equal(pixels(out / "frame11.png"), pixels(folder / "frame11.png"))
    assert "no face was restored: it is written as it is" in capsys.readouterr().out
    assert Image.open(out / "frame2-sheet.png").size[0] == 3 * 260

    def lines() -> list[str]:
        return [
            Path(json.loads(line)["photo"]).name for line in (out / "restored.jsonl").read_text().splitlines()
        ]

    assert lines() == ["frame2.png", "frame10.png"]
    (out / "frame2.png").unlink()
    blind(place, "frames_out", source="frames", **words | {"resume": True})
    assert lines() == ["frame10.png", "frame2.png"]
    (out / "restored.jsonl").write_text("[1, 2]\n")
    (out / "frame2.png").unlink()
    with pytest.raises(UserError, match=r"restored\.jsonl holds something else"):
        blind(place, "frames_out", source="frames", **words | {"resume": True})


def test_jpeg_has_the_quality_that_was_asked_for(place: Path) -> None:  # noqa: F811
    good, poor = (blind(place, f"q{number}.jpg", run="steady", quality=number) for number in (95, 20))
    assert poor.stat().st_size < good.stat().st_size / 2
    for words, sentence in (
        ({"quality": 0}, "--quality cannot be 0"),
        ({"strength": 2.0}, "--strength cannot be 2"),
    ):
        with pytest.raises(UserError, match=sentence):
            blind(place, "x.jpg", **words)
    with pytest.raises(UserError, match="--format cannot be 'gif': choose png, jpg or webp"):
        blind(place, "x", ending="gif")
