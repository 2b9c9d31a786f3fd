import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reject import Reject
from schemas.tables import PAIRS
from stages.select import Select
from tests.stages.synthetic import face_id, faces_table, unit

ALL_BITS = 2**64 - 1


def portraits(number: int, seed: int = 0, **columns) -> pa.Table:
    """Faces with random landmarks in crops of 256 px, far hashes, and cosines near 0.5."""
    rng = np.random.default_rng(seed)
    given_columns = {
        "landmarks": rng.integers(0, 256, (number, 136)),
        "crop_size": [256] * number,
        "yaw": rng.integers(-40, 40, number).astype(np.float32),
        "pitch": rng.integers(-20, 20, number).astype(np.float32),
        "crop_phash": rng.integers(0, 2**63, number).astype(np.uint64),
        "crop_phash_mirror": rng.integers(0, 2**63, number).astype(np.uint64),
        **columns,
    }
    vectors = given_columns.pop("vectors", None)
    if vectors is None:
        vectors = unit(unit(rng.normal(size=(number, 16))) + unit(rng.normal(size=(1, 16))))
    table = faces_table(vectors, **given_columns)
    parts = [f"part-{i // 3:05d}" for i in range(number)]
    return table.append_column("part", pa.array(parts))


def identified(identities: list[str | None]) -> pa.Table:
    return pa.table(
        {
            "face": [face_id(i) for i in range(len(identities))],
            "identity": pa.array(identities, pa.string()),
            "reject": pa.array([None if one else "no_identity" for one in identities], pa.string()),
        }
    )


def selected(faces: pa.Table, identities: pa.Table, **settings_of) -> pa.Table:
    return Select(**settings_of).process({"faces": faces, "identities": identities})


def references(pairs: pa.Table, target: int) -> list[str]:
    rows = [row for row in pairs.to_pylist() if row["target"] == face_id(target) and row["rank"] is not None]
    return [row["reference"] for row in sorted(rows, key=lambda row: row["rank"])]


def by_hand(faces: list[dict], identity: dict[str, str], select: Select) -> list[tuple]:
    """The rules of Select, one face after the other."""
    expected = []
    for target in sorted((face for face in faces if face["id"] in identity), key=lambda face: face["id"]):
        candidates = []
        for face in faces:
            if identity.get(face["id"]) != identity[target["id"]] or face["image"] == target["image"]:
                continue
            moved = np.abs(np.array(face["landmarks"]) - np.array(target["landmarks"])).sum() / 68
            cosine = float(np.dot(face["embedding"], target["embedding"]))
            gap = max(abs(face["yaw"] - target["yaw"]), abs(face["pitch"] - target["pitch"]))
            bits = min(
                (face["crop_phash"] ^ target["crop_phash"]).bit_count(),
                (face["crop_phash_mirror"] ^ target["crop_phash"]).bit_count(),
                (face["crop_phash"] ^ target["crop_phash_mirror"]).bit_count(),
            )
            if select.max_pose_gap_deg is not None and gap > select.max_pose_gap_deg:
                continue
            if select.max_similarity is not None and cosine > select.max_similarity:
                continue
            distance = moved / face["crop_size"]
            near = bits <= select.copy_distance or distance <= select.copy_landmarks
            candidates.append((distance, face["id"], near and cosine >= select.copy_similarity))
        candidates.sort()
        chosen = [face for _, face, copy in candidates if not copy][: select.references]
        copies = [face for _, face, copy in candidates[: select.references] if copy]
        expected += [(target["id"], face, rank, None) for rank, face in enumerate(chosen)]
        expected += [(target["id"], face, None, "copy") for face in copies]
        if not chosen:
            expected.append((target["id"], None, None, "no_reference"))
    return expected


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    number=st.integers(1, 30),
    select=st.builds(
        Select,
        references=st.integers(1, 4),
        copy_similarity=st.sampled_from([-1.0, 0.5, 0.9]),
        copy_landmarks=st.sampled_from([0.0, 0.3, 0.6]),
        max_similarity=st.sampled_from([None, 0.6]),
        max_pose_gap_deg=st.sampled_from([None, 20.0]),
    ),
)
def test_the_pairs_are_those_that_the_rules_give_one_by_one(data, number, select):
    def drawn(values):
        return data.draw(st.lists(st.sampled_from(values), min_size=number, max_size=number))

    hashes = [0, 3, 255, 0x7FFF, ALL_BITS]  # 2, 6, 7, 8, 13, 15 and more bits apart
    faces = portraits(
        number,
        seed=data.draw(st.integers(0, 1000)),
        landmarks=np.array(drawn([0, 1, 2, 128]))[:, None]
        * np.ones(136),  # so that distances are often equal
        images=drawn([f"photo {i}" for i in range(number)]),
        crop_phash=drawn(hashes),
        crop_phash_mirror=drawn(hashes),
    )
    identities = identified(drawn(["Ann", "Bob", "Cy", None]))
    pairs = selected(faces, identities, **vars(select))
    assert pairs.schema == PAIRS
    rows = [
        tuple(row[name] for name in ("target", "reference", "rank", "reject")) for row in pairs.to_pylist()
    ]
    known = {row["face"]: row["identity"] for row in identities.to_pylist() if row["identity"]}
    assert rows == by_hand(faces.to_pylist(), known, select)

    image = dict(zip(faces["id"].to_pylist(), faces["image"].to_pylist(), strict=True))
    for row in pairs.to_pylist():
        if row["reference"] is not None:
            assert row["reference"] != row["target"]
            assert image[row["reference"]] != image[row["target"]]
            assert known[row["reference"]] == known[row["target"]] == row["identity"]

    order = data.draw(st.permutations(range(number)))
    assert selected(faces.take(order), identities.take(order[::-1]), **vars(select)).equals(pairs)


