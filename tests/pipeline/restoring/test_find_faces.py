"""Faces are found in photos that lie on their side, and in small ones; what was guessed is said."""

from pathlib import Path

import numpy as np
import pytest

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.find_faces import Engines, load_engines
from facerefs.pipeline.restoring.photo import Photo
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view


@pytest.fixture(scope="module")
def engines() -> Engines:
    return load_engines("embedded", "cpu", compare=False)


@pytest.fixture(scope="module")
def face() -> Photo:
    return Photo(Path("face.png"), render(draw_person(5, 0), draw_view(5, 0, 0), 400).image)


def test_an_upright_face_is_found_without_a_word(engines: Engines, face: Photo) -> None:
    faces = engines.faces_of(face)
    assert (len(faces), faces.warnings) == (1, ())


@pytest.mark.parametrize(
    ("quarters", "back"), [(1, "90 degrees to the right"), (2, "180 degrees"), (3, "90 degrees to the left")]
)
def test_a_photo_on_its_side_is_turned_and_that_is_said(
    engines: Engines, face: Photo, quarters: int, back: str
) -> None:
    faces = engines.faces_of(face.turned(quarters))
    assert faces.warnings == (
        f"it was not upright, and was turned: its face is found only with the photo turned by {back}",
    )
    assert np.array_equal(faces.aligned(0, 64).image, engines.faces_of(face).aligned(0, 64).image)
    assert len(engines.aligned_face(face.turned(quarters)).warnings) == 1
    assert engines.aligned_face(face).warnings == ()


def test_a_small_face_is_found_in_the_enlarged_photo_and_its_size_is_said(
    engines: Engines, face: Photo
) -> None:
    small = Photo(face.path, np.ascontiguousarray(face.pixels[::8, ::8]))
    faces = engines.faces_of(small)
    width_px = float(engines.faces_of(face).found[0].box @ [-1, 0, 1, 0]) / 8
    (warning,) = faces.warnings
    assert warning.startswith("its face is small, ")
    assert warning.endswith(" px wide: it was found only enlarged from 50x50 to 400x400 px")
    assert float(warning.split()[4]) == pytest.approx(width_px, abs=5)
    assert faces.where(0).startswith(warning.split()[4])


def test_where_no_face_is_found_the_sentence_says_what_was_tried_and_what_else_there_is(
    engines: Engines,
) -> None:
    nothing = Photo(Path("wall.png"), np.full((100, 200, 3), 128, np.uint8))
    with pytest.raises(UserError) as caught:
        engines.faces_of(nothing, "; a hint")
    sentence = str(caught.value)
    assert sentence.startswith(
        "dlib-hog finds no face in wall.png; a hint; it was also looked for in the photo turned and enlarged from "
        "200x100 to 1600x800 px: crop a small face, or "
    )
    assert "insightface" in sentence


def test_transparency_is_cut_out_like_the_face(engines: Engines, face: Photo) -> None:
    alpha = np.full(face.pixels.shape[:2], 255, np.uint8)
    alpha[:, :200] = 0
    lying = Photo(face.path, face.pixels, alpha).turned(1)
    found = engines.faces_of(lying).aligned_alpha(0, 64)
    assert found is not None
    assert (found[:, :20].max(), found[:, 44:].min()) == (0, 255)
    assert engines.faces_of(face).aligned_alpha(0, 64) is None
