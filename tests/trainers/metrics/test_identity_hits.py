"""iPrecision and iRecall are those of a literal loop over RDFR's definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facerefs.trainers.metrics.identity_hits import identity_hits


def literal(
    points: list[list[float]],
    people: list[int],
    others: list[list[float]],
    other_people: list[int],
    k: int,
) -> list[bool]:
    def reach(j: int) -> float:
        return sorted(math.dist(others[j], others[i]) for i in range(len(others)) if i != j)[k - 1]

    hits = []
    for point, person in zip(points, people, strict=True):
        hit = False
        for j in range(len(others)):
            if math.dist(point, others[j]) <= reach(j) and other_people[j] == person:
                hit = True
        hits.append(hit)
    return hits


@given(st.integers(1, 12), st.integers(3, 12), st.integers(1, 2), st.integers(0, 10_000))
def test_it_is_the_literal_loop(count: int, others: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Halves, so that many distances are equal and some points coincide.
    points, faces = ((torch.randn(n, 3, generator=generator) * 2).round() / 2 for n in (count, others))
    people, face_people = (torch.randint(0, 3, (n,), generator=generator) for n in (count, others))
    found = identity_hits(points, people, faces, face_people, k)
    expected = literal(points.tolist(), people.tolist(), faces.tolist(), face_people.tolist(), k)
    assert found.tolist() == expected


def test_a_face_of_another_person_is_no_hit_however_near() -> None:
    faces = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    people = torch.tensor([0, 0, 1, 1])
    assert identity_hits(faces, people, faces, people, 1).tolist() == [True] * 4
    assert identity_hits(faces, 1 - people, faces, people, 1).tolist() == [False, True, True, False]
    assert identity_hits(faces, people + 2, faces, people, 3).tolist() == [False] * 4


def test_too_few_faces() -> None:
    with pytest.raises(ValueError, match="k = 4 neighbours need more than 4 faces, not 4"):
        identity_hits(torch.zeros(1, 2), torch.zeros(1), torch.zeros(4, 2), torch.zeros(4), 4)
