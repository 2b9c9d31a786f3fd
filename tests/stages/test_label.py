"""Label: whose name each face has, by the rows with which the source lists its photo."""

from typing import Any

import pyarrow as pa
import pytest

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DUPLICATES, FACES, LABELS, SOURCES, TABLES
from facerefs.stages.label import Label

LEFT, RIGHT = [10.0, 20.0, 110.0, 140.0], [200.0, 20.0, 300.0, 140.0]
NOWHERE = [0.0, 0.0, 5.0, 5.0]
PHOTO = "aaaaaaaaaaaaaaaa"
Rows = list[dict[str, Any]]


def listed(key: str, label: str | None = None, box: list[float] | None = None) -> dict[str, Any]:
    return {"key": key, "label": label, "box": box}


def face(number: int, key: str, box: list[float] | None, photo: str = PHOTO) -> dict[str, Any]:
    return {"id": f"{photo}-{number}", "image": photo, "key": key, "box": box}


def copy(key: str, reject: Reject | None = Reject.DUPLICATE_EXACT, photo: str = PHOTO) -> dict[str, Any]:
    return {"key": key, "id": photo, "reject": reject}


def labels(sources: Rows, faces: Rows, duplicates: Rows = ()) -> dict[str, str | None]:  # type: ignore[assignment]
    """The label of each face, by its id."""
    rows = {"sources": (sources, SOURCES), "faces": (faces, FACES), "duplicates": (duplicates, DUPLICATES)}
    tables = {
        name: pa.Table.from_pylist(
            [dict.fromkeys(TABLES[name].names) | row for row in of_table], schema
        ).select(Label.reads[name])
        for name, (of_table, schema) in rows.items()
    }
    found = Label().process(tables)
    assert found.schema == LABELS
    return dict(zip(found["face"].to_pylist(), found["label"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ([("ann", LEFT), ("bob", RIGHT)], ["ann", "bob"]),
        ([("ann", RIGHT), ("bob", LEFT)], ["bob", "ann"]),
        ([("ann", RIGHT)], [None, "ann"]),
        ([("ann", LEFT), ("bob", None)], ["ann", "bob"]),
        ([("bob", None), ("ann", LEFT)], ["ann", "bob"]),
        ([("ann", LEFT), ("ann", None)], ["ann", None]),  # the box says which face is hers
        ([("ann", LEFT), ("bob", None), ("cy", None)], ["ann", None]),
        ([("ann", LEFT), ("bob", LEFT)], ["ann", None]),  # a contradiction: the kept photo's row comes first
        ([("ann", NOWHERE), ("bob", LEFT)], ["bob", None]),
        ([("ann", None), ("bob", None)], ["ann", "ann"]),
        ([("ann", None), ("ann", None)], ["ann", "ann"]),
        ([("ann", None)], ["ann", "ann"]),
        ([(None, LEFT)], [None, None]),  # a box without a label says nothing
        ([(None, LEFT), ("bob", None)], ["bob", "bob"]),
        ([(None, None)], [None, None]),
    ],
)
def test_each_face_has_the_label_that_the_source_means(
    annotations: list[tuple[str | None, list[float] | None]], expected: list[str | None]
) -> None:
    sources = [listed(str(number), *one) for number, one in enumerate(annotations)]
    faces = [face(0, "0", LEFT), face(1, "0", RIGHT)]
    kept, *others = sources
    duplicates = [copy(kept["key"], None), *(copy(row["key"]) for row in others)]
    assert list(labels(sources, faces, duplicates).values()) == expected


def test_the_kept_photo_speaks_first_then_its_copies_in_the_order_of_their_keys() -> None:
    """Neither the order of the source nor that of the duplicates matters."""
    sources = [listed("d", "dan"), listed("c", "cy"), listed("a"), listed("b", "bob")]
    duplicates = [copy("d"), copy("b"), copy("c"), copy("a", None)]
    assert labels(sources, [face(0, "a", LEFT)], duplicates) == {f"{PHOTO}-0": "bob"}
    sources[2] = listed("a", "ann")
    assert labels(sources, [face(0, "a", LEFT)], duplicates) == {f"{PHOTO}-0": "ann"}


def test_near_copies_and_photos_that_a_person_dropped_say_nothing() -> None:
    sources = [listed("a"), listed("b", "bob"), listed("d", "dan")]
    near = copy("b", Reject.DUPLICATE_NEAR, photo="b" * 16)
    duplicates = [copy("a", None), near, copy("d", Reject.DROPPED_BY_PERSON)]
    assert labels(sources, [face(0, "a", LEFT)], duplicates) == {f"{PHOTO}-0": None}


def test_a_near_copy_that_came_back_has_its_own_label_and_those_of_the_same_bytes() -> None:
    sources = [listed("a", "ann"), listed("b"), listed("c", "cy")]
    near = [copy(key, Reject.DUPLICATE_NEAR, photo="b" * 16) for key in ("b", "c")]
    faces = [face(0, "b", LEFT, "b" * 16)]
    assert labels(sources, faces, [copy("a", None), *near]) == {"b" * 16 + "-0": "cy"}


def test_a_box_means_the_face_whatever_its_number_and_rows_without_a_face_have_no_label() -> None:
    """Ids sort as texts, 10 before 2, but what a box means goes by the numbers."""
    boxes = {n: [100.0 * n, 0.0, 100.0 * n + 80, 100.0] for n in range(12)}
    faces = [face(n, "group", box) for n, box in reversed(boxes.items())]
    faces += [face(0, "other", LEFT, "b" * 16), {"id": "c" * 16 + "-none", "key": "empty"}]
    sources = [listed("group", "ann", boxes[10]), listed("other", "bob"), listed("empty", "eve")]
    found = labels(sources, faces)
    assert found == {f"{PHOTO}-{n}": "ann" if n == 10 else None for n in range(12)} | {"b" * 16 + "-0": "bob"}
    assert list(found) == sorted(found)


def test_nothing_gives_nothing() -> None:
    assert labels([], []) == {}
