import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import IDENTITIES
from tests.stages.identities.clustering import clustered, people, rows_by_face
from tests.stages.synthetic import embeddings, face_id, faces_table, unit

MODES = ("trust", "check", "ignore")


def two_alike(faces_each: int, seed: int) -> np.ndarray:
    """Two people whom the embedder can hardly distinguish: cosines of 0.98 within, and 0.93 across, a person."""
    rng = np.random.default_rng(seed)
    common, *own = np.linalg.qr(rng.normal(size=(128, 3)))[0].T
    centres = np.sqrt(0.93) * common + np.sqrt(0.05) * np.array(own)
    noise = unit(rng.normal(size=(2 * faces_each, 128)))
    return unit(np.repeat(centres, faces_each, axis=0) + np.sqrt(0.02) * noise)


def pairwise_f(truth: list, found: list) -> float:
    """F of the pairs found to be one person; a face without an identity is in no pair."""
    together = np.equal.outer(np.array(truth), np.array(truth))
    predicted = np.equal.outer(np.array(found, object), np.array(found, object))
    predicted &= np.array([one is not None for one in found])
    np.fill_diagonal(together, False)
    np.fill_diagonal(predicted, False)
    both = (together & predicted).sum()
    return 2 * both / (together.sum() + predicted.sum())


# trust


def test_trust_takes_the_label_as_the_identity():
    _, vectors, labels = people(3, 4)
    labels[5] = None
    rows = rows_by_face(clustered(faces_table(vectors, labels), labels="trust"))
    assert [row["identity"] for row in rows] == labels
    assert [row["reject"] for row in rows] == [Reject.UNLABELLED if i == 5 else None for i in range(12)]
    assert {row["decision"] for row in rows if row["label"]} == {"kept"}


def test_trust_gives_the_label_to_the_face_nearest_to_the_centre_of_photos_with_one_face():
    _, vectors = embeddings(2, 5, seed=1)
    labels = ["Ann"] * 5 + ["Bob"] * 4 + ["Ann"]  # the last face, Bob's, is in the photo of Ann's first
    images = [f"photo {i}" for i in range(9)] + ["photo 0"]
    sizes = [100.0] * 9 + [300.0]
    rows = rows_by_face(clustered(faces_table(vectors, labels, images, face_px=sizes), labels="trust"))
    assert rows[0]["identity"] == "Ann"
    assert rows[9]["identity"] is None
    assert rows[9]["reject"] == Reject.WRONG_LABEL
    assert rows[9]["why"].startswith("another face of the same photo")


def test_trust_gives_the_label_to_the_largest_face_where_no_photo_has_one_face():
    _, vectors = embeddings(4, 1, seed=1)
    table = faces_table(vectors, ["Ann"] * 4, ["a", "a", "b", "b"], face_px=[90.0, 200.0, 200.0, 90.0])
    identities = [row["identity"] for row in rows_by_face(clustered(table, labels="trust"))]
    assert identities == [None, "Ann", "Ann", None]


# check


@pytest.mark.parametrize("squeeze", [0, 0.8], ids=["spread", "squeezed"])
def test_check_finds_wrong_labels_and_merges_split_names(squeeze):
    """Also if the embedder sees all faces as similar (cosines of strangers around 0.8), as no calibration expects."""
    truth, vectors, labels = people(60, 10)
    rng = np.random.default_rng(5)
    common = unit(rng.normal(size=(1, vectors.shape[1])))
    vectors = unit(np.sqrt(1 - squeeze) * vectors + np.sqrt(squeeze) * common)
    for person in (3, 7, 30):
        for face in np.flatnonzero(truth == person)[:4]:
            labels[face] += " (alias)"
    wrong = rng.choice(len(truth), 60, replace=False)
    for face in wrong:
        labels[face] = f"person {(truth[face] + rng.integers(1, 60)) % 60:03d}"

    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    flagged = {i for i, row in enumerate(rows) if row["decision"] in {"dropped", "corrected"}}
    assert len(flagged & set(wrong)) / len(wrong) >= 0.95
    assert len(flagged & set(wrong)) / len(flagged) >= 0.95
    corrected = [i for i, row in enumerate(rows) if row["decision"] == "corrected"]
    assert len(corrected) >= 40
    assert np.mean([rows[i]["identity"] == f"person {truth[i]:03d}" for i in corrected]) >= 0.97
    merged = {(row["label"], row["identity"]) for row in rows if row["decision"] == "merged"}
    assert merged == {(f"person {p:03d} (alias)", f"person {p:03d}") for p in (3, 7, 30)}
    assert pairwise_f(truth, [row["identity"] for row in rows]) >= 0.97


