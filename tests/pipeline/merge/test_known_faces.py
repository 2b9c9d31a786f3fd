"""What follows for groups of near copies from what several builds found: the same as when they are analysed."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.merge.groups import Group, Signature, signature
from facerefs.pipeline.merge.known_faces import KnownFaces, with_original
from facerefs.schemas.tables import FACES
from facerefs.stages.analyse import any_accepted, comes_back

PHOTOS = "abcd"


def faces_of(photo: str, accepted: bool) -> list[dict[str, Any]]:
    row = {"id": f"{photo}-0", "image": photo, "key": "a key of the build", "crop_size": 512}
    return [row | {"reject": None if accepted else "no_face"}]


def known(by_build: Sequence[dict[str, bool]], groups: Sequence[set[Signature]] = ()) -> KnownFaces:
    """by_build: for each build the photos that it looked at, and whether their face was accepted."""
    tables = [
        with_original(
            pa.Table.from_pylist([row for photo in photos.items() for row in faces_of(*photo)], FACES), i
        )
        for i, photos in enumerate(by_build)
    ]
    return KnownFaces.of(
        tables[0], pa.concat_tables([tables[0][:0], *tables[1:]]), groups or [set() for _ in by_build]
    )


def group(*photos: tuple[str, bool]) -> Group:
    return [{"key": f"key {photo}", "id": photo, "certain": certain} for photo, certain in photos]


def photos_of(faces: KnownFaces, of: Group) -> list[str] | None:
    found = faces.rows_of_group(of)
    return None if found is None else [photo.key.removeprefix("key ") for photo in found]


@given(
    accepted=st.fixed_dictionaries({photo: st.booleans() for photo in PHOTOS}),
    certain=st.lists(st.booleans(), min_size=3, max_size=3),
    builds=st.lists(st.integers(0, 1), min_size=4, max_size=4),
)
def test_a_group_has_the_rows_that_its_analysis_would_give(
    accepted: dict[str, bool], certain: list[bool], builds: list[int]
) -> None:
    of = group(("a", True), *zip("bcd", certain, strict=True))
    by_build = [
        {p: accepted[p] for p, b in zip(PHOTOS, builds, strict=True) if b == number} for number in (0, 1)
    ]
    expected, before = ["a"], faces_of("a", accepted["a"])
    for row in of[1:]:
        faces = faces_of(row["id"], accepted[row["id"]])
        looked_at = not (row["certain"] and any_accepted(before))
        if looked_at and comes_back(faces, before, row["certain"]):
            expected.append(row["id"])
            before = before + faces
    assert photos_of(known(by_build), of) == expected


def test_a_copy_that_no_build_looked_at_matters_only_if_the_kept_photo_has_no_face() -> None:
    of = group(("a", True), ("b", True))
    assert photos_of(known([{"a": True}]), of) == ["a"]
    assert photos_of(known([{"a": False}]), of) is None
    assert photos_of(known([{"b": True}]), of) is None


def test_what_a_build_found_out_about_the_same_group_holds_again() -> None:
    of = group(("a", True), ("b", True))
    analysed = {signature(of)}
    assert photos_of(known([{"a": False}, {}], [analysed, set()]), of) == ["a"]
    # Another build has the copy alone, and a face in it: in the same group it did not come back.
    assert photos_of(known([{"a": True}, {"b": True}], [analysed, set()]), of) == ["a"]


def test_rows_are_those_of_the_part_that_is_taken_over_if_several_builds_have_them() -> None:
    faces = known([{"a": True}, {"a": True, "b": True}])
    (photo,) = faces.rows_of_group(group(("a", True))) or []
    assert (photo.original, photo.rows) == (0, [0])
