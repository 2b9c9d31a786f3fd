"""Lines of `overrides.csv` come before every decision of the cluster stage."""

from itertools import pairwise

import numpy as np
import pytest

from facerefs.schemas.reject import Reject
from tests.stages.identities.clustering import clustered, people, rows_by_face
from tests.stages.synthetic import embeddings, face_id, faces_table, unit

MODES = ("trust", "check", "ignore")
ANN, BOB = "person 000", "person 001"


@pytest.fixture(scope="module")
def crowd():
    """20 people of 10 faces; a 201st face, labelled as the first person, is a stranger."""
    _, vectors, labels = people(20, 10)
    return np.concatenate([vectors, embeddings(21, 1, seed=9)[1][20:]]), [*labels, ANN]


def decided(crowd, *lines, **settings_of):
    vectors, labels = crowd
    table = faces_table(vectors, labels, key=[f"{i}.jpg" for i in range(len(labels))])
    return rows_by_face(clustered(table, overrides=lines, **settings_of))


def is_forced(row, line, decision):
    assert (row["decision"], row["forced"], row["certainty"]) == (decision, True, 1)
    assert row["why"] == f"overrides.csv, line {line}"


def test_without_lines_nothing_is_forced(crowd):
    assert not any(row["forced"] for row in decided(crowd))


def test_lines_about_what_is_not_there_do_nothing(crowd):
    lines = [
        ("keep", "0123456789abcdef-0", None),
        ("drop", "nobody.jpg", None),
        ("drop", "nobody", None),
        ("same", "nobody", ANN),
        ("same", face_id(0), "nobody"),
        ("different", "nobody", "0123456789abcdef-0"),
        ("different", face_id(0), "0123456789abcdef-0"),
        ("keep", face_id(0), face_id(1)),
        ("copy", face_id(0), face_id(1)),
    ]
    assert decided(crowd, *lines) == decided(crowd)


@pytest.mark.parametrize("what", [face_id(200), face_id(200)[:16], "200.jpg"], ids=["face", "photo", "key"])
def test_keep_keeps_a_face_with_its_label(crowd, what):
    assert decided(crowd)[200]["reject"] == Reject.WRONG_LABEL
    row = decided(crowd, ("keep", what, None))[200]
    is_forced(row, 2, "kept")
    assert (row["identity"], row["reject"]) == (ANN, None)


def test_keep_of_a_photo_keeps_the_face_that_suits_the_label_best(crowd):
    vectors, labels = crowd
    images = [face_id(i)[:16] for i in range(201)]
    images[200] = images[3]
    rows = rows_by_face(
        clustered(faces_table(vectors, labels, images), overrides=[("keep", images[3], None)])
    )
    is_forced(rows[3], 2, "kept")
    assert rows[200]["identity"] is None