def test_a_row_holds_the_figures_and_where_the_faces_lie():
    faces = portraits(4, yaw=[0, 10, 20, 30], pitch=[0, -15, 0, 0], crop_size=[256, 512, 256, 256])
    pairs = selected(faces, identified(["Ann", "Ann", None, "Bob"]))
    rows = faces.to_pylist()
    row = next(row for row in pairs.to_pylist() if row["target"] == face_id(0))
    a, b = np.array(rows[0]["landmarks"]) / 256, np.array(rows[1]["landmarks"]) / 512
    assert row["reference"] == face_id(1)
    assert row["landmark_distance"] == pytest.approx(np.abs(a - b).sum() / 68, rel=1e-5)
    assert row["similarity"] == pytest.approx(np.dot(rows[0]["embedding"], rows[1]["embedding"]), abs=1e-6)
    assert row["pose_gap"] == 15
    assert row["strategy"] == "landmark_nearest"
    assert (row["target_part"], row["reference_part"]) == ("part-00000", "part-00000")
    assert {row["target"] for row in pairs.to_pylist()} == {face_id(i) for i in (0, 1, 3)}


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_is_no_reference_though_its_landmarks_are_nearest(mirrored):
    landmarks = np.zeros((3, 136))
    landmarks[1] = 90 if mirrored else 1  # the landmarks of a mirror image lie elsewhere
    landmarks[2] = 100
    vectors = unit(np.array([[1, 0, 0], [1, 0.1, 0], [1, 0, 1]]))
    faces = portraits(
        3,
        landmarks=landmarks,
        vectors=vectors,
        crop_phash=[0b1, ALL_BITS ^ 0b1111 if mirrored else 0b0, 0xF0F0F0F0F0],
        crop_phash_mirror=[ALL_BITS, 0b0 if mirrored else ALL_BITS, 0x0F0F0F0F0F],
    )
    rows = [
        row for row in selected(faces, identified(["Ann"] * 3)).to_pylist() if row["target"] == face_id(0)
    ]
    assert [(row["reference"], row["rank"], row["reject"]) for row in rows] == [
        (face_id(2), 0, None),
        (face_id(1), None, Reject.COPY),
    ]
    assert rows[1]["reject_detail"].startswith("crop hashes 1 bits apart (up to 8 is near), landmarks 0.")
    assert rows[1]["reject_detail"].endswith(" (up to 0.005 is near), cosine 0.995 (from 0.900)")


def test_a_copy_whose_hash_went_astray_is_known_by_its_landmarks():
    landmarks = np.full((3, 136), 100.0)
    landmarks[1] += 0.5  # of 256 px, in x and in y: 0.4 % together
    landmarks[2] += 50
    faces = portraits(
        3, landmarks=landmarks, vectors=unit(np.ones((3, 3))), crop_phash=[0, 2**40 - 1, 2**50 - 1]
    )
    rows = [
        row for row in selected(faces, identified(["Ann"] * 3)).to_pylist() if row["target"] == face_id(0)
    ]
    assert [(row["reference"], row["reject"]) for row in rows] == [
        (face_id(2), None),
        (face_id(1), Reject.COPY),
    ]


