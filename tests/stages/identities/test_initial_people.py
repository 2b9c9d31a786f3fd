"""The person as whom a face begins: its label, or a person found among the faces without one."""

from dataclasses import replace

import numpy as np

from facerefs.stages.identities.initial_people import initial_people
from facerefs.stages.identities.people import UNASSIGNED, Faces
from tests.stages.synthetic import unit

ANN, BOB = 0, 1


def faces(vectors: list[tuple[float, float, float]], label: list[int]) -> Faces:
    count = len(label)
    return Faces(
        id=[f"{i:016x}-0" for i in range(count)],
        image=np.arange(count),
        shot=np.arange(count),
        label=np.array(label),
        names=["Ann", "Bob"],
        vectors=unit(np.array(vectors, np.float32)),
        size_px=np.full(count, 300, np.float32),
    )


def begin(vectors: list[tuple[float, float, float]], label: list[int]) -> tuple[list[int], int]:
    initial, names = initial_people(faces(vectors, label), same=0.8, neighbours=8, min_faces=2)
    assert all(name.startswith("person-") for name in names)
    return initial.tolist(), len(names)


def test_a_person_found_around_the_only_face_of_a_label_has_the_label() -> None:
    vectors = [(1, 0, 0), (1, 0.1, 0), (0, 1, 0), (0, 1, 0.1), (0, 0, 1)]
    label = [ANN, UNASSIGNED, UNASSIGNED, UNASSIGNED, UNASSIGNED]
    assert begin(vectors, label) == ([ANN, ANN, 2, 2, UNASSIGNED], 1)


def test_a_label_of_several_faces_takes_no_part() -> None:
    vectors = [(1, 0, 0), (1, 0.1, 0), (1, 0, 0.1), (1, 0.1, 0.1)]
    assert begin(vectors, [ANN, ANN, UNASSIGNED, UNASSIGNED]) == ([ANN, ANN, 2, 2], 1)


def test_between_two_labels_each_face_goes_to_the_nearer() -> None:
    vectors = [(1, 0, 0), (1, 0.1, 0), (1, 0.3, 0), (1, 0.4, 0)]
    assert begin(vectors, [ANN, UNASSIGNED, UNASSIGNED, BOB]) == ([ANN, ANN, BOB, BOB], 0)


def test_labels_without_unlabelled_faces_stay_as_they_are() -> None:
    assert begin([(1, 0, 0), (1, 0.01, 0)], [ANN, BOB]) == ([ANN, BOB], 0)


def test_nothing_gives_nothing() -> None:
    empty = replace(
        faces([(1, 0, 0)], [ANN]), id=[], label=np.zeros(0, int), vectors=np.zeros((0, 3), np.float32)
    )
    assert initial_people(empty, 0.8, 8, 2)[0].shape == (0,)
