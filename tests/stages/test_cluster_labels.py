"""A label of two people is split, a chain of similar labels merges nobody, and every decision has a certainty."""

from itertools import pairwise

import numpy as np
import pytest

from facerefs.schemas.reject import Reject
from tests.stages.identities.clustering import clustered, people, rows_by_face
from tests.stages.synthetic import embeddings, faces_table, unit


def test_a_label_of_two_people_is_split():
    _, vectors, labels = people(20, 10)
    labels[10:16] = ["person 000"] * 6
    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    assert [row["identity"] for row in rows[:10]] == ["person 000"] * 10
    assert {(row["identity"], row["decision"]) for row in rows[10:16]} == {("person 001", "corrected")}
    assert "6 faces of 'person 000' are another person, 'person 001'" in rows[10]["why"]

    labels[10:20] = ["person 000"] * 10  # now nobody else is known as the second one
    labels[7:10] = ["person 004"] * 3
    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    assert {(row["identity"], row["decision"]) for row in rows[10:20]} == {("person 000", "kept")}
    split = [(row["identity"], row["decision"]) == ("person 000 (2)", "split") for row in rows[:7]]
    assert split.count(True) >= 6  # one of them is unclear
    assert " faces of 'person 000' are another person, 'person 000 (2)': " in rows[0]["why"]
    assert "to the others of 'person 000'" in rows[0]["why"]
    assert {row["identity"] for row in rows[7:10]} == {"person 000 (2)"}
    assert {row["decision"] for row in rows[7:10]} == {"corrected"}


def test_a_label_of_three_people_is_split_in_three_under_free_names():
    _, vectors, labels = people(20, 10)
    labels[:28] = ["Ann"] * 28
    labels[28:30] = labels[30:32]
    labels[40:50] = ["Ann (2)"] * 10
    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    three = [{row["identity"] for row in rows[i : i + 8]} - {None} for i in (0, 10, 20)]
    assert sorted(three, key=sorted) == [{"Ann"}, {"Ann (3)"}, {"Ann (4)"}]
    assert {row["identity"] for row in rows[40:50]} == {"Ann (2)"}


def test_fewer_faces_than_min_split_are_dropped():
    _, vectors, labels = people(20, 10)
    two = embeddings(21, 2, seed=9)[1][40:]
    table = faces_table(np.concatenate([vectors, two]), [*labels, labels[0], labels[0]])
    assert [row["reject"] for row in rows_by_face(clustered(table))[200:]] == [Reject.WRONG_LABEL] * 2
    rows = rows_by_face(clustered(table, min_split=2))
    assert [row["identity"] for row in rows[200:]] == ["person 000 (2)"] * 2


def test_strangers_under_one_label_are_no_second_person():
    """Where a label has many wrong faces, some are alike by chance."""
    _, vectors, labels = people(40, 10)
    strangers = embeddings(300, 1, seed=9)[1]
    rows = rows_by_face(
        clustered(faces_table(np.concatenate([vectors, strangers]), labels + ["person 000"] * 300))
    )
    assert not [row for row in rows if row["decision"] == "split"]


def test_a_chain_of_similar_labels_merges_nobody():
    """Each label is nearly as similar to the next as to itself; the ends are strangers."""
    _, vectors, labels = people(20, 10)
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(128, 128)))[0]
    steps = [np.cos(angle) * axes[0] + np.sin(angle) * axes[1] for angle in np.arange(8) * np.pi / 8]
    chain = unit(np.repeat(steps, 6, axis=0) + 0.6 * unit(rng.normal(size=(48, 128))))
    names = [f"link {i // 6}" for i in range(48)]
    rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, chain]), labels + names)))
    identity = [row["identity"] for row in rows[200:]]
    links = [{i // 6 for i, name in enumerate(identity) if name == one} for one in set(identity) - {None}]
    assert len(links) >= 2
    assert all(max(found) - min(found) <= 3 for found in links)


def test_of_a_label_of_two_photos_that_disagree_the_one_that_shows_nobody_else_stays():
    _, vectors, labels = people(20, 10)
    clear = int((vectors[:10] @ vectors[:10].T).sum(axis=1).argmax())
    own = embeddings(21, 2, seed=9)[1][40:]
    labels[clear] = "Zoe"
    rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, own[:1]]), [*labels, "Zoe"])))
    assert rows[clear]["identity"] == "person 000"
    assert (rows[200]["identity"], rows[200]["decision"]) == ("Zoe", "kept")

    neither = embeddings(22, 1, seed=12)[1][20:]
    rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, neither]), [*labels, "Eve", "Eve"])))
    assert [row["reject"] for row in rows[200:]] == [Reject.WRONG_LABEL] * 2
    assert rows[200]["why"].startswith(
        "it does not go with the other faces of the label: no two photos of 'Eve' agree"
    )


