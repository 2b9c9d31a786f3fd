"""Matching of listed boxes to detected faces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.stages.faces.boxes import MIN_OVERLAP, match_boxes

FACE = (100.0, 100.0, 200.0, 220.0)
BESIDE = (210.0, 90.0, 320.0, 220.0)
Box = tuple[int, int, int, int]


@pytest.mark.parametrize(
    ("listed", "found", "expected"),
    [
        (FACE, [BESIDE, FACE], {1: 0}),
        ((90.0, 80.0, 215.0, 240.0), [FACE, BESIDE], {0: 0}),  # framed less tightly
        ((400.0, 400.0, 500.0, 500.0), [FACE, BESIDE], {}),
        ((0.0, 0.0, 1000.0, 1000.0), [FACE, BESIDE], {}),  # the whole photo says nothing
        (FACE, [], {}),
    ],
)
def test_a_box_belongs_to_the_face_that_overlaps_most(
    listed: tuple[float, ...], found: list[tuple[float, ...]], expected: dict[int, int]
) -> None:
    assert match_boxes([listed], found) == expected


@given(st.tuples(*[st.floats(0, 500)] * 2), st.tuples(*[st.floats(20, 300)] * 2), st.floats(-0.2, 0.2))
def test_a_slightly_shifted_box_still_belongs_to_its_face(
    corner: tuple[float, float], sides: tuple[float, float], off: float
) -> None:
    box = np.array([*corner, corner[0] + sides[0], corner[1] + sides[1]])
    listed = box + off * np.array([*sides, *sides])
    far = box + 1000
    assert match_boxes([listed.tolist()], [far.tolist(), box.tolist()]) == {1: 0}


def test_each_box_belongs_to_its_own_face() -> None:
    assert match_boxes([BESIDE, FACE], [FACE, BESIDE]) == {0: 1, 1: 0}
    assert match_boxes([], [FACE]) == {}


def test_of_several_boxes_of_one_face_the_closest_gets_it_and_the_others_none() -> None:
    loose = (85.0, 85.0, 215.0, 235.0)
    for listed in ([loose, FACE], [FACE, loose], [FACE, FACE, loose]):
        assert match_boxes(listed, [FACE, BESIDE]) == {0: listed.index(FACE)}


def iou(box: Box, other: Box) -> float:
    """Intersection over union, for one pair and whole numbers: exact."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (
        (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared
    )


BOXES = st.lists(
    st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
        lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
    ),
    max_size=6,
)


@given(BOXES, BOXES)
def test_no_face_and_no_box_is_taken_twice_and_none_for_a_worse_one(
    listed: list[Box], found: list[Box]
) -> None:
    meant = match_boxes(listed, found)
    assert len(set(meant.values())) == len(meant)
    for face, box in meant.items():
        overlap = iou(listed[box], found[face])
        assert overlap >= MIN_OVERLAP
        assert overlap == max(iou(listed[box], other) for other in found)
    for box in set(range(len(listed))) - set(meant.values()):
        overlaps = [iou(listed[box], other) for other in found]
        best = max(overlaps, default=0)
        assert best < MIN_OVERLAP or any(
            iou(listed[meant[face]], found[face]) >= best
            for face, overlap in enumerate(overlaps)
            if overlap == best and face in meant
        )
