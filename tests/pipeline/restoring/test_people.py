"""Who is who in a photo, and which reference is taken: by embeddings, landmarks and quality."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.frames import Tracks
from facerefs.pipeline.restoring.matching.people import People, Person, who_is_who
from facerefs.pipeline.restoring.matching.reference_photos import UNNAMED, reference_photos
from facerefs.pipeline.restoring.matching.references import ComparedFace, Reference, choose_references
from facerefs.pipeline.restoring.whole import RestoredFace
from facerefs.trainers.restore import AlignedFace

SAME = 0.8
DLIB = "dlib-resnet-128"


def face(*direction: float, name: str = "a.png", sharpness: float = 40, shift: float = 0) -> ComparedFace:
    vector = np.asarray(direction, np.float32)
    points = np.random.default_rng(0).uniform(100, 400, (68, 2)).astype(np.float32) + np.float32(shift)
    aligned = AlignedFace(np.zeros((512, 512, 3), np.uint8), points)
    return ComparedFace(
        Path(name), name.encode(), aligned, vector / np.linalg.norm(vector), 400, sharpness, (0, 2**64 - 1)
    )


def person(name: str, *faces: ComparedFace) -> Person:
    return Person(name, tuple(Reference((one,)) for one in faces))


ANN, BOB = person("ann", face(1, 0, 0)), person("bob", face(0, 1, 0))


def test_every_face_gets_its_person_and_a_stranger_none() -> None:
    ann, stranger, bob = who_is_who([face(1, 0.1, 0), face(0.2, 0.2, 1), face(0, 1, 0.2)], [ANN, BOB], SAME)
    assert (ann.person, stranger.person, bob.person) == (ANN, None, BOB)
    assert ann.similarity == pytest.approx(0.995, abs=1e-3)
    assert ann.doubt is None
    assert "like nobody of the references: most like" in str(stranger.why_none)


def test_nobody_is_in_a_photo_twice_and_the_better_match_wins() -> None:
    worse, better = who_is_who([face(1, 0.4, 0), face(1, 0.1, 0)], [ANN], SAME)
    assert (worse.person, better.person) == (None, ANN)
    assert "it looks like ann (0.928), but face 2 of this photo is taken for ann (0.995)" in str(
        worse.why_none
    )


def test_a_doubtful_face_is_taken_only_if_it_is_too_blurred_to_tell_or_alone_and_that_is_said() -> None:
    sharp, blurred = face(0.6, 0, 0.8), face(0.6, 0, 0.8, sharpness=1)
    (alone,) = who_is_who([sharp], [ANN], SAME)
    assert alone.person is ANN
    assert "does not look like ann: their similarity is 0.600" in str(alone.doubt)
    assert who_is_who([sharp], [ANN, BOB], SAME)[0].person is None
    (unclear,) = who_is_who([blurred], [ANN, BOB], SAME)
    assert unclear.person is ANN
    assert "so blurred (sharpness 1.0" in str(unclear.doubt)


def test_person_overrules() -> None:
    faces = [face(0.9, 0.5, 0), face(0.3, 0.3, 1)]
    first, second = who_is_who(faces, [ANN, BOB], SAME, asked=BOB)
    assert (first.person, second.person) == (BOB, None)
    assert "as asked by --person, bob is taken" in str(first.doubt)
    with pytest.raises(UserError, match="--person eve is none of the people of the references: ann, bob"):
        People((ANN, BOB)).named("eve")


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_no_person_is_ever_taken_twice(faces: int, people: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = [person(str(number), face(*rng.normal(size=3))) for number in range(people)]
    shown = [face(*rng.normal(size=3), sharpness=float(rng.choice([1, 40]))) for _ in range(faces)]
    taken = [one.person.name for one in who_is_who(shown, known, SAME) if one.person]
    assert len(taken) == len(set(taken))


def test_the_reference_with_the_nearest_landmarks_is_taken_of_those_with_nothing_against_them() -> None:
    target = face(1, 0, 0, name="target.png")
    near = replace(face(1, 0.6, 0, name="near.png", shift=5), hashes=(2**40 - 1, 2**64 - 1))
    far = replace(near, path=Path("far.png"), aligned=face(1, 0, 0, shift=50).aligned)
    small = replace(near, path=Path("small.png"), aligned=target.aligned, width_px=40)
    itself = replace(target, path=Path("copy of target.png"))
    blurred = replace(near, path=Path("blurred.png"), aligned=target.aligned, sharpness=1)
    references = [Reference((one,)) for one in (itself, small, far, blurred, near)]
    best, second = choose_references(target, references, 2, 512, DLIB)
    assert [best.face.path.name, second.face.path.name] == ["near.png", "far.png"]
    assert best.against == ()
    (pinned,) = choose_references(target, references, 1, 512, DLIB, first=Path("far.png"))
    assert pinned.face.path.name == "far.png"
    for reference, sentence in (
        (itself, "is the photo itself"),
        (
            replace(itself, digest=b"other"),
            "seems to be a copy of this photo .similarity 1.000, hashes 0 bits",
        ),
        (small, "is small: its face square is 40 px wide, the model's 512"),
        (blurred, "is blurred .sharpness 1.0"),
    ):
        (only,) = choose_references(target, [Reference((reference,))], 1, 512, DLIB)
        assert len(only.against) == 1
        with pytest.raises(UserError, match=sentence):
            raise UserError(only.against[0])


def test_references_are_photos_a_folder_or_a_folder_per_person(tmp_path: Path) -> None:
    for name in ("family/ann/2.jpg", "family/ann/1.jpg", "family/bob/1.jpg", "family/list.txt", "eve/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\xd8\xff" if name.endswith("jpg") else b"text")
    found = reference_photos([tmp_path / "family", tmp_path / "eve", tmp_path / "eve" / "1.jpg"])
    assert {name: [path.name for path in photos] for name, photos in found.items()} == {
        "ann": ["1.jpg", "2.jpg"],
        "bob": ["1.jpg"],
        "eve": ["1.jpg"],
        UNNAMED: ["1.jpg"],
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no photos, and no folders of them"):
        reference_photos([tmp_path / "empty"])


def test_a_face_of_a_video_stays_the_same_persons() -> None:
    tracks = Tracks()
    tracks.add(
        [
            RestoredFace(1, (0, 0, 100, 100), "ann", reference=Path("1.png")),
            RestoredFace(2, (300, 0, 400, 100)),
        ]
    )
    known = tracks.known([(290, 0, 390, 100), (10, 5, 110, 105)])
    assert {number: one.person for number, one in known.items()} == {1: "ann"}
    assert known[1].reference == Path("1.png")
    for _ in range(10):
        tracks.add([])
    assert tracks.known([(0, 0, 100, 100)])
    tracks.add([])
    assert not tracks.known([(0, 0, 100, 100)])