def test_wrong_labels_that_outnumber_the_right_ones_of_a_small_label_do_not_take_it_over():
    _, vectors, labels = people(20, 10)
    own = embeddings(21, 2, seed=9)[1][40:]
    labels[:3] = ["Zoe"] * 3
    rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, own]), [*labels, "Zoe", "Zoe"])))
    assert {row["identity"] for row in rows[:10]} == {"person 000"}
    assert [row["identity"] for row in rows[200:]] == ["Zoe"] * 2


def test_a_face_far_from_its_label_and_from_everybody_is_not_given_to_the_nearest():
    _, vectors, labels = people(100, 10)
    strangers = embeddings(300, 1, seed=9)[1][100:]
    rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, strangers]), labels + labels[::5])))
    corrected = [row for row in rows[1000:] if row["decision"] == "corrected"]
    assert len(corrected) <= 0.03 * 200
    assert np.mean([row["reject"] == Reject.WRONG_LABEL for row in rows[1000:]]) > 0.9


# certainty


@pytest.mark.parametrize("mode", ["trust", "check", "ignore"])
def test_certainty_lies_between_0_and_1_and_clear_cases_near_1(mode):
    _, vectors, labels = people(60, 10)
    labels[::9] = labels[::-9]
    table = clustered(faces_table(vectors, labels), labels=mode)
    certainty = table["certainty"].to_numpy()
    assert table["certainty"].null_count == 0
    assert certainty.min() >= 0
    assert certainty.max() <= 1
    assert np.median(certainty) > 0.8


def test_certainty_falls_towards_the_point_where_the_decision_changes():
    """A face labelled as one person and moved step by step towards another: kept, dropped, corrected."""
    _, vectors, labels = people(20, 10)
    one, other = (unit(vectors[rows].mean(axis=0, keepdims=True)) for rows in (slice(10), slice(10, 20)))
    seen = []
    for share in np.linspace(0, 1, 41):
        between = unit((1 - share) * one + share * other)
        rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, between]), [*labels, labels[0]])))
        seen.append((rows[200]["decision"], rows[200]["certainty"]))
    decisions = [decision for decision, _ in seen]
    assert decisions[0] == "kept"
    assert decisions[-1] == "corrected"
    assert seen[0][1] > 0.9
    assert seen[-1][1] > 0.9
    for (before, low), (after, high) in pairwise(seen):
        if before != after:
            assert min(low, high) < 0.25
        else:
            assert abs(low - high) < 0.25


def test_the_faces_that_are_decided_wrongly_are_among_the_least_certain():
    truth, vectors, labels = people(100, 10, seed=4)
    rng = np.random.default_rng(0)
    vectors = unit(vectors + 0.9 * unit(rng.normal(size=vectors.shape)))
    wrong = rng.choice(1000, 200, replace=False)
    for face in wrong:
        labels[face] = f"person {(truth[face] + rng.integers(1, 100)) % 100:03d}"
    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    right = [row["identity"] == f"person {truth[i]:03d}" for i, row in enumerate(rows)]
    certainty = np.array([row["certainty"] for row in rows])
    assert right.count(False) > 20
    assert certainty[~np.array(right)].mean() < 0.5 * certainty[right].mean()


# labels of one photo


def named(vectors, labels, **settings):
    return rows_by_face(clustered(faces_table(vectors, labels), **settings))


@pytest.mark.parametrize("others", [1, 2, 9])
def test_a_found_person_takes_the_label_that_it_holds(others):
    """One photo of a person is known, the others are not."""
    _, vectors, labels = people(20, 10)
    vectors, labels = vectors[: 191 + others], [*labels[:190], "Ada", *[None] * others]
    rows = named(vectors, labels)
    assert {row["identity"] for row in rows[190:]} == {"Ada"}
    assert [row["decision"] for row in rows[190:]] == ["kept", *["discovered"] * others]


def test_one_known_photo_of_every_person_names_all_of_them():
    person, vectors, labels = people(20, 10)
    first = np.unique(person, return_index=True)[1]
    rows = named(vectors, [label if i in first else None for i, label in enumerate(labels)])
    assert np.mean([row["identity"] == label for row, label in zip(rows, labels, strict=True)]) > 0.95
    assert not [row for row in rows if row["identity"] and row["identity"].startswith("person-")]


def test_the_only_photo_of_a_label_is_not_dropped_for_not_going_with_others():
    """It looks like Ann, of whom there are too few photos to take it for her."""
    _, vectors, labels = people(20, 10)
    alike = embeddings(21, 3, seed=8)[1][60:]
    rows = named(np.concatenate([vectors, alike]), [*labels, "Ann", "Ann", "Zoe"])
    assert [row["identity"] for row in rows[200:]] == ["Ann", "Ann", "Zoe"]
