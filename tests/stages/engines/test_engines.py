"""The engines, on public photos and, where weights are available, on photos of real people."""

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from facerefs.stages.engines.calibration import CALIBRATIONS, calibration_of, fallback_of
from facerefs.stages.engines.dlib import Dlib68, DlibResnet, HogDetector
from facerefs.stages.engines.engine import (
    Detection,
    Embedder,
    MissingWeights,
    largest_first,
    search_sides_px,
    shrink_to,
)
from facerefs.stages.engines.load import load_detector, load_embedder, load_landmarker
from facerefs.stages.engines.session import run_in_batches
from facerefs.stages.engines.weights import DLIB_EMBEDDER, find_dlib_weights, find_onnx_files
from facerefs.stages.faces import geometry
from facerefs.stages.synthetic_people.render import Rendering, draw_person, draw_view, render

EYES = np.array([[203.0, 101], [247, 104]])  # of the astronaut, left and right in the photo, by hand


@pytest.fixture(scope="module")
def landmarker() -> Dlib68:
    return Dlib68()


@pytest.fixture(scope="module")
def embedder() -> DlibResnet:
    return DlibResnet()


@pytest.fixture(scope="module")
def rendered() -> list[list[Rendering]]:
    """Three photos of each of four people."""
    return [
        [render(draw_person(11, person), draw_view(11, person, view), 256) for view in range(3)]
        for person in range(4)
    ]


def first_face(photo: np.ndarray, side_px: int = 1024) -> Detection:
    return HogDetector(side_px).detect(photo)[0]


def test_hog_finds_the_face_and_the_predictor_its_eyes(landmarker: Dlib68) -> None:
    photo = astronaut()
    detections = HogDetector(1024).detect(photo)
    assert len(detections) == 1
    left, top, right, bottom = detections[0].box
    x, y = EYES.T
    assert ((left < x) & (x < right) & (top < y) & (y < bottom)).all()
    found = geometry.five_points(landmarker.landmarks(photo, detections[0].box))[:2]
    np.testing.assert_allclose(found, EYES, atol=5)


@pytest.mark.parametrize("times", [2, 3])
def test_detection_on_a_reduced_copy_answers_in_photo_pixels(times: int, landmarker: Dlib68) -> None:
    photo = astronaut()
    small = first_face(photo)
    large_photo = np.asarray(Image.fromarray(photo).resize((512 * times, 512 * times)))
    large = first_face(large_photo, side_px=512)
    np.testing.assert_allclose((large.box + 0.5) / times, small.box + 0.5, atol=8)
    points = landmarker.landmarks(large_photo, large.box)
    expected = (landmarker.landmarks(photo, small.box) + 0.5) * times - 0.5
    assert np.hypot(*(points - expected).T).mean() < 3 * times


def test_upsampling_finds_smaller_faces() -> None:
    small = np.asarray(Image.fromarray(astronaut()).resize((256, 256), Image.Resampling.LANCZOS))
    assert not HogDetector(1024).detect(small)
    assert len(HogDetector(1024, upsample=1).detect(small)) == 1


def test_an_empty_wall_has_no_face() -> None:
    assert HogDetector(1024).detect(np.full((300, 200, 3), 90, dtype=np.uint8)) == []


