import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from facerefs.stages.search.similarity import (
    average_linkage,
    inner,
    matrix,
    nearest,
    neighbour_pairs,
    one_embedder,
)
from tests.stages.synthetic import unit

SEEDS = st.integers(0, 2**32 - 1)


def directions(seed: int, count: int, dimensions: int = 8) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dimensions)) + 0.1)


def groups_of(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in labels}


def all_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(count, 1)


def linked(vectors: np.ndarray, threshold: float) -> np.ndarray:
    return average_linkage(vectors, np.ones(len(vectors), np.int64), *all_pairs(len(vectors)), threshold)


@given(seed=SEEDS, count=st.integers(1, 40), k=st.integers(1, 50))
def test_nearest_is_what_sorting_all_cosines_gives(seed, count, k):
    vectors = directions(seed, count)
    similarity, index = nearest(vectors, k)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    expected = -np.sort(-cosines, axis=1)[:, : min(k, count - 1)]
    np.testing.assert_allclose(similarity, expected, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(cosines, index, axis=1), expected, atol=1e-6)


def test_nearest_never_names_the_row_itself_though_there_are_copies_of_it():
    vectors = np.repeat(directions(0, 3), 5, axis=0)
    similarity, index = nearest(vectors, 4)
    assert (index != np.arange(15)[:, None]).all()
    assert (index // 5 == np.arange(15)[:, None] // 5).all()
    np.testing.assert_allclose(similarity, 1, atol=1e-6)


def test_nearest_of_queries_may_name_any_row():
    vectors = directions(0, 6)
    _, index = nearest(vectors, 1, queries=vectors[::-1])
    assert index[:, 0].tolist() == [5, 4, 3, 2, 1, 0]


def test_neighbour_pairs_are_mutual_once_and_strong_enough():
    vectors = directions(1, 30)
    a, b = neighbour_pairs(vectors, 29, 0.5)
    expected = [(i, j) for i, j in zip(*all_pairs(30), strict=True) if vectors[i] @ vectors[j] >= 0.5]
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == expected


def test_inner_products_are_the_same_in_many_blocks(monkeypatch):
    left, right = directions(0, 50), directions(1, 60)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 50, 1000), rng.integers(0, 60, 1000)
    monkeypatch.setattr("facerefs.stages.search.similarity._BLOCK_BYTES", 1 << 10)
    np.testing.assert_allclose(inner(left, right, a, b), (left[a] * right[b]).sum(axis=1), atol=1e-6)


@given(seed=SEEDS, count=st.integers(2, 40), threshold=st.floats(-0.5, 0.95))
def test_average_linkage_is_that_of_scipy(seed, count, threshold):
    vectors = directions(seed, count, 4)
    tree = linkage(pdist(vectors.astype(np.float64), "cosine"), "average")
    heights = tree[:, 2]
    if np.abs(heights - (1 - threshold)).min() < 1e-5 or (np.diff(np.sort(heights)) < 1e-6).any():
        return  # rounding decides
    expected = fcluster(tree, 1 - threshold, "distance")
    assert groups_of(linked(vectors, threshold)) == groups_of(expected)


def test_a_group_is_numbered_by_its_smallest_row():
    vectors = unit(np.array([[0, 1], [1, 0.1], [1, 0], [0.1, 1]]))
    assert linked(vectors, 0.9).tolist() == [0, 1, 1, 0]


def test_a_chain_does_not_become_one_group():
    angles = np.radians(np.arange(0, 180, 9))  # each link has a cosine of 0.99, the ends of -1
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    group = linked(chain, 0.8)
    for number in set(group):
        members = chain[group == number]
        assert (members @ members.T).min() > 0.4
    assert len(set(group)) >= 3


def test_one_strong_link_does_not_join_two_groups():
    rng = np.random.default_rng(0)
    first = unit(np.eye(16)[[0] * 6] + 0.1 * rng.normal(size=(6, 16)))
    second = unit(np.eye(16)[[1] * 6] + 0.1 * rng.normal(size=(6, 16)))
    second[0] = unit(first[:1] + 1.2 * second[:1])[0]
    vectors = np.concatenate([first, second])
    assert (first @ second.T).max() > 0.6
    assert groups_of(linked(vectors, 0.6)) == {frozenset(range(6)), frozenset(range(6, 12))}


def test_only_given_pairs_can_merge():
    vectors = unit(np.ones((4, 3)))
    group = average_linkage(vectors, np.ones(4, np.int64), np.array([0]), np.array([2]), 0.5)
    assert group.tolist() == [0, 1, 0, 3]


def test_starting_groups_count_with_their_sizes():
    # Two faces at 0 degrees against one at 50 and one at 80: the mean decides, not the nearest.
    angles = np.radians([0, 0, 50, 80])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sums = np.stack([vectors[:2].sum(axis=0), vectors[2:].sum(axis=0)])
    across = float((vectors[:2] @ vectors[2:].T).mean())
    pair = np.array([0]), np.array([1])
    sizes = np.array([2, 2])
    assert average_linkage(sums, sizes, *pair, across - 1e-4).tolist() == [0, 0]
    assert average_linkage(sums, sizes, *pair, across + 1e-4).tolist() == [0, 1]


def test_matrix_refuses_rows_without_a_vector_and_of_another_length():
    assert matrix(pa.chunked_array([[[1.0, 2.0]], [[3.0, 4.0]]])).tolist() == [[1, 2], [3, 4]]
    for rows in ([[1.0], None], [[1.0], [1.0, 2.0]]):
        with pytest.raises(ValueError, match="lacks its vector, or vectors differ"):
            matrix(pa.chunked_array([rows]))


def test_vectors_of_several_embedders_are_refused():
    assert one_embedder(pa.chunked_array([["dlib", "dlib"]])) == "dlib"
    with pytest.raises(ValueError, match="several embedders cannot be compared: arcface, dlib"):
        one_embedder(pa.chunked_array([["dlib", "arcface"]]))


def test_two_single_faces_need_more_than_two_groups():
    angles = np.radians(
        [0, 50, 130, 130, 180, 180]
    )  # a pair of faces and a pair of twos, each 50 degrees apart
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sums = np.stack([vectors[0], vectors[1], vectors[2] + vectors[3], vectors[4] + vectors[5]])
    sizes, a, b = np.array([1, 1, 2, 2]), np.array([0, 2]), np.array([1, 3])
    apart = float(np.cos(np.radians(50)))
    assert average_linkage(sums, sizes, a, b, 0.5, lone=0.8).tolist() == [0, 1, 2, 3]
    assert average_linkage(sums, sizes, a, b, 0.5, lone=0.7).tolist() == [0, 1, 2, 2]  # they need 0.7 and 0.6
    assert average_linkage(sums, sizes, a, b, 0.5, lone=apart).tolist() == [0, 0, 2, 2]
