"""Analyse: every photo gives at least one row, good faces go on with all figures, bad photos say why not."""

import dataclasses
import hashlib
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter
from skimage.data import astronaut

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import FACES, IMAGES, loaded
from facerefs.stages.analyse import Analyse
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.faces import geometry
from facerefs.stages.images.encode import decode_mask
from facerefs.stages.images.hashing import perceptual_hashes
from facerefs.stages.quality import quality
from facerefs.stages.synthetic_people.render import draw_person, draw_view, render


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def photos(*contents: bytes | None) -> pa.Table:
    """Rows as analyse reads them."""
    rows = [
        {
            "id": None if data is None else hashlib.sha256(data).hexdigest(),
            "key": f"{number}.png",
            "photo": data,
        }
        for number, data in enumerate(contents)
    ]
    return pa.Table.from_pylist(rows, loaded(IMAGES)).select(["key", "id", "photo"])


def group(*images: Image.Image, certain: bool = True) -> pa.Table:
    """A photo and its near copies, best first."""
    rows = photos(*(png(np.asarray(image)) for image in images))
    rows = rows.append_column("group", pa.repeat(rows["id"][0], len(rows)))
    return rows.append_column("certain", pa.array([True, *[certain] * (len(rows) - 1)]))


def crop_of(face: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(face["crop"])))


@pytest.fixture(scope="module")
def stage() -> Analyse:
    analyse = Analyse(min_face_px=100, niqe=False, brisque=False)
    analyse.setup()
    return analyse


@pytest.fixture(scope="module")
def astronaut_face(stage: Analyse) -> dict:
    (face,) = stage.process(photos(png(astronaut()))).to_pylist()
    return face


def test_a_face_carries_all_its_figures(astronaut_face: dict) -> None:
    face = astronaut_face
    assert face["reject"] is None
    assert face["id"] == hashlib.sha256(png(astronaut())).hexdigest()[:16] + "-0"
    assert (face["key"], face["crop_size"]) == ("0.png", 512)
    assert (face["detector"], face["landmarker"], face["embedder"]) == (
        "dlib-hog",
        "dlib-68",
        "dlib-resnet-128",
    )
    assert np.linalg.norm(face["embedding"]) == pytest.approx(1, abs=1e-5)
    assert abs(face["yaw"]) < 20
    assert abs(face["pitch"]) < 20
    assert abs(face["roll"]) < 10
    assert face["outside"] == 0
    assert face["sharpness"] > 0
    missing = {name for name, value in face.items() if value is None}
    digests = {"crop_sha256", "mask_sha256"}  # which the storage fills in
    assert missing == {"niqe", "brisque", "mask", "parser", "reject", "reject_detail"} | digests


def test_crop_landmarks_and_transform_agree(astronaut_face: dict) -> None:
    face = astronaut_face
    transform = np.reshape(face["transform"], (2, 3))
    points = np.reshape(face["landmarks"], (68, 2))
    np.testing.assert_array_equal(crop_of(face), geometry.warp(astronaut(), transform, 512).pixels)
    np.testing.assert_allclose(
        geometry.ffhq_transform(geometry.apply_transform(geometry.invert(transform), points), 512),
        transform,
        atol=1e-3,
    )
    assert face["face_px"] == pytest.approx(512 / geometry.scale_of(transform))
    assert (face["crop_phash"], face["crop_phash_mirror"]) == perceptual_hashes(crop_of(face))
    left, top, right, bottom = face["box"]
    eyes = geometry.apply_transform(geometry.invert(transform), geometry.five_points(points)[:2])
    assert ((eyes > [left, top]).all(), (eyes < [right, bottom]).all()) == (True, True)


def test_what_cannot_be_a_photo_becomes_one_rejected_row(stage: Analyse) -> None:
    good, changed = png(np.full((80, 80, 3), 7, np.uint8)), png(np.full((80, 80, 3), 8, np.uint8))
    table = photos(good, None, b"no image", png(astronaut())[:5000], good)
    column = pa.array([*table["photo"].to_pylist()[:-1], changed], pa.large_binary())
    table = table.set_column(table.schema.get_field_index("photo"), "photo", column)
    rows = stage.process(table).to_pylist()
    assert [row["key"] for row in rows] == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    assert [Reject(row["reject"]) for row in rows] == [
        Reject.NO_FACE,
        Reject.UNREADABLE,
        Reject.NOT_AN_IMAGE,
        Reject.TRUNCATED,
        Reject.CHANGED,
    ]
    assert all(row["id"].endswith("-none") and row["reject_detail"] and row["crop"] is None for row in rows)
    assert rows[0]["image"] == table["id"][0].as_py()


def keys(faces: pa.Table) -> list[tuple[str, str | None]]:
    return [(row["key"], row["reject"]) for row in faces.to_pylist()]


def person(number: int) -> Image.Image:
    return Image.fromarray(render(draw_person(3, number), draw_view(3, number, 0), 512).image)