def test_keep_where_labels_are_ignored_gives_the_label_to_an_unassigned_face(crowd):
    row = decided(crowd, ("keep", face_id(200), None), labels="ignore")[200]
    assert row["identity"] == ANN
    assert row["forced"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", [face_id(5), face_id(5)[:16], "5.jpg"], ids=["face", "photo", "key"])
def test_drop_drops_a_face(crowd, what, mode):
    row = decided(crowd, ("drop", what, None), labels=mode)[5]
    is_forced(row, 2, "dropped")
    assert (row["identity"], row["reject"]) == (None, Reject.DROPPED_BY_PERSON)


def test_drop_of_a_name_drops_all_faces_of_that_label_and_of_that_person(crowd):
    vectors, labels = crowd
    labels = [*labels[:15], "person 009", *labels[16:]]  # a face of Bob
    rows = decided((vectors, labels), ("drop", BOB, None))
    assert {row["reject"] for row in rows[10:20]} == {Reject.DROPPED_BY_PERSON}
    assert not any(row["forced"] for row in rows[20:])
    found = decided(crowd, labels="ignore")[0]["identity"]
    rows = decided(crowd, ("drop", found, None), labels="ignore")
    assert {row["reject"] for row in rows[:10] if row["forced"]} == {Reject.DROPPED_BY_PERSON}
    assert sum(row["forced"] for row in rows) >= 9


@pytest.mark.parametrize("mode", MODES)
def test_drop_of_a_name_drops_copies_of_its_photos_under_other_names(crowd, mode):
    vectors, labels = crowd
    table = faces_table(np.concatenate([vectors, vectors[:1]]), [*labels, BOB])
    rows = rows_by_face(clustered(table, copies=[(0, 201)], overrides=[("drop", ANN, None)], labels=mode))
    assert {rows[face]["reject"] for face in (0, 201)} == {Reject.DROPPED_BY_PERSON}
    assert not any(rows[face]["forced"] for face in range(10, 20))


def test_same_moves_a_face_to_a_person_or_to_the_person_of_a_face(crowd):
    for other in (BOB, face_id(12)):
        rows = decided(crowd, ("same", face_id(4), other))
        assert rows[4]["identity"] == BOB
        is_forced(rows[4], 2, "corrected")
    rows = decided(crowd, ("same", BOB, face_id(4)))
    assert rows[4]["identity"] == BOB


def test_same_of_two_unassigned_faces_makes_a_person_of_them(crowd):
    vectors, labels = crowd
    strangers = embeddings(40, 1, seed=12)[1][30:32]
    more = (np.concatenate([vectors, strangers]), [*labels, ANN, BOB])
    rows = decided(more, ("same", face_id(201), face_id(202)))
    assert rows[201]["identity"] == rows[202]["identity"]
    assert rows[201]["identity"].startswith("person-")


def test_a_line_may_depend_on_a_later_one(crowd):
    rows = decided(crowd, ("same", face_id(200), face_id(4)), ("same", face_id(4), "person 007"))
    assert rows[200]["identity"] == rows[4]["identity"] == "person 007"


@pytest.mark.parametrize("mode", ["trust", "check"])
def test_same_makes_one_person_of_two_names_under_the_second(crowd, mode):
    rows = decided(crowd, ("same", ANN, BOB), labels=mode)
    assert {row["identity"] for row in rows[:20]} == {BOB}
    for row in rows[:10]:
        is_forced(row, 2, "merged")
    assert not any(row["forced"] for row in rows[10:20])
    assert ANN not in {row["identity"] for row in rows}


def test_same_merges_people_who_were_found_without_labels(crowd):
    before = decided(crowd, labels="ignore")
    one, other = before[0]["identity"], before[10]["identity"]
    rows = decided(crowd, ("same", one, other), labels="ignore")
    assert [row["identity"] for row in rows[:20]] == [
        other if row["identity"] == one else row["identity"] for row in before[:20]
    ]
    assert all(row["forced"] == (old["identity"] == one) for row, old in zip(rows, before, strict=True))


def test_different_keeps_names_apart_that_would_be_merged(crowd):
    vectors, labels = crowd
    labels = ["Ann", *["Ann (alias)"] * 4, *["Ann"] * 5, *labels[10:]]
    assert {row["identity"] for row in decided((vectors, labels))[:10]} == {"Ann"}
    rows = decided((vectors, labels), ("different", "Ann (alias)", "Ann"))
    assert [row["identity"] for row in rows[:10]] == labels[:10]
    for row in rows[:10]:
        is_forced(row, 2, "kept")
    undone = decided((vectors, labels), ("different", "Ann (alias)", "Ann"), ("same", "Ann (alias)", "Ann"))
    assert {row["identity"] for row in undone[:10]} == {"Ann"}


def test_different_keeps_two_of_three_names_apart_and_lets_the_third_join_one(crowd):
    vectors, labels = crowd
    three = ["A"] * 4 + ["B"] * 3 + ["C"] * 3
    assert len({row["identity"] for row in decided((vectors, three + labels[10:]))[:10]}) == 1
    rows = decided((vectors, three + labels[10:]), ("different", "A", "B"))
    identity = [row["identity"] for row in rows[:10]]
    assert set(identity[:4]).isdisjoint(identity[4:7])
    assert len(set(identity) - {None}) == 2


def test_a_split_is_undone_or_confirmed(crowd):
    vectors, labels = crowd
    labels = [ANN] * 16 + labels[20:60:10] + labels[20:]
    second = f"{ANN} (2)"
    before = decided((vectors, labels))
    split = [i for i, row in enumerate(before) if row["decision"] == "split"]
    assert len(split) >= 5
    rows = decided((vectors, labels), ("same", second, ANN))
    assert {rows[i]["identity"] for i in split} == {ANN}
    assert all(rows[i]["forced"] for i in split)
    rows = decided((vectors, labels), ("different", second, ANN))
    assert {rows[i]["identity"] for i in split} == {second}
    for i in split:
        is_forced(rows[i], 2, "split")


def test_different_moves_a_face_to_another_person_or_drops_it(crowd):
    away = decided(crowd, ("different", face_id(4), ANN))[4]
    is_forced(away, 2, "dropped")
    assert away["reject"] == Reject.WRONG_LABEL
    vectors, labels = crowd
    clear = int((vectors[:10] @ vectors[:10].T).sum(axis=1).argmax())
    labels = [*labels[:clear], BOB, *labels[clear + 1 :]]
    assert decided((vectors, labels))[clear]["identity"] == ANN
    elsewhere = decided((vectors, labels), ("different", face_id(clear), BOB))[clear]
    assert elsewhere["identity"] == ANN
    is_forced(elsewhere, 2, "corrected")
    nowhere = decided(
        (vectors, labels), ("different", face_id(clear), BOB), ("different", face_id(clear), ANN)
    )
    assert nowhere[clear]["identity"] not in {ANN, BOB}


@pytest.mark.parametrize("mode", MODES)
def test_different_separates_two_faces(crowd, mode):
    before = decided(crowd, labels=mode)
    a, b = [i for i, row in enumerate(before) if row["identity"] == before[1]["identity"]][:2]
    rows = decided(crowd, ("different", face_id(a), face_id(b)), labels=mode)
    assert [rows[i]["identity"] for i in (a, b)].count(None) == 1
    assert sum(row["forced"] for row in rows) == 1


def test_later_lines_win(crowd):
    face = face_id(4)
    assert decided(crowd, ("drop", face, None), ("keep", face, None))[4]["identity"] == ANN
    assert decided(crowd, ("keep", face, None), ("drop", face, None))[4]["identity"] is None
    assert decided(crowd, ("same", face, BOB), ("same", face, "person 002"))[4]["identity"] == "person 002"
    assert decided(crowd, ("different", face, ANN), ("keep", face, None))[4]["identity"] == ANN
    names = decided(crowd, ("same", ANN, BOB), ("different", ANN, BOB))
    assert names[0]["identity"] == ANN
    chain = decided(crowd, ("same", ANN, BOB), ("same", BOB, "person 002"))
    assert {row["identity"] for row in chain[:30]} == {"person 002"}
    circle = decided(crowd, ("same", ANN, BOB), ("same", BOB, ANN))
    assert {row["identity"] for row in circle[:20]} == {ANN}


@pytest.mark.parametrize("mode", MODES)
def test_overrides_do_not_depend_on_the_order_of_the_faces(crowd, mode):
    vectors, labels = crowd
    table = faces_table(vectors, labels, key=[f"{i}.jpg" for i in range(201)])
    lines = [("keep", "200.jpg", None), ("same", face_id(4), BOB), ("different", face_id(11), face_id(12))]
    shuffled = table.take(np.random.default_rng(0).permutation(201))
    assert clustered(shuffled, overrides=lines, labels=mode) == clustered(table, overrides=lines, labels=mode)


def test_an_override_may_decide_which_name_a_shot_has(crowd):
    vectors, labels = crowd
    copy = unit(vectors[:1] + 0.01)
    table = faces_table(np.concatenate([vectors, copy]), [*labels, BOB])
    rows = rows_by_face(clustered(table, [(0, 201)], [("keep", face_id(201), None)], labels="trust"))
    assert rows[201]["identity"] == BOB
    assert rows[0]["reject"] == Reject.SECOND_NAME


@pytest.mark.parametrize("mode", MODES)
def test_a_chain_of_faces_is_one_person_however_long_and_whichever_way_it_is_written(crowd, mode):
    faces = list(range(0, 150, 10))
    links = [("same", face_id(a), face_id(b)) for a, b in pairwise(faces)]
    for lines in (links, links[::-1], [*links, ("same", face_id(faces[-1]), face_id(0))]):
        rows = decided(crowd, *lines, labels=mode)
        assert len({rows[i]["identity"] for i in faces}) == 1
        assert rows[0]["identity"] is not None


def test_a_face_linked_with_two_faces_joins_both(crowd):
    rows = decided(crowd, ("same", face_id(0), face_id(10)), ("same", face_id(0), face_id(20)))
    assert {rows[i]["identity"] for i in (0, 10, 20)} == {"person 002"}
    rows = decided(
        crowd,
        ("same", face_id(0), face_id(10)),
        ("same", face_id(0), face_id(20)),
        ("keep", face_id(10), None),
    )
    assert [rows[i]["identity"] for i in (0, 10, 20)] == ["person 002", BOB, "person 002"]


def test_a_line_about_a_face_renames_no_identity(crowd):
    """People found without labels are named after their smallest face, which may be a copy of a larger one."""
    vectors, labels = crowd
    before = decided(crowd, labels="ignore")
    of_one = [i for i, row in enumerate(before) if row["identity"] == before[0]["identity"]]
    smallest, other = sorted(of_one, key=face_id)[:2]
    size_px = [400.0 if i == other else 200.0 for i in range(len(labels))]
    table = faces_table(vectors, labels, face_px=size_px)
    name = before[0]["identity"]
    for line in (("drop", face_id(smallest), None), ("different", face_id(smallest), name)):
        for lines in ([], [line]):
            rows = rows_by_face(clustered(table, [(smallest, other)], lines, labels="ignore"))
            rest = [i for i in of_one if i not in {smallest, other}]
            assert {rows[i]["identity"] for i in rest} == {name}
        assert rows[smallest]["identity"] is None
        is_forced(rows[smallest], 2, "dropped")


@pytest.mark.parametrize("mode", MODES)
def test_a_line_about_one_of_two_copies_takes_nothing_from_the_other(crowd, mode):
    vectors, labels = crowd
    vectors, labels = np.concatenate([vectors, vectors[3:4]]), [*labels, labels[3]]
    table = faces_table(vectors, labels)
    before = rows_by_face(clustered(table, [(3, 201)], labels=mode))
    for line in (("keep", face_id(3), None), ("different", face_id(3), BOB)):
        rows = rows_by_face(clustered(table, [(3, 201)], [line], labels=mode))
        assert [row["identity"] for row in rows] == [row["identity"] for row in before]


@pytest.mark.parametrize("mode", ["trust", "check"])
def test_different_applies_to_copies_of_the_shot_too(crowd, mode):
    vectors, labels = crowd
    vectors, labels = np.concatenate([vectors, vectors[3:4]]), [*labels, labels[3]]
    line = ("different", face_id(3), ANN)
    rows = rows_by_face(clustered(faces_table(vectors, labels), [(3, 201)], [line], labels=mode))
    for i in (3, 201):
        assert rows[i]["identity"] != ANN
        assert (rows[i]["forced"], rows[i]["why"]) == (True, "overrides.csv, line 2")
