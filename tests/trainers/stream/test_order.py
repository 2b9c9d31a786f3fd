"""The order: permutations, balance, proportions, and numbers that stay the same for ever."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from facerefs.schemas.splitmix import fold_in
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.order import BalancedOrder, ShuffledOrder, permutation
from facerefs.trainers.stream.order.plan import StreamPlan, proportions

GOLDEN = [9, 10, 0, 2, 1, 3, 5, 7, 6, 4, 11, 8]  # epoch 1 of 12 rows, seed 0; computed with plain integers
SEEDS = st.integers(0, 2**64 - 1)


def test_an_epoch_is_as_it_was_in_the_first_release() -> None:
    rows, _ = ShuffledOrder(12, fold_in(0, 2, 0)).slice(12, 24)
    assert rows.tolist() == GOLDEN


@given(SEEDS, st.integers(1, 300), st.integers(0, 10**6))
def test_every_pass_of_a_shuffled_order_is_a_permutation(key: int, rows: int, number: int) -> None:
    found, repeats = ShuffledOrder(rows, key).slice(number * rows, (number + 1) * rows)
    assert sorted(found) == list(range(rows))
    assert set(repeats) == {number}


@given(SEEDS, st.integers(1, 40), st.data())
def test_a_stretch_is_a_cut_of_the_endless_order(key: int, rows: int, data: st.DataObject) -> None:
    people = data.draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))
    codes = np.unique(people, return_inverse=True)[1].astype(np.int32)
    first = data.draw(st.integers(0, 200))
    last = data.draw(st.integers(first + 1, 250))
    for order in (ShuffledOrder(rows, key), BalancedOrder(codes, key)):
        whole = np.stack(order.slice(0, 250))
        assert np.array_equal(np.stack(order.slice(first, last)), whole[:, first:last])


@given(SEEDS, st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 20))
def test_a_balanced_order_draws_everybody_equally_and_their_samples_in_turn(
    key: int, sizes: list[int], rounds: int
) -> None:
    codes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    rows, repeats = BalancedOrder(codes, key).slice(0, rounds * len(sizes))
    assert (np.sort(codes[rows].reshape(rounds, -1)) == np.arange(len(sizes))).all()
    for person, size in enumerate(sizes):
        drawn = rows[codes[rows] == person]
        for start in range(0, rounds - size + 1, size):
            assert len(set(drawn[start : start + size].tolist())) == size
    assert len(set(zip(rows.tolist(), repeats.tolist(), strict=True))) == len(
        rows
    )  # (row, pass) is always new


def test_every_row_stands_at_every_place_equally_often() -> None:
    places = np.array([permutation(fold_in(7, epoch), 20) for epoch in range(4000)])
    counts = np.array([np.bincount(places[:, place], minlength=20) for place in range(20)])
    assert chisquare(counts.ravel()).pvalue > 0.001
    neighbours = Counter((places[:, 1:] - places[:, :-1]).ravel().tolist())
    distances = [distance for distance in range(-19, 20) if distance]
    expected = [4000 * 19 * (20 - abs(distance)) / 380 for distance in distances]
    assert chisquare([neighbours[distance] for distance in distances], expected).pvalue > 0.001


def test_people_take_turns_in_every_order_equally_often() -> None:
    order = BalancedOrder(np.repeat(np.arange(4), 3).astype(np.int32), 11)
    rows, _ = order.slice(0, 4 * 24000)
    turns = Counter(map(tuple, (rows // 3).reshape(-1, 4).tolist()))
    assert len(turns) == 24
    assert chisquare(list(turns.values())).pvalue > 0.001
    mine = rows[rows // 3 == 2].reshape(-1, 3)
    assert chisquare(list(Counter(map(tuple, mine.tolist())).values())).pvalue > 0.001


@given(
    SEEDS,
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.05, 20)), min_size=1, max_size=4),
    st.integers(0, 5),
)
def test_a_mix_keeps_its_proportions_in_every_epoch_and_repeats_nothing_early(
    seed: int, parts: list[tuple[int, float]], epoch: int
) -> None:
    sizes, weights = [size for size, _ in parts], [weight for _, weight in parts]
    try:
        plan = StreamPlan(
            [ShuffledOrder(size, fold_in(seed, i)) for i, size in enumerate(sizes)], sizes, weights, seed
        )
    except StreamError:
        assert min(weights) / sum(weights) * sum(sizes) < 1
        return
    length = plan.epoch_length
    draws = plan.draws(0, (epoch + 1) * length)
    last = Counter(draw.source for draw in draws[epoch * length :])
    for source, weight in enumerate(weights):
        assert abs(last[source] - length * weight / sum(weights)) < 1
        rows = [draw.row for draw in draws if draw.source == source]
        for start in range(0, len(rows) - sizes[source] + 1, sizes[source]):
            assert len(set(rows[start : start + sizes[source]])) == sizes[source]
    assert len({(draw.source, draw.row, draw.epoch) for draw in draws}) == len(draws)
    assert [draw.position for draw in draws] == list(range(len(draws)))


def test_the_sources_of_a_mix_are_strewn_evenly() -> None:
    plan = StreamPlan([ShuffledOrder(300, 1), ShuffledOrder(100, 2)], [300, 100], [3, 1], 5)
    sources = np.array([plan.epoch(epoch).sources for epoch in range(500)])
    assert chisquare(sources.sum(axis=0)).pvalue > 0.001


def test_shares_go_by_the_largest_remainder() -> None:
    assert proportions([10, 10, 1], [1, 1, 1]) == [7, 7, 7]
    assert proportions([10, 10], [2, 1]) == [13, 7]
    assert proportions([5, 5], [1, 1]) == [5, 5]
    with pytest.raises(StreamError, match="weight 1e-09 has no sample"):
        proportions([10, 10], [1, 1e-9])
    with pytest.raises(StreamError, match="positive number, not nan"):
        proportions([10], [float("nan")])


def test_draws_far_out_need_no_walk() -> None:
    plan = StreamPlan([ShuffledOrder(1000, 1)], [1000], [1], 5)
    far = plan.draws(10**12 - 5, 10**12 + 5)
    assert [draw.epoch for draw in far] == [10**9 - 1] * 5 + [10**9] * 5
