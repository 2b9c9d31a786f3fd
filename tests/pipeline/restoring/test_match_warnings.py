"""What the user is told about the faces that were taken: how many there were, how alike, and what is doubtful."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facerefs.pipeline.restoring.find_faces import Engines, PhotoFaces, load_engines
from facerefs.pipeline.restoring.match_warnings import match_warnings
from facerefs.pipeline.restoring.photo import Photo, read_photo
from facerefs.pipeline.restoring.same_person import match
from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.calibration import calibration_of
from facerefs.stages.engines.engine import Detection

SAME = 0.4


class Reader:
    """Engines for pictures of one row, whose pixels are embeddings: red for one person, green for another."""

    name = "reader"

    def detect(self, image: UInt8Image) -> list[Detection]:
        return [
            Detection(np.array([10 * x, 0, 10 * x + 10, 10], np.float32), 1.0) for x in range(image.shape[1])
        ]

    def landmarks(self, image: UInt8Image, box: Float32s, five: Float32s | None = None) -> Float32s:
        return np.full((68, 2), box[0] / 10, np.float32)

    def chip(self, image: UInt8Image, landmarks: Float32s) -> UInt8Image:
        return image[:, int(landmarks[0, 0])]

    def embed_chips(self, chips: list[UInt8Image]) -> Float32s:
        vectors = np.stack([chip[0] for chip in chips]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ADA, BEN, BLURRED_ADA = (255, 0, 0), (0, 255, 0), (80, 0, 255)
engines = Engines("embedded", "cpu", Reader(), Reader(), Reader())


def faces(name: str, *people: tuple[int, int, int]) -> PhotoFaces:
    photo = Photo(Path(name), np.array([people], np.uint8))
    return PhotoFaces(photo, engines.detector.detect(photo.pixels), engines)


def warnings(photo: PhotoFaces, *references: PhotoFaces, sharpness: float = 50) -> list[str]:
    found = match(photo.embeddings, [reference.embeddings for reference in references])
    return match_warnings(photo, references, found, SAME, sharpness)


def test_one_face_of_the_person_is_nothing_to_speak_of() -> None:
    assert warnings(faces("a.jpg", ADA), faces("ref.jpg", ADA)) == []


def test_of_several_faces_the_user_learns_which_was_taken_and_how_alike_it_is() -> None:
    (warning,) = warnings(faces("group.jpg", BEN, ADA), faces("ref.jpg", ADA))
    assert warning == (
        "it shows 2 faces: the one most like the reference was taken (1.000; the others 0.000), "
        "10 px wide, around x=15 y=5"
    )


def test_somebody_elses_photo_is_named_with_both_figures() -> None:
    (warning,) = warnings(faces("a.jpg", ADA), faces("ben.jpg", BEN))
    assert warning == (
        "reference ben.jpg does not look like the person: their similarity is 0.000, and two photos of one person "
        "have 0.4 or more (reader)"
    )


def test_a_photo_that_is_its_own_reference_adds_nothing_and_that_is_said() -> None:
    (warning,) = warnings(faces("a.jpg", ADA), faces("./a.jpg", ADA), faces("b.jpg", ADA))
    assert warning.startswith("reference a.jpg is the photo itself")


def test_of_several_references_each_is_checked() -> None:
    (warning,) = warnings(
        faces("a.jpg", ADA), faces("1.jpg", ADA), faces("ben.jpg", BEN), faces("2.jpg", ADA)
    )
    assert warning.startswith("reference ben.jpg does not look like the person: their similarity is 0.000")
    assert warning.endswith("; to the other references it has 0.000")


def test_a_blurred_face_is_a_doubtful_judge_and_that_is_said() -> None:
    (warning,) = warnings(faces("a.jpg", BLURRED_ADA), faces("ref.jpg", ADA), sharpness=1.8)
    assert warning.startswith("reference ref.jpg may show somebody else: their similarity is 0.299")
    assert warning.endswith(
        "so blurred (sharpness 1.8, a sharp one has 40) that the right person may have less, too"
    )


def test_of_a_group_as_reference_the_face_of_the_person_is_taken_and_said() -> None:
    (warning,) = warnings(faces("a.jpg", ADA), faces("group.jpg", BEN, ADA))
    assert warning == (
        "reference group.jpg shows 2 faces: the one most like the face was taken (1.000; the others 0.000), "
        "10 px wide, around x=15 y=5"
    )
    said = warnings(faces("both.jpg", BEN, ADA), faces("group.jpg", BEN, ADA))
    assert said[0].endswith("; another of them looks like the reference, too")


def test_if_no_face_is_the_persons_that_is_said() -> None:
    first, _ = warnings(faces("group.jpg", BEN, BLURRED_ADA), faces("ref.jpg", ADA))
    assert first.endswith("; none of them reaches 0.4, so it may be the wrong one")


@pytest.mark.shared
def test_real_people_are_told_apart_by_the_default_engines(shared_faces: Path, tmp_path: Path) -> None:
    real = load_engines("embedded", "cpu", compare=True)
    assert real.embedder is not None
    wild = shared_faces / "wild"
    large = Image.open(wild / "obama" / "obama.jpg").convert("RGB")
    small = Image.open(wild / "biden" / "biden.jpg").convert("RGB").resize((330, 750))
    group = Image.new("RGB", (large.width + small.width, large.height))
    group.paste(large, (0, 0))
    group.paste(small, (large.width, 0))
    group.save(tmp_path / "group.png")
    photo = real.faces_of(read_photo(tmp_path / "group.png"))
    same = calibration_of(real.embedder.name).same

    for person, is_right in (("biden", True), ("obama", False)):
        reference = real.faces_of(read_photo(wild / person / f"{person}2.jpg"))
        found = match(photo.embeddings, [reference.embeddings])
        assert (photo.found[found.face].box[0] > large.width) == is_right
        assert found.similarities[0] > same
        assert len(match_warnings(photo, [reference], found, same, 50)) == 1
    alone = real.faces_of(read_photo(wild / "biden" / "biden.jpg"))
    (warning,) = match_warnings(alone, [reference], match(alone.embeddings, [reference.embeddings]), same, 50)
    assert "obama2.jpg does not look like the person" in warning