@pytest.mark.parametrize("size", [(1, 1), (64, 4000), (3000, 2)])
def test_photos_of_extreme_shapes_are_accepted(size: tuple[int, int]) -> None:
    assert HogDetector(512).detect(np.zeros((*size, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("aside", [-0.35, 0.35])
def test_five_known_points_tell_where_the_face_is_in_a_box_that_is_off(
    aside: float, landmarker: Dlib68
) -> None:
    """On a profile SCRFD's box lies beside the face that the predictor knows."""
    photo = astronaut()
    box = first_face(photo).box
    expected = landmarker.landmarks(photo, box)
    five = geometry.five_points(expected).astype(np.float32)
    off = box + (box[2] - box[0]) * np.float32([aside, 0, aside, 0])
    eyes = np.hypot(*(five[1] - five[0]))
    assert np.hypot(*(landmarker.landmarks(photo, off) - expected).T).mean() > 0.1 * eyes
    assert np.hypot(*(landmarker.landmarks(photo, off, five) - expected).T).mean() < 0.03 * eyes


def test_landmarks_of_synthetic_people_are_near_the_truth(
    rendered: list[list[Rendering]], landmarker: Dlib68
) -> None:
    errors = []
    for photo in (photo for person in rendered for photo in person):
        truth = geometry.five_points(photo.landmarks)
        found = geometry.five_points(landmarker.landmarks(photo.image, first_face(photo.image).box))
        errors.append(np.hypot(*(found - truth).T).mean() / np.hypot(*(truth[1] - truth[0])))
    assert np.mean(errors) < 0.10  # of the distance between the eyes


def embedding(embedder: Embedder, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return embedder.embed_chips([embedder.chip(image, landmarks)])[0]


def test_a_person_is_nearer_to_themselves_than_to_others(
    rendered: list[list[Rendering]], embedder: DlibResnet
) -> None:
    vectors = np.array([[embedding(embedder, p.image, p.landmarks) for p in person] for person in rendered])
    flat, who = vectors.reshape(-1, 128), np.repeat(np.arange(4), 3)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), 1, atol=1e-6)
    cosines = flat @ flat.T
    same = cosines[(who[:, None] == who) & ~np.eye(12, dtype=bool)]
    assert np.median(same) > np.median(cosines[who[:, None] != who])
    np.fill_diagonal(cosines, -1)
    assert (who[cosines.argmax(axis=1)] == who).mean() > 0.7


def test_an_embedding_depends_on_its_face_only(embedder: DlibResnet, landmarker: Dlib68) -> None:
    photo = astronaut()
    points = landmarker.landmarks(photo, first_face(photo).box)
    there = embedding(embedder, photo, points)
    np.testing.assert_array_equal(embedding(embedder, photo, points), there)
    padded = np.pad(photo, ((40, 0), (60, 0), (0, 0)))
    assert embedding(embedder, padded, points + np.float32([60, 40])) @ there > 0.99


def test_the_embedding_is_the_one_of_face_recognition(embedder: DlibResnet, landmarker: Dlib68) -> None:
    """Its recipe: the network on the photo and the predictor's shape, without jitter."""
    import dlib

    photo = astronaut()
    points = np.rint(landmarker.landmarks(photo, first_face(photo).box)).astype(int)
    folder = Path(__import__("importlib.util").util.find_spec("face_recognition_models").origin).parent
    network = dlib.face_recognition_model_v1(str(next(folder.glob("models/*resnet*"))))
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), [dlib.point(*p) for p in points.tolist()])
    theirs = np.array(network.compute_face_descriptor(photo, shape))
    np.testing.assert_allclose(
        embedding(embedder, photo, points.astype(np.float32)), theirs / np.linalg.norm(theirs), atol=1e-6
    )


def test_an_embedding_has_the_same_bits_alone_and_among_others(
    rendered: list[list[Rendering]], embedder: DlibResnet
) -> None:
    chips = [embedder.chip(photo.image, photo.landmarks) for person in rendered for photo in person]
    together = embedder.embed_chips(chips)
    np.testing.assert_array_equal(np.concatenate([embedder.embed_chips([chip]) for chip in chips]), together)
    np.testing.assert_array_equal(embedder.embed_chips(chips[:5]), together[:5])
    np.testing.assert_array_equal(embedder.embed_chips(chips[::-1]), together[::-1])
    first = rendered[0][0]
    np.testing.assert_array_equal(embedding(embedder, first.image, first.landmarks), together[0])


def test_the_network_gives_what_dlib_gives(rendered: list[list[Rendering]], embedder: DlibResnet) -> None:
    import dlib

    network = dlib.face_recognition_model_v1(str(find_dlib_weights(None, DLIB_EMBEDDER)))
    chips = [embedder.chip(person[0].image, person[0].landmarks) for person in rendered]
    chips += [np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)]
    theirs = np.array([network.compute_face_descriptor(chip) for chip in chips])
    expected = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.embed_chips(chips), expected, atol=1e-6)