def test_every_decision_against_a_label_says_why_with_figures():
    _, vectors, labels = people(20, 10)
    clear = int(
        (vectors[:10] @ vectors[:10].T).sum(axis=1).argmax()
    )  # the photo most like the person's others
    labels[clear] = labels[50]
    stranger = embeddings(21, 1, seed=9)[1][20:]
    table = faces_table(np.concatenate([vectors, stranger]), [*labels, labels[30]])
    rows = rows_by_face(clustered(table))
    assert rows[clear]["decision"] == "corrected"
    assert rows[clear]["identity"] == "person 000"
    assert rows[clear]["why"].startswith("it is 'person 000': ")
    assert "faces of 'person 005'" in rows[clear]["why"]
    assert rows[200]["decision"] == "dropped"
    assert rows[200]["reject"] == Reject.WRONG_LABEL
    assert rows[200]["identity"] is None
    assert rows[200]["similarity"] < 0.4
    assert rows[200]["other"] in labels
    assert "alike on average to" in rows[200]["why"]


def test_the_larger_label_gives_its_name_and_of_equals_the_first():
    _, vectors, labels = people(12, 12)
    labels[:12] = ["Zoe"] * 7 + ["Ann"] * 5
    labels[12:24] = ["Zed"] * 6 + ["Abe"] * 6
    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    assert {row["identity"] for row in rows[:12]} == {"Zoe"}
    assert {row["identity"] for row in rows[12:24]} == {"Abe"}


def test_labels_are_not_merged_by_one_face_that_resembles_both():
    _, vectors, labels = people(10, 10, seed=2)
    between = unit(vectors[:10].mean(axis=0, keepdims=True) + vectors[10:20].mean(axis=0, keepdims=True))
    table = faces_table(np.concatenate([vectors, between, between]), [*labels, labels[0], labels[10]])
    rows = rows_by_face(clustered(table))
    assert not [row for row in rows if row["decision"] == "merged"]
    assert len({row["identity"] for row in rows[:100]} - {None}) == 10


@pytest.mark.parametrize("seed", range(10))
def test_a_group_photo_does_not_merge_the_two_people_it_shows(seed):
    table = faces_table(
        two_alike(5, seed),
        labels=["Ann"] * 4 + ["Both"] + ["Bob"] * 4 + ["Both"],
        images=["a", "b", "c", "d", "both", "e", "f", "g", "h", "both"],
    )
    identities = [row["identity"] for row in rows_by_face(clustered(table, same=0.9))]
    assert identities == ["Ann"] * 5 + ["Bob"] * 5


@pytest.mark.parametrize("seed", range(10))
def test_a_label_of_photos_of_a_couple_neither_merges_nor_mixes_the_two(seed):
    table = faces_table(
        two_alike(9, seed),
        labels=["Ann"] * 4 + ["Both"] * 5 + ["Bob"] * 4 + ["Both"] * 5,
        images=["a", "b", "c", "d", "1", "2", "3", "4", "5", "e", "f", "g", "h", "1", "2", "3", "4", "5"],
    )
    identities = [row["identity"] for row in rows_by_face(clustered(table, same=0.9))]
    ann, bob = set(identities[:9]) - {None}, set(identities[9:]) - {None}
    assert len(ann) == len(bob) == 1
    assert ann != bob


