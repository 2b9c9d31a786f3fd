"""Which face a list means by its box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.boxes import matching

FACE = (100.0, 100.0, 200.0, 220.0)
BESIDE = (210.0, 90.0, 320.0, 220.0)


@pytest.mark.parametrize(
    ("listed", "found", "expected"),
    [
        (FACE, [BESIDE, FACE], [1]),
        ((90.0, 80.0, 215.0, 240.0), [FACE, BESIDE], [0]),  # framed less tightly
        ((400.0, 400.0, 500.0, 500.0), [FACE, BESIDE], []),
        ((0.0, 0.0, 1000.0, 1000.0), [FACE, BESIDE], []),  # the whole photo says nothing
        (FACE, [], []),
    ],
)
def test_the_face_that_overlaps_most_is_meant(
    listed: tuple[float, ...], found: list[tuple[float, ...]], expected: list[int]
) -> None:
    assert matching(listed, found) == expected


@given(st.tuples(*[st.floats(0, 500)] * 2), st.tuples(*[st.floats(20, 300)] * 2), st.floats(-0.2, 0.2))
def test_a_box_that_is_a_little_off_still_means_its_face(
    corner: tuple[float, float], sides: tuple[float, float], off: float
) -> None:
    box = np.array([*corner, corner[0] + sides[0], corner[1] + sides[1]])
    listed = box + off * np.array([*sides, *sides])
    far = box + 1000
    assert matching(listed.tolist(), [far.tolist(), box.tolist()]) == [1]