@pytest.mark.parametrize(("batch", "device", "asked"), [("N", "cpu", 1), ("N", "cuda", 16), (3, "cpu", 3)])
def test_a_network_always_gets_the_same_batch_size(batch: str | int, device: str, asked: int) -> None:
    class Session:
        sizes: ClassVar[set[int]] = set()

        def get_inputs(self) -> list:
            return [SimpleNamespace(name="x", shape=[batch, 2])]

        def run(self, _outputs: None, inputs: dict) -> list:
            self.sizes.add(len(inputs["x"]))
            return [inputs["x"] * 2]

    rows = np.arange(14, dtype=np.float32).reshape(7, 2)
    np.testing.assert_array_equal(run_in_batches(Session(), rows, device), rows * 2)
    assert Session.sizes == {asked}


def test_detections_come_largest_first() -> None:
    boxes = [np.float32([0, 0, 4, 4]), np.float32([9, 0, 12, 3]), np.float32([5, 0, 9, 4])]
    ordered = largest_first([Detection(box, 1.0) for box in boxes])
    assert [float(face.box[0]) for face in ordered] == [0, 5, 9]


def test_a_reduced_photo_comes_with_the_factors_back_to_the_photo() -> None:
    small, scale = shrink_to(np.zeros((300, 1000, 3), dtype=np.uint8), 250)
    assert small.shape == (75, 250, 3)
    np.testing.assert_allclose(scale, 4)
    assert shrink_to(small, 250)[0].shape == small.shape


def test_a_photo_is_first_searched_at_the_size_that_its_smallest_wanted_face_needs() -> None:
    portrait = np.zeros((1000, 500, 3), dtype=np.uint8)
    assert search_sides_px(portrait, most_px=640, face_px=256, shown_px=64) == [250, 640]
    assert search_sides_px(portrait, most_px=640, face_px=50, shown_px=64) == [640]
    assert search_sides_px(portrait, most_px=640, face_px=0, shown_px=64) == [640]
    assert search_sides_px(portrait[:3, :3], most_px=640, face_px=256, shown_px=64) == [1, 640]


def test_hog_searches_a_larger_size_only_where_it_found_no_face(monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        "facerefs.stages.engines.dlib.shrink_to", lambda image, px: seen.append(px) or shrink_to(image, px)
    )
    photo = astronaut()
    (exact,) = load_detector("dlib", None, "cpu", None, 0).detect(photo)
    assert seen == [1280]
    found = load_detector("dlib", None, "cpu", None, 0, min_face_px=250).detect(photo)
    quick = max(found, key=lambda face: face.score)
    assert len(seen) == 2
    assert seen[1] < 512
    np.testing.assert_allclose(quick.box, exact.box, atol=0.1 * (exact.box[2] - exact.box[0]))
    (small,) = load_detector("dlib", None, "cpu", None, 0, min_face_px=1000).detect(photo)
    assert len(seen) == 4
    np.testing.assert_array_equal(small.box, exact.box)
    load_detector("dlib", None, "cpu", 700, 0, min_face_px=250).detect(photo)
    assert seen[4:] == [700]  # a configured side is kept


@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize("factor", [1.5, 4])
def test_reducing_a_photo_does_not_shift_it(sharp: bool, factor: float) -> None:
    y, x = np.mgrid[:600, :900]
    photo = np.repeat((127.5 + 100 * np.sin(x / 60 + y / 90))[..., None], 3, axis=2).round().astype(np.uint8)
    small, scale = shrink_to(photo, round(900 / factor), sharp)
    y, x = np.mgrid[: small.shape[0], : small.shape[1]]
    x, y = (x + 0.5) * scale[0] - 0.5, (y + 0.5) * scale[1] - 0.5
    off = (small[..., 0] - (127.5 + 100 * np.sin(x / 60 + y / 90)))[3:-3, 3:-3]
    assert np.abs(off).max() < 1.5


