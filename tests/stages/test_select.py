import json
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import MADE_ELSEWHERE, OVERRIDES, PAIRS
from facerefs.stages.copies.copy_rule import COPY, NEITHER, SESSION, UNKNOWN_BITS, UNSURE, CopyRule
from facerefs.stages.references.chance import hashed
from facerefs.stages.references.component_fit import fit_distance
from facerefs.stages.references.face_arrays import Block
from facerefs.stages.select import Select, Strategy
from facerefs.stages.synthesise.parameters import draw_json
from tests.stages.synthetic import face_id, faces_table, unit

ALL_BITS = 2**64 - 1
EYES_AND_BROWS = [*range(17, 27), *range(36, 48)]
MOUTH = list(range(48, 68))


def random_faces(number: int, seed: int = 0, **columns) -> pa.Table:
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


def override_lines(*rows: tuple[str, str, str | None]) -> pa.Table:
    """Lines 2, 3 ... of the file."""
    named = [
        dict(zip(("line", "decision", "what", "other"), (line, *row), strict=True))
        for line, row in enumerate(rows, 2)
    ]
    return pa.Table.from_pylist(named, OVERRIDES)


def selected(
    faces: pa.Table,
    identities: pa.Table,
    lines: pa.Table | None = None,
    elsewhere: pa.Table | None = None,
    **settings_of,
) -> pa.Table:
    lines = OVERRIDES.empty_table() if lines is None else lines
    tables = {"faces": faces, "identities": identities, "overrides": lines}
    return Select(**settings_of).process(
        tables | {"made_elsewhere": elsewhere or MADE_ELSEWHERE.empty_table()}
    )


def references(pairs: pa.Table, target: int) -> list[str]:
    rows = [row for row in pairs.to_pylist() if row["target"] == face_id(target) and row["rank"] is not None]
    return [row["reference"] for row in sorted(rows, key=lambda row: row["rank"])]


def of_target(pairs: pa.Table, target: int) -> list[dict]:
    return [row for row in pairs.to_pylist() if row["target"] == face_id(target)]


def points(face: dict) -> np.ndarray:
    return np.asarray(face["landmarks"], np.float32).reshape(68, 2) / np.float32(face["crop_size"])


def landmark_distance(reference: dict, target: dict) -> float:
    return np.abs(points(reference) - points(target)).sum() / 68