@pytest.mark.parametrize("labels", [None, ["Both"] * 10], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize("mode", ["check", "ignore"])
@pytest.mark.parametrize("seed", range(10))
def test_a_person_found_in_photos_of_a_couple_is_one_of_the_two(mode, labels, seed):
    table = faces_table(two_alike(5, seed), labels, images=["1", "2", "3", "4", "5"] * 2)
    rows = rows_by_face(clustered(table, labels=mode, same=0.9))
    there = [row["identity"] is not None for row in rows]
    assert there in ([True] * 5 + [False] * 5, [False] * 5 + [True] * 5)


def test_all_groups_of_a_person_stay_not_only_the_largest():
    """A person of two styles, whose cosine across (0.25) is below what makes strangers one person."""
    _, vectors, labels = people(30, 10, seed=3)
    rng = np.random.default_rng(0)
    young = vectors[0] / 2 + np.sqrt(3) / 2 * unit(rng.normal(size=(1, 128)))
    styles = np.concatenate([np.repeat(vectors[:1], 6, axis=0), np.repeat(unit(young), 4, axis=0)])
    styles = unit(styles + 0.07 * rng.normal(size=styles.shape))
    across = (styles[:6] @ styles[6:].T).mean()
    assert 0.2 < across < 0.35
    rows = rows_by_face(clustered(faces_table(np.concatenate([styles, vectors[10:]]), labels)))
    assert [row["identity"] for row in rows[:10]] == ["person 000"] * 10


def test_what_varies_within_people_is_learned_from_the_labels():
    """Pose and light, in four directions that all people share, outweigh the identity; the labels show that."""
    truth, vectors, labels = people(60, 12, seed=1)
    rng = np.random.default_rng(0)
    vectors[:, -4:] += 0.45 * rng.normal(size=(len(vectors), 4))
    vectors = unit(vectors)
    wrong = rng.choice(len(truth), 40, replace=False)
    for face in wrong:
        labels[face] = f"person {(truth[face] + rng.integers(1, 60)) % 60:03d}"
    rows = rows_by_face(clustered(faces_table(vectors, labels)))
    flagged = {i for i, row in enumerate(rows) if row["reject"] or row["decision"] == "corrected"}
    assert len(flagged & set(wrong)) / len(wrong) >= 0.95
    assert len(flagged & set(wrong)) / len(flagged) >= 0.9
    assert pairwise_f(truth, [row["identity"] for row in rows]) >= 0.95


def test_a_label_of_one_face_stays_unless_the_face_is_clearly_someone_else():
    _, vectors, labels = people(20, 10)
    clear = int((vectors[:10] @ vectors[:10].T).sum(axis=1).argmax())
    stranger = embeddings(21, 1, seed=9)[1][20:]
    labels[clear] = "Dee"
    rows = rows_by_face(clustered(faces_table(np.concatenate([vectors, stranger]), [*labels, "Eve"])))
    assert (rows[clear]["identity"], rows[clear]["decision"]) == ("person 000", "corrected")
    assert (rows[200]["identity"], rows[200]["decision"]) == ("Eve", "kept")


def test_another_face_of_a_labelled_photo_is_dropped_or_given_to_its_person():
    _, vectors, labels = people(20, 10)
    stranger = embeddings(21, 1, seed=9)[1][20:]
    with_friend = [np.concatenate([vectors, stranger, vectors[55:56]]), [*labels, labels[0], labels[1]]]
    images = [f"photo {i}" for i in range(200)] + ["photo 0", "photo 1"]
    images[55] = "another"
    rows = rows_by_face(clustered(faces_table(*with_friend, images)))
    assert [row["identity"] for row in rows[:2]] == ["person 000"] * 2
    assert rows[200]["reject"] == Reject.WRONG_LABEL
    assert rows[200]["why"].startswith("another face of the same photo")
    assert rows[201]["identity"] == "person 005"
    assert rows[201]["decision"] == "corrected"


def test_unlabelled_faces_join_the_person_they_show_or_form_new_ones():
    truth, vectors, labels = people(22, 10)
    unlabelled = [None if person >= 20 or i % 10 < 3 else labels[i] for i, person in enumerate(truth)]
    rows = rows_by_face(clustered(faces_table(vectors, unlabelled)))
    assert pairwise_f(truth, [row["identity"] for row in rows]) > 0.95
    new = {row["identity"] for row in rows[200:]} - {None}
    assert len(new) == 2
    assert all(name.startswith("person-") for name in new)
    joined = [row["identity"] for row in rows[:200] if row["decision"] == "discovered"]
    assert len(joined) > 50
    assert set(joined) <= set(labels)


# ignore


def test_ignore_finds_people_by_their_embeddings_alone():
    truth, vectors, labels = people(100, 10)
    rows = rows_by_face(clustered(faces_table(vectors, labels[::-1]), labels="ignore"))
    assert pairwise_f(truth, [row["identity"] for row in rows]) > 0.95
    assert {row["decision"] for row in rows if row["identity"]} == {"discovered"}
    assert all((row["identity"] is None) == (row["reject"] == Reject.NO_IDENTITY) for row in rows)


def test_ignore_finds_people_with_more_faces_than_neighbours_whole():
    truth, vectors = embeddings(3, 60, seed=4)
    rows = rows_by_face(clustered(faces_table(vectors), labels="ignore", neighbours=5))
    assert pairwise_f(truth, [row["identity"] for row in rows]) > 0.97


def test_groups_below_min_faces_are_unassigned():
    _, vectors = embeddings(1, 4, seed=0)
    alone = embeddings(3, 1, seed=6)[1]
    table = faces_table(np.concatenate([vectors, alone]))
    assert [row["reject"] for row in rows_by_face(clustered(table, labels="ignore", same=0.3))] == (
        [None] * 4 + [Reject.NO_IDENTITY] * 3
    )
    five = rows_by_face(clustered(table, labels="ignore", same=0.3, min_faces=5))
    assert {row["reject"] for row in five} == {Reject.NO_IDENTITY}
    assert "fewer than 5 faces" in five[0]["why"]


@pytest.mark.parametrize("mode", ["check", "ignore"])
def test_alike_faces_of_one_photo_are_not_a_discovered_person(mode):
    table = faces_table(two_alike(2, seed=0), images=["a"] * 4)
    rows = rows_by_face(clustered(table, labels=mode, same=0.9))
    assert {row["reject"] for row in rows} == {Reject.NO_IDENTITY}
    table = faces_table(two_alike(2, seed=0), images=["a", "a", "b", "a"])
    rows = rows_by_face(clustered(table, labels=mode, same=0.9))
    assert [row["identity"] is not None for row in rows].count(True) == 2
    assert rows[2]["identity"] is not None


def test_nobody_is_twice_in_a_photo():
    _, vectors = embeddings(1, 6, seed=0)
    table = faces_table(vectors, images=["a", "b", "c", "d", "e", "e"])
    rows = rows_by_face(clustered(table, labels="ignore", same=0.3))
    assert sorted(row["identity"] is None for row in rows[4:]) == [False, True]


# in all modes


@settings(max_examples=80, deadline=None)
@given(data=st.data(), mode=st.sampled_from(MODES))
def test_every_face_that_goes_on_has_one_row_and_the_order_of_rows_does_not_matter(data, mode):
    number = data.draw(st.integers(1, 24))
    seed = data.draw(st.integers(0, 1000))
    _, pool = embeddings(4, 4, seed)  # drawn with repetition: exact copies occur
    vectors = pool[data.draw(st.lists(st.integers(0, 15), min_size=number, max_size=number))]

    def drawn(values):
        return data.draw(st.lists(st.sampled_from(values), min_size=number, max_size=number))

    table = faces_table(
        vectors,
        labels=drawn(["Ann", "Bob", "Ann (alias)", None]),
        images=drawn([f"photo {i}" for i in range(number)]),
        reject=drawn([None, None, None, "face_blurred"]),
    )
    face = st.integers(0, number - 1)
    copies = [pair for pair in data.draw(st.lists(st.tuples(face, face), max_size=4)) if pair[0] != pair[1]]
    someone = st.one_of(face.map(face_id), st.sampled_from(["Ann", "Bob", "Zoe"]))
    line = st.tuples(st.sampled_from(["keep", "drop", "same", "different"]), someone, someone)
    drawn_lines = data.draw(st.lists(line.filter(lambda line: line[1] != line[2]), max_size=4))
    lines = [
        (decision, what, other if decision in {"same", "different"} else None)
        for decision, what, other in drawn_lines
    ]
    identities = clustered(table, copies, lines, labels=mode)
    assert identities.schema == IDENTITIES
    entered = [row["id"] for row in table.to_pylist() if row["reject"] is None]
    assert identities["face"].to_pylist() == sorted(entered)
    for row in identities.to_pylist():
        assert (row["identity"] is None) == (row["reject"] is not None) == (row["decision"] == "dropped")
        assert row["identity"] is None or row["identity"] != row["other"]
        assert 0 <= row["certainty"] <= 1
        assert row["forced"] == (row["why"] or "").startswith("overrides.csv, line ")
        assert row["certainty"] == 1 or not row["forced"]
    identity = {row["face"]: row["identity"] for row in identities.to_pylist()}
    for a, b in copies:
        assert len({identity.get(face_id(a)), identity.get(face_id(b))} - {None}) <= 1
    if not lines:
        image = dict(zip(table["id"].to_pylist(), table["image"].to_pylist(), strict=True))
        there = [(name, image[face]) for face, name in identity.items() if name]
        assert len(there) == len(set(there))
    shuffled = table.take(data.draw(st.permutations(range(number))))
    assert clustered(shuffled, copies, lines, labels=mode).equals(identities)


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_many_rows_does_not_matter(mode):
    _, vectors, labels = people(30, 10)
    labels[::9] = labels[::-9]
    table = faces_table(vectors, labels)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    assert clustered(shuffled, labels=mode).equals(clustered(table, labels=mode))


@pytest.mark.parametrize("mode", MODES)
def test_unlabelled_faces_that_are_similar_to_no_others_are_unassigned(mode):
    _, vectors = embeddings(3, 1, seed=6)
    assert {row["reject"] for row in rows_by_face(clustered(faces_table(vectors), labels=mode))} == {
        Reject.UNLABELLED if mode == "trust" else Reject.NO_IDENTITY
    }


@pytest.mark.parametrize("mode", MODES)
def test_no_faces_are_no_rows(mode):
    assert clustered(faces_table(np.zeros((0, 128), np.float32)), labels=mode).num_rows == 0


@pytest.mark.parametrize("mode", MODES)
def test_faces_of_several_embedders_are_refused(mode):
    _, vectors = embeddings(1, 2, seed=0)
    table = faces_table(vectors, embedder=["arcface:a", "arcface:b"])
    with pytest.raises(ValueError, match="several embedders cannot be compared: arcface:a, arcface:b"):
        clustered(table, labels=mode)


def test_a_threshold_in_the_configuration_is_taken_as_it_is():
    _, vectors, labels = people(30, 10)
    table = faces_table(vectors, labels)
    measured = [row["identity"] for row in rows_by_face(clustered(table))]
    strict = [row["identity"] for row in rows_by_face(clustered(table, same=0.95))]
    assert measured.count(None) < 5
    assert strict.count(None) > 100
