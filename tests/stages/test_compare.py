"""Compare: every pair that shows one shot is found, whatever its labels, against a comparison of all with all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facerefs.schemas.tables import COPIES, OVERRIDES
from facerefs.stages.compare import Compare
from facerefs.stages.copies.copy_rule import COPY, UNSURE, CopyRule
from facerefs.stages.faces.landmarks import MIRRORED_68
from tests.stages.synthetic import face_id, faces_table, unit

SIDE_PX = 64
RULE = CopyRule(copy_similarity=0.9, same_shot_similarity=0.97, session_similarity=0.92)
FAR = 0x5A5A_5A5A_5A5A_5A5A


def shots(count: int, seed: int = 0, **columns: Any) -> pa.Table:
    """Faces that are not similar to each other, unless `columns` make them so."""
    rng = np.random.default_rng(seed)
    given = {
        "embedding": unit(rng.normal(size=(count, 32))),
        "landmarks": rng.uniform(10, 50, (count, 136)),
        "crop_size": [SIDE_PX] * count,
        "crop_phash": rng.integers(0, 2**64, count, np.uint64),
        "crop_phash_mirror": rng.integers(0, 2**64, count, np.uint64),
    } | columns
    vectors = np.asarray(given.pop("embedding"), np.float32)
    return faces_table(vectors, **given)


def compare(
    faces: pa.Table, overrides: Sequence[tuple[str, ...]] = (), stage: Compare | None = None
) -> list[dict[str, Any]]:
    """`overrides`: lines of `overrides.csv`, from line 2 on."""
    rows = [
        dict(zip(("line", "decision", "what", "other"), (line, *fields), strict=False))
        for line, fields in enumerate(overrides, 2)
    ]
    tables = {
        "faces": faces.select(Compare.reads["faces"]),
        "overrides": pa.Table.from_pylist(rows, OVERRIDES),
    }
    copies = (stage or Compare(RULE)).process(tables)
    assert copies.schema == COPIES
    return copies.to_pylist()


def with_copy(seed: int = 0, **columns: Any) -> pa.Table:
    """Three faces; the second is a copy of the first, except for `columns`."""
    faces = shots(3, seed)
    rows = faces.to_pylist()
    for name in ("embedding", "landmarks", "crop_phash", "crop_phash_mirror"):
        rows[1][name] = rows[0][name]
    for name, value in columns.items():
        rows[1][name] = value
    return pa.Table.from_pylist(rows, faces.schema)


def pair_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["face"], row["other"]


PAIR = tuple(sorted((face_id(0), face_id(1))))


def test_one_shot_under_two_names_is_a_copy_with_its_evidence() -> None:
    (row,) = compare(with_copy())
    assert row == {
        "face": PAIR[0],
        "other": PAIR[1],
        "kind": "copy",
        "mirrored": False,
        "hash_distance": 0,
        "landmark_distance": 0,
        "similarity": pytest.approx(1),
        "certainty": pytest.approx(1),
        "why": "crop hashes 0 bits apart (up to 6 is near), landmarks 0.0000 (up to 0.008 is near), "
        "cosine 1.000 (from 0.900)",
        "reject": None,
        "reject_detail": None,
    }


def test_of_a_mirrored_copy_the_points_are_mirrored_too() -> None:
    faces = with_copy()
    points = np.array(faces["landmarks"][0].as_py()).reshape(68, 2)
    turned = points[MIRRORED_68] * [-1, 1] + [SIDE_PX - 1, 0]
    phash = faces["crop_phash"][0].as_py(), faces["crop_phash_mirror"][0].as_py()
    (row,) = compare(
        with_copy(
            landmarks=(turned + 0.1).ravel().tolist(),
            crop_phash=phash[1] ^ 1,
            crop_phash_mirror=phash[0] ^ FAR,
        )
    )
    assert row["mirrored"]
    assert row["hash_distance"] == 1
    assert row["landmark_distance"] == pytest.approx(0.2 / SIDE_PX, rel=1e-3)


def test_a_crop_that_escapes_the_hashes_is_found_among_the_nearest() -> None:
    faces = with_copy()
    phash = faces["crop_phash"][0].as_py()
    cropped = with_copy(crop_phash=phash ^ 0x3FF, crop_phash_mirror=FAR)  # 10 bits
    assert [row["kind"] for row in compare(cropped)] == ["copy"]
    assert compare(cropped, stage=Compare(RULE, neighbours=0)) == []


def test_one_shot_with_another_background_is_unsure() -> None:
    vector = np.array(with_copy()["embedding"][0].as_py())
    other = unit(np.random.default_rng(9).normal(size=(1, 32)))[0]
    changed = unit((vector + 0.35 * other)[None])[0].tolist()
    phash = with_copy()["crop_phash"][0].as_py() ^ FAR
    (row,) = compare(with_copy(embedding=changed, crop_phash=phash))
    assert 0.9 < row["similarity"] < 0.97
    assert row["kind"] == "unsure"
    assert row["hash_distance"] > 12
    assert row["certainty"] <= 0.5


def test_a_face_whose_hash_is_unknown_is_unsure() -> None:
    points = shots(3, seed=5)["landmarks"][1].as_py()
    (row,) = compare(with_copy(crop_phash=None, landmarks=points))
    assert (row["kind"], row["hash_distance"], row["mirrored"]) == ("unsure", None, False)
    assert row["why"].startswith("crop hashes unknown, landmarks 0.")
    assert row["certainty"] <= 0.5


def test_faces_of_one_photo_and_rejected_ones_are_no_copies() -> None:
    assert compare(with_copy(image=with_copy()["image"][0].as_py())) == []
    assert compare(with_copy(reject="face_blurred")) == []


def test_overrides_come_before_the_rule() -> None:
    (row,) = compare(with_copy(), [("keep", face_id(0), face_id(1)), ("copy", face_id(2), face_id(0))])
    assert pair_of(row) == tuple(sorted((face_id(0), face_id(2))))
    assert (row["kind"], row["certainty"], row["why"]) == ("copy", 1, "overrides.csv, line 3")
    assert row["similarity"] < 0.9


def test_a_later_line_wins_and_lines_about_other_faces_are_ignored() -> None:
    back = [("copy", face_id(0), face_id(1)), ("keep", face_id(1), face_id(0))]
    assert compare(with_copy(), back) == []
    assert [row["why"] for row in compare(with_copy(), back[::-1])] == ["overrides.csv, line 3"]
    others = [("keep", face_id(0)), ("copy", face_id(0), "0" * 16 + "-0"), ("same", face_id(0), face_id(2))]
    assert compare(with_copy(), others) == compare(with_copy())


def test_of_many_frames_of_one_shot_not_all_pairs_are_kept_but_all_are_joined() -> None:
    rng = np.random.default_rng(0)
    faces = shots(
        300,
        embedding=unit(rng.normal(size=(1, 32)) + 0.01 * rng.normal(size=(300, 32))),
        crop_phash=np.full(300, FAR, np.uint64),
        crop_phash_mirror=np.full(300, ~np.uint64(FAR), np.uint64),
    )
    rows = compare(faces, stage=Compare(RULE, neighbours=0))
    assert 300 * 64 // 2 <= len(rows) <= 300 * 65
    first = {row["other"] for row in rows if row["face"] == min(faces["id"].to_pylist())}
    assert len(first) == 299


def test_no_faces_have_no_copies() -> None:
    assert compare(shots(0)) == []
    assert compare(shots(1)) == []


def test_faces_of_two_embedders_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="several embedders"):
        compare(shots(2, embedder=["a", "b"]))


def by_brute_force(faces: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Every pair by the rule, one after the other, if its hashes are near; all have different photos."""

    def points(row: dict[str, Any]) -> np.ndarray:
        return np.array(row["landmarks"], np.float32).reshape(68, 2) / SIDE_PX

    found = {}
    for a in faces:
        for b in faces:
            if a["id"] >= b["id"]:
                continue
            upright = (a["crop_phash"] ^ b["crop_phash"]).bit_count()
            ways = [a["crop_phash_mirror"] ^ b["crop_phash"], a["crop_phash"] ^ b["crop_phash_mirror"]]
            flipped = min(way.bit_count() for way in ways)
            turned = points(a)[MIRRORED_68] * [-1, 1] + [(SIDE_PX - 1) / SIDE_PX, 0]
            distance = min(np.abs(way - points(b)).sum(axis=1).mean() for way in (points(a), turned))
            cosine = np.dot(np.float32(a["embedding"]), np.float32(b["embedding"]))
            kind = int(RULE.kinds(cosine, np.array(min(upright, flipped)), np.array(distance)))
            if min(upright, flipped) <= RULE.hash_bits and kind in {COPY, UNSURE}:
                found[a["id"], b["id"]] = "copy" if kind == COPY else "unsure"
    return found


