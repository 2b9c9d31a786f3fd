"""Hamming neighbours against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages import neighbours
from stages.neighbours import hamming_pairs

FEW_BITS = st.integers(0, 63).map(lambda bit: 1 << bit) | st.integers(0, 255) | st.integers(0, 2**64 - 1)
HASHES = st.integers(0, 12).flatmap(lambda n: arrays(np.uint64, n, elements=FEW_BITS))


@settings(max_examples=100, deadline=None)
@given(queries=HASHES, base=HASHES, max_distance=st.integers(0, 64))
def test_pairs_are_those_of_brute_force(queries: np.ndarray, base: np.ndarray, max_distance: int) -> None:
    distances = np.bitwise_count(queries[:, None] ^ base[None, :]).astype(int)
    i, j = np.nonzero(distances <= max_distance)
    found = hamming_pairs(queries, base, max_distance)
    assert [column.tolist() for column in found] == [i.tolist(), j.tolist(), distances[i, j].tolist()]


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    whole = hamming_pairs(hashes, hashes, 20)
    monkeypatch.setattr(neighbours, "_QUERIES_PER_BLOCK", 7)
    assert np.array_equal(whole, hamming_pairs(hashes, hashes, 20))
    assert len(whole[0]) > 1000
