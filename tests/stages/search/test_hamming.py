"""Neighbours by Hamming distance against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facerefs.stages.search import hamming
from facerefs.stages.search.hamming import hamming_blocks, hamming_pairs

FEW_BITS = st.integers(0, 63).map(lambda bit: 1 << bit) | st.integers(0, 255) | st.integers(0, 2**64 - 1)
HASHES = st.integers(0, 12).flatmap(lambda n: arrays(np.uint64, n, elements=FEW_BITS))


@settings(max_examples=100, deadline=None)
@given(queries=HASHES, base=HASHES, max_distance=st.integers(0, 64))
def test_pairs_are_those_of_brute_force(queries: np.ndarray, base: np.ndarray, max_distance: int) -> None:
    distances = np.bitwise_count(queries[:, None] ^ base[None, :]).astype(int)
    i, j = np.nonzero(distances <= max_distance)
    found = hamming_pairs(queries, base, max_distance)
    assert [column.tolist() for column in found] == [i.tolist(), j.tolist(), distances[i, j].tolist()]


def test_the_block_size_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    whole = hamming_pairs(hashes, hashes, 20)
    monkeypatch.setattr(hamming, "_QUERIES_PER_BLOCK", 7)
    assert np.array_equal(whole, hamming_pairs(hashes, hashes, 20))
    assert len(whole[0]) > 1000


@settings(max_examples=100, deadline=None)
@given(queries=HASHES, base=HASHES, max_distance=st.integers(0, 10))
def test_hash_tables_give_the_pairs_that_flat_search_gives(
    queries: np.ndarray, base: np.ndarray, max_distance: int
) -> None:
    flat = hamming_pairs(queries, base, max_distance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "_FLAT_UP_TO", -1)
        tables = hamming_pairs(queries, base, max_distance)
    assert [column.tolist() for column in tables] == [column.tolist() for column in flat]


def test_hash_tables_find_every_hash_that_is_eight_bits_away(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**64, 2000, dtype=np.uint64)
    bits = rng.permuted(np.tile(np.arange(64, dtype=np.uint64), (2000, 1)), axis=1)[:, :9]
    monkeypatch.setattr(hamming, "_FLAT_UP_TO", 1000)
    for distance in (2, 3, 5, 6, 8, 9):  # at 9 tables would miss some: then every hash is compared
        flipped = base ^ np.bitwise_or.reduce(np.uint64(1) << bits[:, :distance], axis=1)
        i, j, found = hamming_pairs(flipped, base, distance)
        assert (found[i == j] == distance).all()
        assert np.count_nonzero(i == j) == 2000


@pytest.mark.parametrize("crowded", [False, True])
def test_blocks_hold_the_same_pairs_whether_the_hashes_are_crowded_or_not(
    crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 300, dtype=np.uint64)
    whole = hamming_pairs(hashes, hashes[:200], 20)
    monkeypatch.setattr(hamming, "_QUERIES_PER_BLOCK", 70)
    monkeypatch.setattr(hamming, "_CROWDED_QUERIES_PER_BLOCK", 30)
    blocks = list(hamming_blocks(hashes, hashes[:200], 20, crowded=crowded))
    assert len(blocks) == (10 if crowded else 5)
    assert np.array_equal(whole, np.concatenate(blocks, axis=1))
