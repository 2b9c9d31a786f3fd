"""Copies are no independent evidence, and no shot has two names."""

import numpy as np
import pytest

from facerefs.schemas.reject import Reject
from tests.stages.identities.clustering import clustered, people, rows_by_face
from tests.stages.synthetic import embeddings, faces_table, unit


def near_copy(vector, seed=0, noise=0.05):
    """A copy of a face: nearly the same embedding."""
    rng = np.random.default_rng(seed)
    return unit(vector[None] + noise * unit(rng.normal(size=(1, len(vector)))))


def test_three_copies_of_a_wrong_photo_do_not_outvote_two_right_ones():
    _, vectors, labels = people(20, 10)
    stranger = embeddings(21, 1, seed=9)[1][20:]
    copies = [stranger, near_copy(stranger[0], 1), near_copy(stranger[0], 2)]
    _, own = embeddings(1, 2, seed=77)
    table = faces_table(np.concatenate([vectors, own, *copies]), labels + ["Zoe"] * 5)
    rows = rows_by_face(clustered(table, copies=[(202, 203), (202, 204), (203, 204)]))
    assert [row["identity"] for row in rows[200:202]] == ["Zoe", "Zoe"]
    assert {row["reject"] for row in rows[202:]} == {Reject.WRONG_LABEL}
    alone = rows_by_face(clustered(table))
    assert [row["identity"] for row in alone[200:]] == [None, None, "Zoe", "Zoe", "Zoe"]


def test_copies_do_not_make_up_the_fewest_faces_of_a_person():
    _, vectors = embeddings(2, 2, seed=3)
    table = faces_table(np.concatenate([vectors[:1], near_copy(vectors[0]), vectors[2:]]))
    assert [row["identity"] is None for row in rows_by_face(clustered(table, same=0.3))] == [False] * 4
    rows = rows_by_face(clustered(table, copies=[(0, 1)], same=0.3))
    assert [row["identity"] is None for row in rows] == [True, True, False, False]
    rows = rows_by_face(clustered(table, copies=[(0, 1)], same=0.3, labels="ignore"))
    assert [row["identity"] is None for row in rows] == [True, True, False, False]


def test_a_copy_gets_the_decision_about_its_shot():
    _, vectors, labels = people(20, 10)
    labels[3] = "person 011"
    table = faces_table(
        np.concatenate([vectors, near_copy(vectors[3]), near_copy(vectors[5])]),
        [*labels, labels[3], labels[5]],
    )
    rows = rows_by_face(clustered(table, copies=[(3, 200), (5, 201)]))
    assert [(rows[i]["identity"], rows[i]["decision"]) for i in (3, 200)] == [("person 000", "corrected")] * 2
    assert [(rows[i]["identity"], rows[i]["decision"]) for i in (5, 201)] == [("person 000", "kept")] * 2


@pytest.mark.parametrize("mode", ["trust", "check"])
def test_a_shot_under_two_names_stays_with_the_person_whom_it_suits(mode):
    _, vectors, labels = people(20, 10)
    rows = rows_by_face(
        clustered(
            faces_table(np.concatenate([vectors, near_copy(vectors[0])]), [*labels, "person 007"]),
            [(0, 200)],
            labels=mode,
        )
    )
    assert rows[0]["identity"] == "person 000"
    if mode == "trust":
        assert rows[200]["reject"] == Reject.SECOND_NAME
        assert rows[200]["identity"] is None
        assert rows[200]["decision"] == "dropped"
        assert rows[200]["why"].startswith(
            f"the same shot as {rows[0]['face']}, which suits 'person 000' better: 0."
        )
        assert "to 'person 007'" in rows[200]["why"]
        assert rows[200]["certainty"] > 0.5
    else:
        assert (rows[200]["identity"], rows[200]["decision"]) == ("person 000", "corrected")


def test_a_shot_that_suits_neither_of_two_names_better_is_uncertain():
    _, vectors, labels = people(20, 10)
    between = unit(vectors[:10].mean(axis=0, keepdims=True) + vectors[10:20].mean(axis=0, keepdims=True))
    table = faces_table(np.concatenate([vectors, between, between]), [*labels, labels[0], labels[10]])
    rows = rows_by_face(clustered(table, [(200, 201)]))
    assert [row["identity"] for row in rows[200:]].count(None) == 1
    assert {row["reject"] for row in rows[200:]} == {None, Reject.SECOND_NAME}
    assert all(row["certainty"] < 0.3 for row in rows[200:])


def test_a_face_is_not_compared_with_copies_of_itself():
    """A wrong label on a copy of a person's photo is no evidence against that photo."""
    _, vectors, labels = people(20, 10)
    table = faces_table(np.concatenate([vectors, near_copy(vectors[0])]), [*labels, "Eve"])
    rows = rows_by_face(clustered(table, [(0, 200)]))
    assert rows[0]["identity"] == "person 000"
    assert rows[200]["identity"] == "person 000"
    assert rows[200]["decision"] == "corrected"


@pytest.mark.parametrize("mode", ["trust", "check", "ignore"])
def test_no_shot_is_in_two_identities(mode):
    rng = np.random.default_rng(1)
    _, vectors, labels = people(30, 8)
    pairs = [(int(a), 240 + i) for i, a in enumerate(rng.choice(240, 60, replace=False))]
    copies = np.concatenate([near_copy(vectors[a], i) for i, (a, _) in enumerate(pairs)])
    more = [str(rng.choice(labels)) if i % 2 else labels[a] for i, (a, _) in enumerate(pairs)]
    rows = rows_by_face(
        clustered(
            faces_table(np.concatenate([vectors, copies]), labels + more), pairs, labels=mode, same=0.45
        )
    )
    for a, b in pairs:
        assert len({rows[a]["identity"], rows[b]["identity"]} - {None}) <= 1


def test_a_pair_that_is_unsure_is_no_copy():
    _, vectors, labels = people(20, 10)
    table = faces_table(np.concatenate([vectors, near_copy(vectors[0])]), [*labels, "person 007"])
    rows = rows_by_face(clustered(table, [(0, 200)], kind="unsure", labels="trust"))
    assert rows[200]["identity"] == "person 007"