@pytest.fixture(scope="module")
def sharp() -> Image.Image:
    return person(0)


@pytest.fixture(scope="module")
def blurred(sharp: Image.Image) -> Image.Image:
    """The face is found, but rejected."""
    return sharp.filter(ImageFilter.GaussianBlur(4))


@pytest.fixture(scope="module")
def marked(sharp: Image.Image) -> Image.Image:
    """With a logo in a corner."""
    copy = sharp.copy()
    copy.paste("white", (10, 460, 200, 500))
    return copy


def test_a_copy_comes_back_if_the_better_one_is_rejected(
    stage: Analyse, sharp: Image.Image, blurred: Image.Image
) -> None:
    small = sharp.resize((400, 400))
    rows = keys(stage.process(group(blurred, small, sharp)))
    assert rows == [("0.png", Reject.FACE_BLURRED), ("1.png", None)]


def test_a_copy_stays_away_if_the_better_one_is_accepted(stage: Analyse, sharp: Image.Image) -> None:
    assert keys(stage.process(group(sharp, sharp.resize((400, 400))))) == [("0.png", None)]


def test_copies_that_are_rejected_as_well_have_no_rows(stage: Analyse, blurred: Image.Image) -> None:
    assert keys(stage.process(group(blurred, blurred))) == [("0.png", Reject.FACE_BLURRED)]


def test_an_uncertain_copy_with_the_same_face_stays_a_copy(
    stage: Analyse, sharp: Image.Image, marked: Image.Image
) -> None:
    assert keys(stage.process(group(sharp, marked, certain=False))) == [("0.png", None)]


def test_an_uncertain_copy_with_another_face_comes_back(
    stage: Analyse, sharp: Image.Image, marked: Image.Image
) -> None:
    rows = group(sharp, marked, person(1), certain=False)
    assert keys(stage.process(rows)) == [("0.png", None), ("2.png", None)]


def test_an_uncertain_copy_without_a_face_is_rejected_for_itself(stage: Analyse, sharp: Image.Image) -> None:
    rows = group(sharp, Image.new("RGB", (80, 80)), certain=False)
    assert keys(stage.process(rows)) == [("0.png", None), ("1.png", Reject.NO_FACE)]


def test_no_rows_give_no_rows(stage: Analyse) -> None:
    assert stage.process(photos()).schema == loaded(FACES)


@pytest.mark.parametrize(
    ("limit", "reject"),
    [
        ({"min_face_px": 400.0}, Reject.FACE_TOO_SMALL),
        ({"max_outside": 0.0}, Reject.FACE_CUT),
        ({"max_yaw_deg": 0.0}, Reject.FACE_TURNED),
        ({"min_sharpness": 1e6}, Reject.FACE_BLURRED),
    ],
)
def test_a_face_beyond_a_limit_is_rejected_with_all_its_figures(limit: dict, reject: Reject) -> None:
    pixels = astronaut()[60:, 150:] if reject is Reject.FACE_CUT else astronaut()
    (face,) = (
        Analyse(**({"min_face_px": 100, "niqe": False, "brisque": False} | limit))
        .process(photos(png(pixels)))
        .to_pylist()
    )
    assert face["reject"] == reject
    assert face["crop"] is not None
    assert len(face["embedding"]) == 128


def test_niqe_is_measured_and_limits() -> None:
    (face,) = Analyse(min_face_px=100, max_niqe=0.5).process(photos(png(astronaut()))).to_pylist()
    assert 1 < face["niqe"] < 20
    assert face["reject"] == Reject.LOW_QUALITY
    with pytest.raises(ValueError, match="max_niqe needs niqe"):
        Analyse(max_niqe=5, niqe=False)


def test_brisque_is_measured_and_limits() -> None:
    (face,) = (
        Analyse(min_face_px=100, niqe=False, brisque=True, max_brisque=-50)
        .process(photos(png(astronaut())))
        .to_pylist()
    )
    assert face["brisque"] == pytest.approx(quality.brisque(crop_of(face)), abs=1e-4)
    assert face["reject"] == Reject.LOW_QUALITY
    assert "BRISQUE" in face["reject_detail"]
    with pytest.raises(ValueError, match="max_brisque needs brisque"):
        Analyse(max_brisque=5, brisque=False)


def test_accepted_faces_get_a_mask_and_the_name_of_its_engine(
    sharp: Image.Image, blurred: Image.Image
) -> None:
    stage = Analyse(min_face_px=100, niqe=False, parser="hull")
    good, bad = stage.process(photos(png(np.asarray(sharp)), png(np.asarray(blurred)))).to_pylist()
    mask = decode_mask(good["mask"])
    assert (good["parser"], mask.shape, set(mask.ravel().tolist())) == ("hull", (512, 512), {0, 255})
    across, down = np.reshape(good["landmarks"], (68, 2))[17:].round().astype(int).T
    assert (mask[down, across] == 255).all()
    assert 0.1 < (mask > 0).mean() < 0.5
    assert (bad["reject"], bad["mask"], bad["parser"]) == (Reject.FACE_BLURRED, None, None)


