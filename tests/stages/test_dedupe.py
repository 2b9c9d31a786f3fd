"""Dedupe: the best copy is kept, only copies of a kept photo go, and the order does not matter."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DUPLICATES, IMAGES, OVERRIDES, SOURCES
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.images.detail import detail_scale
from facerefs.stages.images.hashing import MIRRORED_DETAIL, detail_hash, perceptual_hashes
from facerefs.stages.images.local_difference import thumbnail
from tests.hostile import portrait


def photo(key: str, phash: int = 0, side: int = 512, **facts: Any) -> dict[str, Any]:
    """A row of `images` with its label; its mirror image matches nothing unless `facts` say so."""
    mirror = phash ^ 0xAAAA_AAAA_AAAA_AAAA
    row = {
        "key": key,
        "id": f"id-{key}",
        "width": side,
        "height": side,
        "bytes": 1000,
        "detail_hash": bytes(32),
        "thumbnail": bytes(576),
    }
    return row | {"phash": phash, "phash_mirror": mirror} | facts


def dedupe(
    photos: Sequence[dict[str, Any]], max_distance: int = 4, overrides: Sequence[tuple[str, ...]] = ()
) -> dict[str, dict[str, Any]]:
    """`overrides`: lines of `overrides.csv`, from line 2 on."""
    images = pa.Table.from_pylist(list(photos), IMAGES).select(Dedupe.reads["images"])
    lines = [
        dict(zip(("line", "decision", "what", "other"), (line, *fields), strict=False))
        for line, fields in enumerate(overrides, 2)
    ]
    sources = pa.Table.from_pylist(
        [{"key": one["key"], "label": one.get("label")} for one in photos], SOURCES
    )
    tables = {"images": images, "sources": sources, "overrides": pa.Table.from_pylist(lines, OVERRIDES)}
    rows = Dedupe(max_distance=max_distance).process(tables)
    assert rows.schema == DUPLICATES
    return {row["key"]: row for row in rows.to_pylist()}


def test_the_largest_copy_is_kept() -> None:
    rows = dedupe([photo("small", 0b11, 512), photo("large", 0, 1024, label="ann"), photo("other", 0xFFFF)])
    assert set(rows) == {"small", "large"}
    assert rows["large"] == {
        "key": "large",
        "id": "id-large",
        "label": "ann",
        "group": "id-large",
        "kept": True,
        "kind": "kept",
        "kept_key": "large",
        "kept_label": "ann",
        "distance": 0,
        "certain": True,
        "why": None,
        "reject": None,
    }
    assert rows["small"] == {
        "key": "small",
        "id": "id-small",
        "label": None,
        "group": "id-large",
        "kept": False,
        "kind": "near",
        "kept_key": "large",
        "kept_label": "ann",
        "distance": 2,
        "certain": True,
        "reject": Reject.DUPLICATE_NEAR,
        "why": "kept is larger: 1024x1024 over 512x512",
    }


def test_the_same_bytes_are_exact_copies() -> None:
    rows = dedupe([photo("b/1", id="same", label="bob"), photo("a/1", id="same", label="ann")])
    assert rows["b/1"]["kind"] == "exact"
    assert rows["b/1"]["reject"] == Reject.DUPLICATE_EXACT
    assert (rows["b/1"]["label"], rows["b/1"]["kept_label"]) == ("bob", "ann")
    assert rows["b/1"]["why"] == "kept comes first by name: a/1"


def test_a_mirror_image_is_a_copy() -> None:
    original = photo("1", 0x1234_5678_9ABC_DEF0, 600)
    hashes = {"phash_mirror": original["phash"] ^ 1, "detail_hash": MIRRORED_DETAIL}
    flipped = photo("2", original["phash_mirror"], **hashes)
    rows = dedupe([original, flipped])
    assert (rows["2"]["kind"], rows["2"]["distance"]) == ("mirror", 1)


def test_among_equals_more_bytes_then_a_label_then_the_name_decides() -> None:
    rows = dedupe([photo("d"), photo("b", bytes=2000), photo("a")])
    assert [key for key, row in rows.items() if row["kept"]] == ["b"]
    assert rows["a"]["why"] == "kept has more bytes: 2000 over 1000"
    rows = dedupe([photo("d"), photo("c", label="ann"), photo("a")])
    assert rows["a"]["why"] == "kept has a label"


def test_photos_that_differ_in_detail_are_no_copies() -> None:
    limit = Dedupe().max_detail_distance

    def differing(bits: int) -> bytes:
        return ((1 << bits) - 1).to_bytes(32)

    assert dedupe([photo("1"), photo("2", detail_hash=differing(limit + 1))]) == {}
    assert len(dedupe([photo("1"), photo("2", detail_hash=differing(limit))])) == 2


def test_a_chain_is_not_followed() -> None:
    """The middle is a copy of both ends, which are no copies of each other: only the middle goes."""
    rows = dedupe([photo("1", 0, 900), photo("2", 0b1111, 800), photo("3", 0b1111_1111, 700)])
    assert set(rows) == {"1", "2"}
    assert rows["2"]["kept_key"] == "1"


def test_the_nearest_kept_photo_is_named() -> None:
    rows = dedupe([photo("best", 0, 900), photo("near", 0b11_1111, 800), photo("copy", 0b1_1111, 700)], 5)
    assert rows["copy"]["kept_key"] == "near"


def test_rejected_photos_are_neither_kept_nor_dropped() -> None:
    broken = photo("1", side=2000, reject=Reject.CORRUPT)
    assert dedupe([broken, photo("2")]) == {}


def test_no_photos_have_no_duplicates() -> None:
    assert dedupe([]) == {}


def test_an_enlarged_thumbnail_is_no_better_copy() -> None:
    enlarged = photo("enlarged", 0, 1024, detail_scale=0.2, bytes=90_000)
    rows = dedupe([enlarged, photo("sharp", 1, 600), photo("smaller", 3, 300)])
    assert {key: row["kept_key"] for key, row in rows.items()} == dict.fromkeys(rows, "sharp")
    detail = "kept has more real detail, in pixels of the side: 600 of 600 over 205 of 1024"
    assert rows["enlarged"]["why"] == detail
    assert rows["smaller"]["why"] == "kept is larger: 600x600 over 300x300"


def test_of_copies_with_about_the_same_detail_the_larger_is_kept() -> None:
    """An original out of focus and its half: estimates of their detail differ a little."""
    rows = dedupe([photo("soft", 0, 1000, detail_scale=0.3), photo("half", 1, 500, detail_scale=0.68)])
    assert {key: row["kept_key"] for key, row in rows.items()} == dict.fromkeys(rows, "soft")


def test_near_copies_under_different_labels_are_left_to_the_faces() -> None:
    ann, bob = photo("ann/1", 0, 900, label="ann"), photo("bob/1", 0, label="bob")
    assert dedupe([ann, bob]) == {}
    assert set(dedupe([ann, bob, photo("unnamed", 1, 300)])) == {"ann/1", "unnamed"}


def test_a_label_is_not_lost_with_a_copy() -> None:
    assert dedupe([photo("1", 0, 900), photo("ann/1", 1, label="ann")]) == {}


def test_the_same_bytes_under_two_names_are_dropped_for_either() -> None:
    both = [photo("ann/1", 0, 900, id="x", label="ann"), photo("bob/1", 0, 900, id="x", label="bob")]
    rows = dedupe([*both, photo("bob/2", 1, label="bob")])
    assert (rows["bob/1"]["label"], rows["bob/1"]["kept_label"]) == ("bob", "ann")
    assert {key: row["kept_key"] for key, row in rows.items()} == dict.fromkeys(rows, "ann/1")


def test_a_copy_that_differs_in_one_place_is_not_certain() -> None:
    wall = np.random.default_rng(0).integers(60, 200, (24, 24), np.uint8)
    toned, person = (wall * 0.7 + 30).astype(np.uint8), wall.copy()
    person[8:12, 10:13] = 255 - person[8:12, 10:13]
    mirrored = {"phash": 2**64 - 1, "phash_mirror": 0, "detail_hash": MIRRORED_DETAIL}
    rows = dedupe(
        [
            photo("1", 0, 900, thumbnail=wall.tobytes()),
            photo("toned", 0, thumbnail=toned.tobytes()),
            photo("person", 1, thumbnail=person.tobytes()),
            photo("mirror", thumbnail=toned[:, ::-1].tobytes(), **mirrored),
        ]
    )
    assert {key: row["certain"] for key, row in rows.items()} == {
        "1": True,
        "toned": True,
        "person": False,
        "mirror": True,
    }


def test_a_photo_to_keep_stays_beside_a_better_copy_and_its_worse_copies_go() -> None:
    photos = [
        photo("best", 0, 900),
        photo("mine", 0, 800),
        photo("small", 0, 700),
        photo("far", 0b11111, 600),
    ]
    rows = dedupe(photos, overrides=[("keep", "mine")])
    assert {key: row["kept_key"] for key, row in rows.items()} == {"best": "best", "small": "best"}
    rows = dedupe(photos, 5, [("keep", "id-mine"), ("drop", "best")])
    assert rows["best"]["reject"] == Reject.DROPPED_BY_PERSON
    assert {key: row["kept_key"] for key, row in rows.items() if key != "best"} == dict.fromkeys(
        ["mine", "small", "far"], "mine"
    )
    assert rows["mine"]["why"] == "overrides.csv, line 2"


def test_the_same_bytes_are_kept_once_even_if_an_override_keeps_them() -> None:
    rows = dedupe([photo("a", id="x"), photo("b", id="x"), photo("c", 1, 900)], overrides=[("keep", "b")])
    assert {key: row["reject"] for key, row in rows.items()} == {"a": None, "b": Reject.DUPLICATE_EXACT}


def test_a_dropped_photo_goes_and_its_copies_stay() -> None:
    rows = dedupe(
        [photo("1", 0, 900), photo("2", 0, 800), photo("3")], overrides=[("drop", "1"), ("drop", "id-3")]
    )
    assert set(rows) == {"1", "3"}
    assert rows["1"] == {
        **dict.fromkeys(DUPLICATES.names),
        "key": "1",
        "id": "id-1",
        "kept": False,
        "kind": "dropped",
        "why": "overrides.csv, line 2",
        "reject": Reject.DROPPED_BY_PERSON,
    }


def test_a_key_drops_its_own_row_and_an_id_all_rows_of_these_bytes() -> None:
    twice = [photo("ann/1", id="x", label="ann"), photo("bob/1", id="x", label="bob")]
    assert set(dedupe(twice, overrides=[("drop", "ann/1")])) == {"ann/1"}
    assert set(dedupe(twice, overrides=[("drop", "x")])) == {"ann/1", "bob/1"}


def test_of_two_copies_by_override_the_worse_goes() -> None:
    small = photo("small", 0, 400, phash_mirror=0)
    photos = [small, photo("large", 2**64 - 1, 900), photo("larger", 2**64 - 2, 1000)]
    rows = dedupe(photos, overrides=[("copy", "small", "id-large")])
    assert {key: row["kept_key"] for key, row in rows.items()} == dict.fromkeys(
        ["small", "large", "larger"], "larger"
    )
    assert rows["small"]["kind"] == "near"
    assert (rows["small"]["distance"], rows["small"]["why"]) == (63, "overrides.csv, line 2")


def test_a_later_line_wins() -> None:
    photos = [photo("1", 0, 900), photo("2", 0, 800)]
    assert dedupe(photos, overrides=[("drop", "2"), ("keep", "2")]) == {}
    assert set(dedupe(photos, overrides=[("keep", "2"), ("drop", "2")])) == {"2"}
    assert set(dedupe(photos, overrides=[("keep", "2"), ("copy", "1", "2")])) == {"1", "2"}
    assert dedupe(photos, overrides=[("copy", "1", "2"), ("keep", "2")]) == {}
    assert set(dedupe(photos, overrides=[("copy", "1", "2"), ("drop", "1")])) == {"1"}


def test_lines_about_other_things_change_nothing() -> None:
    photos = [photo("1", 0, 900), photo("2", 0, 800)]
    for line in [("drop", "ann"), ("copy", "1", "gone"), ("copy", "1", "id-1"), ("same", "1", "2")]:
        assert dedupe(photos, overrides=[line]) == dedupe(photos)


HASHES = st.sampled_from([0, 1, 3, 7, 0xF, 0x1F, 0xFF, 0xFF00, 2**64 - 1]) | st.integers(0, 2**64 - 1)
DETAILS = st.sampled_from([bytes(32), bytes([7] * 32), MIRRORED_DETAIL, bytes([0xFF] * 32)])
LABELS = st.sampled_from([None, None, "ann", "bob"])
SIGNATURES = st.tuples(HASHES, HASHES, DETAILS, st.sampled_from([100, 200]), st.integers(0, 3), LABELS)
PHOTOS = st.lists(SIGNATURES, max_size=12).map(
    lambda rows: [
        photo(
            f"k{i}",
            phash,
            side,
            phash_mirror=mirror,
            detail_hash=detail,
            id=str(rows[i]),
            bytes=bytes_,
            label=label,
            detail_scale=200 / side,  # all of the same detail
        )
        for i, (phash, mirror, detail, side, bytes_, label) in enumerate(rows)
    ]
)
NEVER = 1000


def copy_distance(row: dict[str, Any], kept: dict[str, Any], max_distance: int) -> int:
    """Bits between the hashes of copies, upright or mirrored; NEVER if they are none, or have two labels."""
    if row["label"] not in (None, kept["label"]):
        return NEVER
    detail = int.from_bytes(row["detail_hash"]) ^ int.from_bytes(kept["detail_hash"])
    ways = [("phash", detail), ("phash_mirror", detail ^ int.from_bytes(MIRRORED_DETAIL))]
    limit = Dedupe().max_detail_distance
    bits = [(row[name] ^ kept["phash"]).bit_count() for name, detail in ways if detail.bit_count() <= limit]
    return min((distance for distance in bits if distance <= max_distance), default=NEVER)


def greedy(photos: list[dict[str, Any]], max_distance: int) -> dict[str, str]:
    """The rule, one photo after the other: key -> key of the photo that is kept for it."""
    kept: list[dict[str, Any]] = []
    keeper = {}
    for row in sorted(
        photos, key=lambda row: (-row["width"], -row["bytes"], row["label"] is None, row["key"])
    ):
        distances = [copy_distance(row, other, max_distance) for other in kept]
        nearest = min(range(len(kept)), key=distances.__getitem__, default=None)
        if nearest is None or distances[nearest] == NEVER:
            kept.append(row)
            keeper[row["key"]] = row["key"]
        else:
            keeper[row["key"]] = kept[nearest]["key"]
    return keeper


@settings(max_examples=150, deadline=None)
@given(photos=PHOTOS, max_distance=st.integers(0, 12), random=st.randoms())
def test_photos_go_as_if_taken_one_after_the_other(
    photos: list[dict[str, Any]], max_distance: int, random: Any
) -> None:
    expected = greedy(photos, max_distance)
    rows = dedupe(photos, max_distance)
    shuffled = random.sample(photos, len(photos))
    assert list(dedupe(shuffled, max_distance).items()) == list(rows.items())
    without_copy = [key for key, kept in expected.items() if list(expected.values()).count(kept) == 1]
    assert {key: row["kept_key"] for key, row in rows.items()} | {
        key: key for key in without_copy
    } == expected
    for row in rows.values():
        assert row["kept"] == (row["reject"] is None) == (row["kind"] == "kept")
        assert row["distance"] <= max_distance


def described(key: str, image: Image.Image) -> dict[str, Any]:
    pixels = np.asarray(image)
    phash, phash_mirror = perceptual_hashes(pixels)
    facts = {
        "width": image.width,
        "height": image.height,
        "bytes": 1000,
        "detail_hash": detail_hash(pixels),
        "detail_scale": detail_scale(pixels),
        "thumbnail": thumbnail(pixels),
    }
    return {"key": key, "id": f"id-{key}", "phash": phash, "phash_mirror": phash_mirror, **facts}


def with_copies(images: dict[str, Image.Image]) -> list[dict[str, Any]]:
    photos = []
    for key, image in images.items():
        small = image.resize((image.width // 2, image.height // 2))
        photos += [described(key, image), described(f"{key} small", small)]
        photos.append(described(f"{key} mirror", ImageOps.mirror(small)))
    return photos


def test_copies_of_pictures_are_found_and_nothing_else() -> None:
    images = {str(seed): portrait(200, 240, seed) for seed in range(40)}
    rows = dedupe(with_copies(images), Dedupe().max_distance)
    assert {key: row["kept_key"] for key, row in rows.items()} == {
        name: key for key in images for name in (key, f"{key} small", f"{key} mirror")
    }


@pytest.mark.shared
def test_portraits_of_one_person_are_no_copies_of_each_other(shared_faces: Path) -> None:
    paths = sorted(itertools.chain((shared_faces / "aligned512").glob("*/*.png")))
    images = {str(path): Image.open(path).convert("RGB") for path in paths}
    rows = dedupe(with_copies(images), Dedupe().max_distance)
    assert {key: row["kept_key"] for key, row in rows.items()} == {
        name: key for key in images for name in (key, f"{key} small", f"{key} mirror")
    }