def test_near_hashes_of_unlike_faces_and_alike_faces_of_far_hashes_are_no_copies():
    vectors = unit(np.array([[1, 0, 0], [1, 0.8, 0], [1, 0, 0]]))
    faces = portraits(3, vectors=vectors, crop_phash=[0, 0, 2**40 - 1], crop_phash_mirror=[ALL_BITS] * 3)
    pairs = selected(faces, identified(["Ann"] * 3), references=2)
    assert not [row for row in pairs.to_pylist() if row["reject"]]


def test_a_face_whose_hash_is_unknown_is_a_copy_if_it_is_as_alike_as_one():
    faces = portraits(2, vectors=unit(np.ones((2, 3))), crop_phash=[None, 5], crop_phash_mirror=[None, 6])
    pairs = selected(faces, identified(["Ann"] * 2)).to_pylist()
    assert [row["reject"] for row in pairs] == [Reject.COPY, Reject.NO_REFERENCE] * 2


def test_a_face_without_reference_says_why():
    vectors = unit(np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 5], [1, 1, 0], [1, 0, 0]]))
    faces = portraits(
        6,
        vectors=vectors,
        images=["a", "a", "c", "d", "e", "f"],
        yaw=[0, 0, 0, 0, 60, 0],
        pitch=[0] * 6,
        crop_phash=[0] * 6,
        crop_phash_mirror=[0] * 6,
    )
    pairs = selected(faces, identified(["Ann"] * 5 + ["Bob"]), min_similarity=0.4, max_pose_gap_deg=30)
    why = {row["target"]: row for row in pairs.to_pylist() if row["reject"] == Reject.NO_REFERENCE}
    assert why[face_id(5)]["reject_detail"] == "the only photo of the person"
    assert why[face_id(0)]["reject_detail"] == (
        "of 4 other faces of the person: 1 in the same photo, 1 turned too far from it, 1 not alike enough, "
        "1 copies of it"
    )
    assert why[face_id(0)]["reference"] is None
    assert why[face_id(0)]["rank"] is None


def test_a_face_with_too_few_references_has_none():
    faces, names = portraits(5), identified(["Ann"] * 3 + ["Bob"] * 2)
    pairs = selected(faces, names, references=3, min_references=2).to_pylist()
    assert sorted(row["rank"] for row in pairs if row["reference"]) == [0, 0, 0, 1, 1, 1]
    without = [row for row in pairs if row["reference"] is None]
    assert {row["target"] for row in without} == {face_id(3), face_id(4)}
    assert {row["reject"] for row in without} == {Reject.NO_REFERENCE}
    assert without[0]["reject_detail"] == "fewer than 2 other photos can be its reference"


def test_an_unknown_pose_is_no_reference_where_the_pose_is_limited():
    faces = portraits(
        3, yaw=[0, None, 5], pitch=[0, 0, 0], landmarks=np.array([[0], [1], [9]]) * np.ones(136)
    )
    assert references(selected(faces, identified(["Ann"] * 3)), 0) == [face_id(1)]
    assert references(selected(faces, identified(["Ann"] * 3), max_pose_gap_deg=45), 0) == [face_id(2)]


def test_a_person_of_more_pairs_than_a_block_is_compared_whole():
    number = 300  # 90,000 pairs, in blocks of at most 16,384
    faces = portraits(
        number, landmarks=np.arange(number)[::-1, None] * np.ones(136), crop_size=[1024] * number
    )
    pairs = selected(faces, identified(["Ann"] * number), references=1)
    for target in (0, 1, 54, 55, 150, 298, 299):
        neighbours = {face_id(i) for i in (target - 1, target + 1) if 0 <= i < number}
        assert references(pairs, target)[0] in neighbours
    assert len(pairs) == number


def test_rejected_faces_are_neither_target_nor_reference():
    faces = portraits(3, reject=[None, "face_blurred", None])
    pairs = selected(faces, identified(["Ann"] * 3))
    assert set(pairs["target"].to_pylist()) == {face_id(0), face_id(2)}
    assert references(pairs, 0) == [face_id(2)]


def test_faces_of_several_embedders_are_refused():
    faces = portraits(2, embedder=["arcface:a", "arcface:b"])
    with pytest.raises(ValueError, match="several embedders cannot be compared"):
        selected(faces, identified(["Ann"] * 2))


def test_nobody_identified_is_no_pairs():
    assert selected(portraits(3), identified([None] * 3)).equals(PAIRS.empty_table())