@pytest.mark.parametrize("queries", [7, 8192])
def test_all_are_compared_with_all_in_blocks_of_any_size(
    queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facerefs.stages.search.hamming._CROWDED_QUERIES_PER_BLOCK", queries)
    rng = np.random.default_rng(1)
    count, seen = 60, rng.integers(0, 12, 60)
    base = rng.integers(0, 2**64, 12, np.uint64)
    noise = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 64, (3, count), np.uint64))
    centres = unit(rng.normal(size=(12, 32)))
    turned = rng.random(count) < 0.3
    phash = np.where(turned, ~base[seen], base[seen]) ^ noise
    mirror = np.where(turned, base[seen], ~base[seen]) ^ noise
    faces = shots(
        count,
        embedding=unit(centres[seen] + 0.05 * rng.normal(size=(count, 32))),
        landmarks=rng.uniform(20, 40, (12, 136))[seen] + rng.normal(0, 0.2, (count, 136)),
        crop_phash=phash,
        crop_phash_mirror=mirror,
    )
    expected = by_brute_force(faces.to_pylist())
    assert len(expected) > 30
    rows = compare(faces, stage=Compare(RULE, neighbours=0))
    assert {pair_of(row): row["kind"] for row in rows} == expected
    assert [pair_of(row) for row in rows] == sorted(expected)
    assert compare(faces.take(rng.permutation(count)), stage=Compare(RULE, neighbours=0)) == rows