def mirror_image(face: dict) -> dict:
    """The landmarks of a mirrored crop, whose left eye is the right one of before."""
    at = points(face) * face["crop_size"]
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)]
    pairs += [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    for a, b in pairs:
        at[[a, b]] = at[[b, a]]
    at[:, 0] = face["crop_size"] - 1 - at[:, 0]
    return face | {"landmarks": at.ravel()}


def affine_fit(reference: dict, target: dict) -> float:
    score = 0.0
    for weight, component in ((1.01, EYES_AND_BROWS), (1.49, MOUTH)):
        source = np.column_stack([points(reference)[component], np.ones(len(component))]).astype(np.float64)
        goal = points(target)[component].astype(np.float64)
        fit = np.linalg.lstsq(source, goal, rcond=1e-6)[0]
        score += weight * np.linalg.norm(source @ fit - goal)
    return score


def spread(candidates: list[dict], count: int) -> list[dict]:
    """Farthest-point sampling from the first candidate on; of equally far ones the smaller id."""
    taken, left = candidates[:1], sorted(candidates[1:], key=lambda face: face["id"])
    while left and len(taken) < count:
        nearest = [max(np.dot(face["embedding"], one["embedding"]) for one in taken) for face in left]
        taken.append(left.pop(int(np.argmin(nearest))))
    return taken


def bits_apart(face: dict, target: dict) -> int:
    if None in (face["crop_phash"], target["crop_phash"]):
        return UNKNOWN_BITS
    return min(
        (face["crop_phash"] ^ target["crop_phash"]).bit_count(),
        (face["crop_phash_mirror"] ^ target["crop_phash"]).bit_count(),
        (face["crop_phash"] ^ target["crop_phash_mirror"]).bit_count(),
    )


def kind_of(face: dict, target: dict, rule: CopyRule) -> int:
    """The kind of a pair of faces, by the rule alone."""
    first, second = sorted((face, target), key=lambda one: one["id"])
    near = min(landmark_distance(first, second), landmark_distance(first["mirrored"], second))
    cosine = np.dot(np.array(face["embedding"], np.float32), np.array(target["embedding"], np.float32))
    (kind,) = rule.kinds(np.array([cosine]), np.array([bits_apart(face, target)]), np.array([near]))
    return kind


def fails(value: float | None, least: float | None = None, most: float | None = None) -> bool:
    """True if a figure is beyond its limit; an unknown one is, if there is a limit."""
    if least is not None and (value is None or value < least):
        return True
    return most is not None and (value is None or value > most)


def within_limits(face: dict, target: dict, select: Select) -> bool:
    cosine = np.dot(face["embedding"], target["embedding"])
    known = None not in (face["yaw"], target["yaw"])
    gap = max(abs(face["yaw"] - target["yaw"]), abs(face["pitch"] - target["pitch"])) if known else None
    smallest = None if select.min_size_ratio is None else select.min_size_ratio * target["crop_size"]
    return not (
        fails(gap, most=select.max_pose_gap_deg)
        or fails(cosine, select.min_similarity, select.max_similarity)
        or fails(face["face_px"], smallest)
        or fails(face["sharpness"], select.min_reference_sharpness)
        or fails(face["niqe"], most=select.max_reference_niqe)
        or fails(face["brisque"], most=select.max_reference_brisque)
    )


def by_hand(faces: list[dict], identity: dict[str, str], select: Select, decided: dict) -> list[tuple]:
    """The rules of Select, one face after the other; decided: kinds of pairs of ids, by override lines."""
    rejects = {COPY: Reject.COPY, SESSION: Reject.SESSION, UNSURE: Reject.SESSION, NEITHER: None}
    fit = affine_fit if select.strategy == "component_affine" else landmark_distance
    expected = []
    faces = [face | {"landmarks": np.array(face["landmarks"], np.float32)} for face in faces]
    faces = [face | {"mirrored": mirror_image(face)} for face in faces]
    for target in sorted((face for face in faces if face["id"] in identity), key=lambda face: face["id"]):
        candidates = []
        for face in faces:
            if identity.get(face["id"]) != identity[target["id"]] or face["image"] == target["image"]:
                continue
            if not within_limits(face, target, select):
                continue
            kind = decided.get(frozenset((face["id"], target["id"])), kind_of(face, target, select.rule))
            if kind == SESSION and select.same_session:
                kind = NEITHER
            candidates.append((fit(face, target), face["id"], kind, face))
        candidates.sort(key=lambda one: one[:2])
        chosen = [face for _, _, kind, face in candidates if kind == NEITHER]
        if select.strategy == "diverse":
            chosen = spread(chosen, select.references)
        chosen = chosen[: select.references]
        if len(chosen) < select.min_references:
            chosen = []
        shots = [(one, rejects[kind]) for _, one, kind, _ in candidates[: select.references] if rejects[kind]]
        expected += [(target["id"], face["id"], rank, None) for rank, face in enumerate(chosen)]
        expected += [(target["id"], face, None, reject) for face, reject in shots]
        if not chosen and select.synthesise:
            made = [(target["id"], target["id"], rank, None) for rank in range(select.synthesise)]
            expected = [row for row in expected if row[0] != target["id"]] + made
            expected += [(target["id"], face, None, reject) for face, reject in shots]
        elif not chosen:
            expected.append((target["id"], None, None, Reject.NO_REFERENCE))
    return expected


def cosines(*values: float | None):
    return st.sampled_from(values)


@settings(max_examples=70, deadline=None)
@given(
    data=st.data(),
    number=st.integers(1, 16),
    select=st.builds(
        Select,
        strategy=st.sampled_from([one for one in get_args(Strategy) if one != "random"]),
        references=st.integers(2, 4),
        min_references=st.integers(1, 2),
        synthesise=st.sampled_from([0, 0, 2]),
        rule=st.builds(
            CopyRule,
            landmarks=st.sampled_from([0.0, 0.3, 0.6]),
            copy_similarity=cosines(-1.0, 0.5, 0.9),
            same_shot_similarity=cosines(0.4, 0.9),
            session_similarity=cosines(0.55, 1.0),
        ),
        same_session=st.booleans(),
        min_similarity=cosines(None, 0.4),
        max_similarity=cosines(None, 0.6),
        max_pose_gap_deg=st.sampled_from([None, None, 25.0]),
        min_size_ratio=st.sampled_from([None, None, 1.0]),
        min_reference_sharpness=st.sampled_from([None, None, 0.5]),
        max_reference_niqe=st.sampled_from([None, None, 5.0]),
        max_reference_brisque=st.sampled_from([None, None, 30.0]),
    ),
)
def test_the_pairs_are_those_that_the_rules_give_one_by_one(data, number, select):
    def drawn(values):
        return data.draw(st.lists(st.sampled_from(values), min_size=number, max_size=number))

    seed = data.draw(st.integers(0, 1000))
    hashes = [0, 3, 255, 0x7FFF, ALL_BITS]  # 2, 6, 7, 8, 13, 15 and more bits apart
    landmarks = np.random.default_rng(seed).integers(0, 256, (number, 136))
    faces = random_faces(
        number,
        seed=seed,
        # Of several faces the same landmarks, so that distances are often equal.
        landmarks=landmarks[np.array(drawn(range(4))) % number],
        images=drawn([f"photo {i}" for i in range(number)]),
        crop_phash=drawn(hashes),
        crop_phash_mirror=drawn(hashes),
        face_px=drawn([None, 200.0, 256.0, 300.0]),
        crop_size=drawn([256, 256, 320]),
        sharpness=drawn([None, 0.25, 0.5, 0.75]),
        niqe=drawn([None, 4.0, 5.0, 6.0]),
        brisque=drawn([None, 20.0, 30.0, 40.0]),
        yaw=drawn([None, 0.0, 10.0, 35.0]),
    )
    identities = identified(drawn(["Ann", "Bob", "Cy", None]))
    decisions = data.draw(
        st.lists(st.tuples(st.sampled_from(["copy", "keep"]), *[st.integers(0, number - 1)] * 2), max_size=6)
    )
    lines = override_lines(*((decision, face_id(a), face_id(b)) for decision, a, b in decisions if a != b))
    decided = {
        frozenset(map(face_id, (a, b))): COPY if decision == "copy" else NEITHER
        for decision, a, b in decisions
    }

    pairs = selected(faces, identities, lines, **vars(select))
    assert pairs.schema == PAIRS
    rows = [
        tuple(row[name] for name in ("target", "reference", "rank", "reject")) for row in pairs.to_pylist()
    ]
    known = {row["face"]: row["identity"] for row in identities.to_pylist() if row["identity"]}
    assert rows == by_hand(faces.to_pylist(), known, select, decided)

    image = dict(zip(faces["id"].to_pylist(), faces["image"].to_pylist(), strict=True))
    for row in pairs.to_pylist():
        assert row["identity"] == known[row["target"]]
        if row["reference"] is not None and row["strategy"] != "synthesised":
            assert row["reference"] != row["target"]
            assert image[row["reference"]] != image[row["target"]]
            assert known[row["reference"]] == known[row["target"]]

    order = data.draw(st.permutations(range(number)))
    again = selected(faces.take(order), identities.take(order[::-1]), lines, **vars(select))
    assert again.equals(pairs)


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("pairs_per_block", [1, 7, 100, 100_000])
def test_the_size_of_the_blocks_changes_no_byte(strategy, pairs_per_block, monkeypatch):
    number = 70
    rng = np.random.default_rng(3)
    vectors = unit(unit(rng.normal(size=(number, 67))) * 0.35 + unit(rng.normal(size=(1, 67))))
    faces = random_faces(number, vectors=vectors, crop_phash=rng.integers(0, 2**12, number).astype(np.uint64))
    identities = identified(["Ann"] * 41 + ["Bob"] * 13 + ["Cy"] * 13 + ["Di", None, "Ed"])
    rule = CopyRule(copy_similarity=0.9, same_shot_similarity=0.95, session_similarity=0.89)
    chosen = {"strategy": strategy, "references": 5, "rule": rule}
    whole = selected(faces, identities, **chosen)
    assert {Reject.COPY, Reject.SESSION, Reject.NO_REFERENCE} <= set(whole["reject"].to_pylist())
    monkeypatch.setattr("facerefs.stages.select.PAIRS_PER_BLOCK", pairs_per_block)
    assert selected(faces, identities, **chosen).equals(whole)


def test_a_row_holds_the_figures_and_where_the_faces_lie():
    faces = random_faces(4, yaw=[0, 10, 20, 30], pitch=[0, -15, 0, 0], crop_size=[256, 512, 256, 256])
    pairs = selected(faces, identified(["Ann", "Ann", None, "Bob"]))
    rows = faces.to_pylist()
    (row,) = of_target(pairs, 0)
    assert row["reference"] == face_id(1)
    assert row["landmark_distance"] == pytest.approx(landmark_distance(rows[1], rows[0]), rel=1e-5)
    assert row["similarity"] == pytest.approx(np.dot(rows[0]["embedding"], rows[1]["embedding"]), abs=1e-6)
    assert row["pose_gap"] == 15
    assert row["strategy"] == "landmark_nearest"
    assert row["synthesis"] is None
    assert (row["target_part"], row["reference_part"]) == ("part-00000", "part-00000")
    assert {row["target"] for row in pairs.to_pylist()} == {face_id(i) for i in (0, 1, 3)}


@pytest.mark.parametrize("block", [Block(0, 1, 9, 0, 9), Block(0, 3, 3, 1, 3), Block(4, 1, 5, 2, 3)])
def test_the_fit_of_a_block_is_that_of_least_squares_pair_by_pair(block):
    rng = np.random.default_rng(2)
    landmarks = rng.uniform(0, 1, (9, 68, 2))
    landmarks[2] = landmarks[1] @ [[0.5, 0.1], [-0.2, 0.7]] + 0.1
    landmarks[4] = landmarks[4, :1]  # one point
    landmarks[5, :, 1] = 0.5  # a line
    landmarks[6, :, 1] = 0.25 + landmarks[6, :, 0] + rng.uniform(0, 1e-3, 68)  # almost a line
    landmarks[7] /= 100  # a small face
    landmarks = landmarks.astype(np.float32)
    rows = [{"landmarks": one.ravel(), "crop_size": 1} for one in landmarks]
    places = np.arange(9)
    expected = [
        [[affine_fit(rows[reference], rows[target]) for reference in references] for target in targets]
        for targets, references in zip(block.targets(places), block.references(places), strict=True)
    ]
    np.testing.assert_allclose(fit_distance(landmarks, block), expected, rtol=1e-6, atol=1e-6)


def test_an_affine_map_of_the_eyes_and_another_of_the_mouth_fit_without_residual():
    rng = np.random.default_rng(0)
    target = rng.uniform(50, 200, (68, 2))
    moved = rng.uniform(0, 256, (68, 2))  # the other points do not matter
    moved[EYES_AND_BROWS] = target[EYES_AND_BROWS] @ [[0.5, 0.1], [-0.2, 0.7]] + [40, 9]
    moved[MOUTH] = target[MOUTH] @ [[1.2, -0.3], [0.4, 0.5]] - [70, 2]
    near = target + rng.uniform(-9, 9, (68, 2))
    faces = random_faces(3, landmarks=np.stack([target, moved, near]).reshape(3, 136))
    identities = identified(["Ann"] * 3)
    assert references(selected(faces, identities), 0) == [face_id(2)]
    assert references(selected(faces, identities, strategy="component_affine"), 0) == [face_id(1)]


@pytest.mark.parametrize("reference", ["one point", "a line", "a slanted line"])
def test_points_on_a_line_are_fitted_as_well_as_they_can_be(reference):
    rng = np.random.default_rng(1)
    at = np.arange(68.0)
    shapes = {
        "one point": np.full((68, 2), 8.0),
        "a line": np.stack([at, np.full(68, 8.0)], axis=1),
        "a slanted line": np.stack([at, 2 * at], axis=1),
    }
    shape = shapes[reference]
    target, other = rng.uniform(100, 140, (2, 68, 2))
    faces = random_faces(3, landmarks=np.stack([target, shape, other]).reshape(3, 136))
    rows = faces.to_pylist()
    better = min((1, 2), key=lambda i: affine_fit(rows[i], rows[0]))
    chosen = selected(faces, identified(["Ann"] * 3), strategy="component_affine")
    assert references(chosen, 0) == [face_id(better)]


def test_diverse_references_are_as_far_from_each_other_as_they_can_be():
    angles = np.radians([0, 10, 12, 80, 45, 14])
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    landmarks = np.array([[0], [1], [2], [3], [4], [5]]) * np.ones(136) * 20
    faces = random_faces(6, vectors=vectors, landmarks=landmarks)
    rule = CopyRule(session_similarity=1, same_shot_similarity=1, copy_similarity=1)
    pairs = selected(faces, identified(["Ann"] * 6), strategy="diverse", references=5, rule=rule)
    assert references(pairs, 0) == [face_id(i) for i in (1, 3, 4, 5, 2)]
    assert set(pairs["strategy"].to_pylist()) == {"diverse"}


def random_ranks(number: int, seed: int, names: list[str]) -> dict[str, list[str]]:
    pairs = selected(
        random_faces(number), identified(names), strategy="random", references=64, seed=seed
    ).to_pylist()
    ranks: dict[str, list[str]] = {}
    for row in pairs:
        if row["rank"] is not None:
            ranks.setdefault(row["target"], []).append(row["reference"])
    return ranks


def test_the_random_order_depends_on_the_seed_and_the_two_faces_alone():
    all_of_one = random_ranks(40, 5, ["Ann"] * 40)
    assert random_ranks(40, 5, ["Ann"] * 40) == all_of_one
    assert random_ranks(40, 6, ["Ann"] * 40) != all_of_one
    fewer = random_ranks(40, 5, ["Ann"] * 11 + ["Bob"] * 29)
    for target, chosen in fewer.items():
        assert chosen == [face for face in all_of_one[target] if face in chosen]


def test_the_random_order_is_uniform():
    """Every other face is equally often the first; 5 standard deviations of a binomial either way."""
    number, seeds = 8, 100
    first = np.zeros((number, number), int)
    place = {face_id(i): i for i in range(number)}
    for seed in range(seeds):
        for target, chosen in random_ranks(number, seed, ["Ann"] * number).items():
            first[place[target], place[chosen[0]]] += 1
    share = 1 / (number - 1)
    off = np.abs(first[~np.eye(number, dtype=bool)] - seeds * share)
    assert off.max() < 5 * np.sqrt(seeds * share * (1 - share))


def test_texts_of_any_length_have_different_hashes():
    texts = ["", "a", "b", "ab", "a" * 8, "a" * 16, "a" * 17, "é", *(face_id(i) for i in range(500))]
    numbers = hashed(pa.chunked_array([texts]))
    assert len(set(numbers.tolist())) == len(texts)
    assert hashed(pa.chunked_array([texts[1:4]])).tolist() == numbers[1:4].tolist()


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_is_no_reference_though_its_landmarks_are_nearest(mirrored):
    landmarks = np.zeros((3, 136))
    landmarks[1] = 90 if mirrored else 1  # the landmarks of a mirror image lie elsewhere
    landmarks[2] = 100
    vectors = unit(np.array([[1, 0, 0], [1, 0.1, 0], [1, 0, 1]]))
    faces = random_faces(
        3,
        landmarks=landmarks,
        vectors=vectors,
        crop_phash=[0b1, ALL_BITS ^ 0b1111 if mirrored else 0b0, 0xF0F0F0F0F0],
        crop_phash_mirror=[ALL_BITS, 0b0 if mirrored else ALL_BITS, 0x0F0F0F0F0F],
    )
    rows = of_target(selected(faces, identified(["Ann"] * 3)), 0)
    assert [(row["reference"], row["rank"], row["reject"]) for row in rows] == [
        (face_id(2), 0, None),
        (face_id(1), None, Reject.COPY),
    ]
    assert rows[1]["reject_detail"].startswith("crop hashes 1 bits apart (up to 6 is near), landmarks 0.")
    assert rows[1]["reject_detail"].endswith("cosine 0.995 (from 0.900)")


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_whose_hash_is_far_is_found_by_its_landmarks(mirrored):
    landmarks = np.random.default_rng(0).uniform(20, 200, (3, 136))
    landmarks[1] = landmarks[0] + 0.5  # of 256 px, in x and in y: 0.4 % together
    if mirrored:
        landmarks[1] = mirror_image({"landmarks": landmarks[1], "crop_size": 256})["landmarks"]
    hashes = {"crop_phash": [0, 2**40 - 1, 2**50 - 1], "crop_phash_mirror": [ALL_BITS] * 3}
    faces = random_faces(3, landmarks=landmarks, vectors=unit(np.array([[1, 0], [1, 0.1], [1, 1]])), **hashes)
    rows = of_target(selected(faces, identified(["Ann"] * 3), references=2), 0)
    assert [(row["reference"], row["reject"]) for row in rows] == [
        (face_id(2), None),
        (face_id(1), Reject.COPY),
    ]
    assert "landmarks 0.0039" in rows[1]["reject_detail"]


def session_shots() -> pa.Table:
    """Face 1 is of the session of face 0, face 2 perhaps a copy of it, face 3 another photo."""
    vectors = unit(np.array([[1, 0], [1, 0.3], [1, 0.02], [0.5, -1]]))
    landmarks = np.array([[0], [40], [1.2], [80]]) * np.ones(136)  # 2.4 of 256 px: 0.9 %
    hashes = {"crop_phash": [0, 2**20 - 1, 2**30 - 1, 2**40 - 1], "crop_phash_mirror": [ALL_BITS] * 4}
    return random_faces(4, vectors=vectors, landmarks=landmarks, **hashes)


SHOTS = CopyRule(landmarks=0.01, copy_similarity=0.9, same_shot_similarity=1, session_similarity=0.93)


def test_shots_of_one_session_are_not_each_others_references():
    rows = of_target(selected(session_shots(), identified(["Ann"] * 4), rule=SHOTS, references=3), 0)
    assert [(row["reference"], row["rank"], row["reject"]) for row in rows] == [
        (face_id(3), 0, None),
        (face_id(2), None, Reject.SESSION),
        (face_id(1), None, Reject.SESSION),
    ]
    unsure, session = (row["reject_detail"] for row in rows[1:])
    assert unsure.startswith("perhaps one shot: crop hashes 30 bits apart")
    assert session == "one session: cosine 0.958 (from 0.930)"


def test_shots_of_one_session_may_be_allowed_and_unsure_ones_still_are_not():
    pairs = selected(session_shots(), identified(["Ann"] * 4), rule=SHOTS, references=3, same_session=True)
    assert references(pairs, 0) == [face_id(1), face_id(3)]
    assert [row["reject"] for row in of_target(pairs, 0)] == [None, None, Reject.SESSION]


def test_overrides_decide_which_faces_are_copies_and_which_are_two_shots():
    lines = override_lines(
        ("copy", face_id(0), face_id(3)),
        ("keep", face_id(2), face_id(0)),
        ("copy", face_id(0), face_id(1)),
        ("keep", face_id(0), face_id(1)),  # the later line wins
        ("keep", face_id(0), None),
        ("drop", face_id(0), face_id(2)),
        ("copy", "Ann", "Bob"),
        ("copy", face_id(2), "0123456789abcdef-0"),
    )
    pairs = selected(session_shots(), identified(["Ann"] * 4), lines, rule=SHOTS, references=3)
    assert references(pairs, 0) == [face_id(2), face_id(1)]
    row = of_target(pairs, 0)[2]
    assert (row["reference"], row["reject"], row["reject_detail"]) == (
        face_id(3),
        Reject.COPY,
        "overrides.csv, line 2",
    )
    turned = lines.slice(2, 2).set_column(0, "line", pa.array([5, 4], pa.int32()))
    pairs = selected(session_shots(), identified(["Ann"] * 4), turned, rule=SHOTS, references=4)
    assert "overrides.csv, line 5" in [row["reject_detail"] for row in of_target(pairs, 0)]


def test_overrides_do_not_lift_the_limits():
    lines = override_lines(("keep", face_id(0), face_id(2)))
    names = identified(["Ann"] * 4)
    kept = selected(session_shots(), names, lines, rule=SHOTS, max_similarity=0.95)
    assert references(kept, 0) == [face_id(3)]


def test_near_hashes_of_unlike_faces_and_alike_faces_of_far_hashes_are_no_copies():
    vectors = unit(np.array([[1, 0, 0], [1, 0.8, 0], [1, 0, 0]]))
    faces = random_faces(3, vectors=vectors, crop_phash=[0, 0, 2**40 - 1], crop_phash_mirror=[ALL_BITS] * 3)
    pairs = selected(faces, identified(["Ann"] * 3), references=2, same_session=True)
    assert not [row for row in pairs.to_pylist() if row["reject"]]


def test_a_face_whose_hash_is_unknown_is_no_reference_if_it_is_as_alike_as_a_copy():
    faces = random_faces(2, vectors=unit(np.ones((2, 3))), crop_phash=[None, 5], crop_phash_mirror=[None, 6])
    pairs = selected(faces, identified(["Ann"] * 2)).to_pylist()
    assert [row["reject"] for row in pairs] == [Reject.SESSION, Reject.NO_REFERENCE] * 2
    assert pairs[0]["reject_detail"].startswith("perhaps one shot: crop hashes unknown, landmarks")


def test_a_face_without_reference_says_why():
    number = 13
    vectors = np.tile([1.0, 1.0], (number, 1))
    vectors[0] = 1, 0
    vectors[3], vectors[4], vectors[5], vectors[10] = (1, 5), (1, 0.15), (1, 0.3), (1, 0.01)
    faces = random_faces(
        number,
        vectors=unit(vectors),
        images=["a", "a", *(f"photo {i}" for i in range(2, number))],
        landmarks=np.arange(number)[:, None] * np.ones(136),
        crop_phash=[0, 0, 2**30 - 1, 0, 0, 2**20 - 1, *[2**40 - 1] * (number - 6)],
        crop_phash_mirror=[ALL_BITS] * number,
        yaw=[60.0 if i in (6, 7) else 0.0 for i in range(number)],
        pitch=[0] * number,
        face_px=[256] * 8 + [255, None] + [256] * 3,
        sharpness=[0.5] * 2 + [0.4] + [0.5] * 10,
        niqe=[4] * 11 + [6, 4],
        brisque=[4] * 12 + [None],
    )
    limits = {
        "min_similarity": 0.4,
        "max_similarity": 0.9999,
        "max_pose_gap_deg": 30,
        "min_size_ratio": 1,
        "min_reference_sharpness": 0.5,
        "max_reference_niqe": 5,
        "max_reference_brisque": 40,
    }
    pairs = selected(faces, identified(["Ann"] * 13), rule=SHOTS, **limits)
    why = {row["target"]: row for row in pairs.to_pylist() if row["reject"] == Reject.NO_REFERENCE}
    assert why[face_id(0)]["reject_detail"] == (
        "of 12 other faces of the person: 1 in the same photo, 2 too small for its crop, 1 not sharp enough, "
        "1 of too high a NIQE, 1 of too high a BRISQUE, 2 turned too far from it, 1 not alike enough, "
        "1 too much alike, 1 of its session, 1 copies of it"
    )
    assert why[face_id(0)]["reference"] is None
    assert why[face_id(0)]["rank"] is None


def test_the_only_photo_of_a_person_and_an_unsure_copy_are_reported():
    faces = session_shots()
    why = [
        row["reject_detail"]
        for row in selected(faces, identified(["Ann", "Bob", "Ann", "Cy"]), rule=SHOTS).to_pylist()
        if row["reject"] == Reject.NO_REFERENCE
    ]
    doubtful = "of 1 other faces of the person: 1 perhaps copies of it"
    assert sorted(why) == [doubtful] * 2 + ["the only photo of the person"] * 2


def test_a_face_with_too_few_references_has_none():
    faces, names = random_faces(5), identified(["Ann"] * 3 + ["Bob"] * 2)
    pairs = selected(faces, names, references=3, min_references=2).to_pylist()
    assert sorted(row["rank"] for row in pairs if row["reference"]) == [0, 0, 0, 1, 1, 1]
    without = [row for row in pairs if row["reference"] is None]
    assert {row["target"] for row in without} == {face_id(3), face_id(4)}
    assert {row["reject"] for row in without} == {Reject.NO_REFERENCE}
    assert without[0]["reject_detail"] == (
        "of 1 other faces of the person: 1 could be its reference, but at least 2 are asked for"
    )


def test_a_face_without_reference_gets_synthesised_ones_where_they_are_asked_for():
    faces = session_shots()
    names = identified(["Ann", "Bob", "Ann", "Ann"])
    pairs = selected(faces, names, rule=SHOTS, synthesise=3, seed=7, references=2)
    rows = of_target(pairs, 1)
    assert [row["rank"] for row in rows] == [0, 1, 2]
    for number, row in enumerate(rows):
        assert row["reference"] == row["target"] == face_id(1)
        assert row["reference_part"] == row["target_part"] == "part-00000"
        assert row["synthesis"] == draw_json(7, face_id(1), number)
        assert isinstance(json.loads(row["synthesis"]), dict)
        assert (row["strategy"], row["identity"]) == ("synthesised", "Bob")
        figures = (row["landmark_distance"], row["similarity"], row["pose_gap"], row["reject"])
        assert figures == (None, None, None, None)
    assert [row["strategy"] for row in of_target(pairs, 0)] == ["landmark_nearest"] * 2
    assert Reject.NO_REFERENCE not in pairs["reject"].to_pylist()


def test_synthesised_references_replace_too_few_photos_and_refused_shots_stay():
    names = identified(["Ann", None, "Ann", "Ann"])
    pairs = selected(session_shots(), names, rule=SHOTS, synthesise=9, references=2, min_references=2)
    found = [(row["strategy"], row["rank"], row["reject"]) for row in of_target(pairs, 0)]
    made = [("synthesised", rank, None) for rank in range(9)]
    assert found == [*made, ("landmark_nearest", None, Reject.SESSION)]


def test_synthesised_references_come_after_photos_where_they_are_asked_for_beside_them():
    names = identified(["Ann", "Bob", "Ann", "Ann"])
    pairs = selected(
        session_shots(), names, rule=SHOTS, synthesise=2, synthesise_beside=True, seed=7, references=2
    )
    rows = of_target(pairs, 0)
    assert [(row["strategy"], row["rank"]) for row in rows if row["reject"] is None] == [
        ("landmark_nearest", 0),
        ("synthesised", 1),
        ("synthesised", 2),
    ]
    made = [row["synthesis"] for row in rows if row["synthesis"]]
    assert made == [draw_json(7, face_id(0), number) for number in range(2)]
    assert [row["rank"] for row in of_target(pairs, 1)] == [0, 1]


def test_references_made_elsewhere_come_between_photos_and_synthesised_ones_of_their_own_target_only():
    names = identified(["Ann", "Bob", "Ann", None])
    figures = {"landmark_distance": 0.02, "similarity": 0.7, "pose_gap": 3.0}
    listed = [(0, "b", None), (0, "a", None), (0, "c", Reject.COPY), (1, "a", None), (3, "a", None)]
    rows = [
        dict.fromkeys(MADE_ELSEWHERE.names)
        | figures
        | {"target": face_id(at), "file": f"{file}.png", "elsewhere": file, "reject": reject}
        for at, file, reject in listed
    ]
    elsewhere = pa.Table.from_pylist(rows, MADE_ELSEWHERE)
    pairs = selected(
        session_shots(), names, elsewhere=elsewhere, rule=SHOTS, synthesise=1, synthesise_beside=True
    )

    def found(target: int) -> list[tuple]:
        accepted = [row for row in of_target(pairs, target) if row["reject"] is None]
        assert [row["rank"] for row in accepted] == list(range(len(accepted)))
        return [(row["strategy"], row["elsewhere"], row["reference"]) for row in accepted]

    one, two = face_id(0), face_id(1)
    photo = [("landmark_nearest", None, face_id(2))]
    assert [row for row in found(0) if row not in photo] == [
        ("made elsewhere", "a", one),
        ("made elsewhere", "b", one),
        ("synthesised", None, one),
    ]
    assert found(1) == [("made elsewhere", "a", two), ("synthesised", None, two)]
    alone = selected(session_shots(), names, elsewhere=elsewhere, rule=SHOTS)
    assert [row["strategy"] for row in of_target(alone, 1)] == ["made elsewhere"]
    assert of_target(alone, 1)[0]["similarity"] == pytest.approx(0.7)


def test_more_references_than_a_sample_holds_are_refused():
    with pytest.raises(ValueError, match="references and synthesise are more than 64 together"):
        Select(references=40, synthesise=25, synthesise_beside=True)
    with pytest.raises(ValueError, match="synthesise_beside needs synthesise"):
        Select(synthesise_beside=True)


def test_an_unknown_pose_is_no_reference_where_the_pose_is_limited():
    faces = random_faces(
        3, yaw=[0, None, 5], pitch=[0, 0, 0], landmarks=np.array([[0], [1], [9]]) * np.ones(136)
    )
    assert references(selected(faces, identified(["Ann"] * 3)), 0) == [face_id(1)]
    assert references(selected(faces, identified(["Ann"] * 3), max_pose_gap_deg=45), 0) == [face_id(2)]


def test_a_person_of_more_pairs_than_a_block_is_compared_whole():
    number = 300  # 90,000 pairs, in blocks of at most 4,096
    faces = random_faces(
        number, landmarks=np.arange(number)[::-1, None] * np.ones(136), crop_size=[1024] * number
    )
    pairs = selected(faces, identified(["Ann"] * number), references=1, same_session=True)
    for target in (0, 1, 54, 55, 150, 298, 299):
        neighbours = {face_id(i) for i in (target - 1, target + 1) if 0 <= i < number}
        assert references(pairs, target)[0] in neighbours
    assert len(pairs) == number


def test_rejected_faces_are_neither_target_nor_reference():
    faces = random_faces(3, reject=[None, "face_blurred", None])
    pairs = selected(faces, identified(["Ann"] * 3))
    assert set(pairs["target"].to_pylist()) == {face_id(0), face_id(2)}
    assert references(pairs, 0) == [face_id(2)]


def test_faces_of_several_embedders_are_refused():
    faces = random_faces(2, embedder=["arcface:a", "arcface:b"])
    with pytest.raises(ValueError, match="several embedders cannot be compared"):
        selected(faces, identified(["Ann"] * 2))


@pytest.mark.parametrize("limits", [{"min_references": 2}, {"min_similarity": 0.6, "max_similarity": 0.5}])
def test_limits_that_nothing_can_meet_are_refused(limits):
    with pytest.raises(ValueError, match=" is more than "):
        Select(**limits)


def test_without_identities_there_are_no_pairs():
    assert selected(random_faces(3), identified([None] * 3)).equals(PAIRS.empty_table())