def test_missing_weights_of_the_parser_are_told_before_a_photo_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    stage = Analyse(niqe=False, parser="bisenet")
    with pytest.raises(
        MissingWeights, match=r"BiSeNet's weights .* `curl -fL .*parsing_bisenet\.pth`.*parser=hull"
    ):
        stage.setup()
    with pytest.raises(ValueError, match="parser_weights are of the parser bisenet: hull has none to choose"):
        Analyse(parser="hull", parser_weights="x.pth")


def test_the_largest_faces_of_a_group_come_first() -> None:
    near, far = (
        Image.fromarray(render(draw_person(2, i), draw_view(2, i, 0), 256).image).resize((s, s))
        for i, s in ((0, 512), (1, 300))
    )
    group = Image.new("RGB", (812, 512), "grey")
    group.paste(far, (0, 100))
    group.paste(near, (300, 0))
    rows = (
        Analyse(min_face_px=50, niqe=False, brisque=False, max_faces=1)
        .process(photos(png(np.asarray(group))))
        .to_pylist()
    )
    assert [row["id"][-2:] for row in rows] == ["-0", "-1"]
    assert rows[0]["face_px"] > 300
    assert rows[0]["reject"] is None
    assert rows[1]["reject"] == Reject.TOO_MANY_FACES
    assert rows[1]["reject_detail"] == "smaller than the 1 largest faces of the photo"
    assert rows[1]["box"][2] < 300


def test_the_crop_can_be_larger() -> None:
    stage = Analyse(min_face_px=100, niqe=False, brisque=False, crop_size=1024)
    (face,) = stage.process(photos(png(astronaut()))).to_pylist()
    assert crop_of(face).shape == (1024, 1024, 3)
    assert face["crop_size"] == 1024


def test_the_same_photo_gives_the_same_bytes(stage: Analyse, astronaut_face: dict) -> None:
    again = Analyse(min_face_px=100, niqe=False, brisque=False).process(photos(png(astronaut())))
    assert again.to_pylist() == [astronaut_face]


def test_a_face_has_the_same_bytes_however_photos_are_grouped(stage: Analyse) -> None:
    contents = [
        png(astronaut()),
        b"no image",
        png(astronaut()[:, ::-1]),
        png(astronaut()[::2, ::2]),
        png(astronaut()),
    ]
    table = photos(*contents)
    together = stage.process(table)
    alone = pa.concat_tables([stage.process(table.slice(i, 1)) for i in range(len(table))])
    pairs = pa.concat_tables([stage.process(table.slice(i, 2)) for i in range(0, len(table), 2)])
    assert together.to_pylist() == alone.to_pylist() == pairs.to_pylist()


def test_models_are_no_part_of_the_configuration(stage: Analyse) -> None:
    fresh = Analyse(min_face_px=100, niqe=False, brisque=False)
    assert stage == fresh
    assert repr(stage) == repr(fresh)
    assert dataclasses.asdict(stage) == dataclasses.asdict(fresh)
    assert pickle.loads(pickle.dumps(fresh)) == fresh


def test_configuration_needs_no_engine() -> None:
    heavy = ["torch", "dlib", "insightface", "faiss", "cv2", "basicsr", "scipy", "onnxruntime"]
    code = f"import sys, facerefs.stages.analyse; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.shared
def test_the_default_limits_tell_good_photos_from_degraded_ones(shared_faces: Path) -> None:
    stage = Analyse(niqe=False, brisque=False)
    good = sorted((shared_faces / "aligned512").glob("*/*.png"))[::6]
    degraded = sorted((shared_faces / "degraded").glob("*.png"))[::2]
    rows = stage.process(photos(*[path.read_bytes() for path in [*good, *degraded]])).to_pylist()
    expected = [None] * len(good) + [Reject.FACE_BLURRED] * len(degraded)
    assert [row["reject"] for row in rows] == expected


@pytest.mark.shared
def test_production_engines_analyse_wild_photos(shared_faces: Path, shared_models: Path) -> None:
    stage = Analyse(
        detector="insightface",
        embedder="insightface",
        detector_weights=str(shared_models / "det_scrfd_2.5g.onnx"),
        embedder_weights=str(shared_models / "arcface_mobilefacenet_128d.onnx"),
        niqe=False,
        min_face_px=200,
    )
    paths = sorted((shared_faces / "wild").glob("*/*"))
    rows = stage.process(photos(*[path.read_bytes() for path in paths])).to_pylist()
    assert [row["reject"] for row in rows] == [None] * len(paths)
    assert {row["detector"] for row in rows} == {"scrfd:det_scrfd_2.5g"}
    vectors, who = np.array([row["embedding"] for row in rows]), [path.parent.name for path in paths]
    cosines = vectors @ vectors.T
    for i, j in zip(*np.triu_indices(len(paths), 1), strict=True):
        assert (cosines[i, j] >= 0.40) == (who[i] == who[j])