@pytest.mark.parametrize("load", [load_detector, load_embedder])
def test_missing_insightface_weights_are_one_sentence(load, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    extra = (None, 0) if load is load_detector else ()
    with pytest.raises(MissingWeights, match=r"buffalo_l is neither .* non-commercial research only"):
        load("insightface", None, "cpu", *extra)
    assert not (tmp_path / ".insightface").exists()  # nothing was downloaded


def test_missing_dlib_and_fan_weights_are_one_sentence(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"curl -L --create-dirs -o .*2DFAN4.* https://"):
        load_landmarker("fan", None, "cpu")
    with pytest.raises(MissingWeights, match="is not there"):
        load_landmarker("dlib", str(tmp_path / "none.dat"), "cpu")
    assert list(tmp_path.rglob("*")) == []


def test_every_calibration_is_in_order_and_an_unknown_embedder_is_named() -> None:
    for name, known in CALIBRATIONS.items():
        assert 0 < known.same < known.copy < known.session < known.same_shot < 1
        assert calibration_of(name) is known
        assert fallback_of(name) is None
    with pytest.raises(
        ValueError, match="measure it with facerefs calibrate, or set the similarity thresholds"
    ):
        calibration_of("facenet")
    assert fallback_of("facenet") is None


def test_an_embedder_that_was_not_measured_uses_a_named_fallback() -> None:
    lender = fallback_of("arcface:w600k_r50")
    assert lender == "arcface:arcface_mobilefacenet_128d"
    assert calibration_of("arcface:w600k_r50") == CALIBRATIONS[lender]


def test_fan_agrees_with_face_alignment_given_the_same_network(tmp_path: Path) -> None:
    """With an untrained network, since there are no weights here: crop, flip and peaks are compared."""
    import torch
    from face_alignment.api import FaceAlignment, LandmarksType
    from face_alignment.models import FAN

    from facerefs.stages.engines.fan import Fan

    torch.manual_seed(0)
    network = FAN(4).eval()
    torch.save(network.state_dict(), tmp_path / "fan.pth")
    box = first_face(astronaut()).box
    ours = Fan(str(tmp_path / "fan.pth"), "cpu").landmarks(astronaut(), box)

    theirs = FaceAlignment.__new__(FaceAlignment)  # its constructor would download
    theirs.face_alignment_net, theirs.landmarks_type = network, LandmarksType.TWO_D
    theirs.device, theirs.dtype, theirs.flip_input, theirs.max_batch_size = "cpu", torch.float32, True, 1
    theirs.face_detector = type("Sfd", (), {"reference_scale": 195})
    (expected,) = theirs.get_landmarks_from_image(astronaut(), detected_faces=[(box + 0.5).tolist()])
    np.testing.assert_allclose(ours + 0.5 - expected, 0.5, atol=0.501)  # theirs are cut to whole pixels


@pytest.mark.shared
def test_scrfd_and_arcface_on_real_people(
    shared_faces: Path, shared_models: Path, landmarker: Dlib68
) -> None:
    scrfd = load_detector("insightface", str(shared_models / "det_scrfd_2.5g.onnx"), "cpu", 320, 0)
    arcface = load_embedder("insightface", str(shared_models / "arcface_mobilefacenet_128d.onnx"), "cpu")
    assert (scrfd.name, arcface.name) == ("scrfd:det_scrfd_2.5g", "arcface:arcface_mobilefacenet_128d")
    photos = sorted((shared_faces / "aligned512").glob("*/*.png"))[::3]
    vectors = []
    for path in photos:
        photo = np.asarray(Image.open(path).convert("RGB"))
        (face, *_) = scrfd.detect(photo)
        points = landmarker.landmarks(photo, face.box)
        between_eyes = np.hypot(*(face.points[1] - face.points[0]))
        assert np.hypot(*(face.points - geometry.five_points(points)).T).mean() < 0.15 * between_eyes
        vectors.append(embedding(arcface, photo, points))
    who = np.array([path.parent.name for path in photos])
    cosines = np.array(vectors) @ np.array(vectors).T
    threshold = calibration_of(arcface.name).same
    assert (cosines[who[:, None] != who] < threshold).mean() > 0.99
    assert (cosines[who[:, None] == who] >= threshold).mean() > 0.97
    np.fill_diagonal(cosines, -1)
    assert (who[cosines.argmax(axis=1)] == who).all()


@pytest.mark.shared
@pytest.mark.parametrize("size", [(1, 1), (2, 20000), (20000, 2), (64, 4000)])
def test_scrfd_accepts_photos_of_extreme_shapes(size: tuple[int, int], shared_models: Path) -> None:
    scrfd = load_detector("insightface", str(shared_models / "det_scrfd_2.5g.onnx"), "cpu", None, 0)
    assert scrfd.detect(np.zeros((*size, 3), dtype=np.uint8)) == []


@pytest.mark.shared
def test_scrfd_takes_no_more_memory_with_every_shape_of_photo(shared_models: Path) -> None:
    """InsightFace makes a session, of 30 MB, for every size of input unless it is told not to."""
    scrfd = load_detector("insightface", str(shared_models / "det_scrfd_2.5g.onnx"), "cpu", 320, 0)
    for width in (64, 128, 192, 256):
        scrfd.detect(np.zeros((256, width, 3), dtype=np.uint8))
    sessions = scrfd._model.resolution_sessions
    assert len(sessions) > 3
    assert len({id(session) for session in sessions.values()}) == 1


@pytest.mark.shared
def test_the_points_stay_on_a_profile(shared_faces: Path, shared_models: Path, landmarker: Dlib68) -> None:
    photo = np.asarray(Image.open(shared_faces / "ffhq_alignment" / "raw" / "o9.jpg").convert("RGB"))
    weights = str(shared_models / "det_scrfd_2.5g.onnx")
    (face, *_) = load_detector("insightface", weights, "cpu", None, 0).detect(photo)
    points = landmarker.landmarks(photo, face.box, face.points)
    between_eyes = np.hypot(*(face.points[1] - face.points[0]))
    assert np.hypot(*(geometry.five_points(points) - face.points).T).mean() < 0.2 * between_eyes


@pytest.mark.shared
def test_arcface_gives_the_embeddings_of_insightface(shared_models: Path, landmarker: Dlib68) -> None:
    """InsightFace's own alignment, without our antialiasing, on a photo that needs none."""
    from insightface.model_zoo import get_model
    from insightface.utils.face_align import norm_crop

    weights = str(shared_models / "arcface_mobilefacenet_128d.onnx")
    photo = astronaut()
    points = landmarker.landmarks(photo, first_face(photo).box)
    five = geometry.five_points(points).astype(np.float32)
    theirs = get_model(weights).get_feat(norm_crop(photo[..., ::-1], five))[0]
    ours = embedding(load_embedder("insightface", weights, "cpu"), photo, points)
    assert ours @ theirs / np.linalg.norm(theirs) > 0.98


@pytest.mark.shared
def test_a_folder_or_a_pack_is_searched_for_the_right_model(
    shared_models: Path, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    pack = tmp_path / ".insightface" / "models" / "mine"
    pack.mkdir(parents=True)
    for weights in shared_models.glob("*.onnx"):
        (pack / weights.name).symlink_to(weights)
    assert load_detector("insightface", "mine", "cpu", 320, 0).name == "scrfd:det_scrfd_2.5g"
    assert load_embedder("insightface", str(pack), "cpu").name == "arcface:arcface_mobilefacenet_128d"
    (pack / "arcface_mobilefacenet_128d.onnx").unlink()
    with pytest.raises(MissingWeights, match="holds no InsightFace model for recognition"):
        load_embedder("insightface", "mine", "cpu")


def test_what_macos_leaves_beside_weights_is_none_of_them(tmp_path: Path) -> None:
    for name in ("det.onnx", "._det.onnx"):
        (tmp_path / name).touch()
    assert find_onnx_files(str(tmp_path)) == [tmp_path / "det.onnx"]
