"""Clusters of unlabelled faces, on synthetic embeddings with the cosines of real ones."""

import numpy as np
import pytest

from facerefs.stages.identities.clustering_metrics import bcubed, pairwise
from facerefs.stages.identities.communities import communities
from tests.stages.synthetic import crowd, embeddings, group_sizes, unit

SAME = 0.40


def test_people_of_a_long_tail_are_found():
    truth, vectors = crowd(group_sizes(1000, 3), 3, varied=0.05)
    found = communities(vectors, SAME, 64)
    assert pairwise(truth, found).f >= 0.95
    assert bcubed(truth, found).f >= 0.95


def test_a_few_groups_among_thousands_of_single_faces_draw_in_no_strangers():
    sizes = np.concatenate([np.ones(3000, np.int64), np.maximum(group_sizes(200, 5), 2)])
    truth, vectors = crowd(sizes, 5, varied=0.05)
    found = communities(vectors, SAME, 64)
    assert pairwise(truth, found).precision >= 0.98
    assert pairwise(truth, found).recall >= 0.8
    assert bcubed(truth, found).f >= 0.96


def test_a_person_with_far_more_faces_than_neighbours_looked_at_is_found_whole():
    truth, vectors = crowd(np.array([500, *[8] * 40]), 1)
    found = communities(vectors, SAME, 16)
    _, counts = np.unique(found[truth == 0], return_counts=True)
    assert counts.max() >= 0.97 * 500
    assert pairwise(truth, found).precision >= 0.99


def test_a_set_of_one_person_is_one_group():
    _, vectors = crowd(np.array([500]), 2)
    _, counts = np.unique(communities(vectors, SAME, 16), return_counts=True)
    assert counts.max() >= 0.97 * 500


def test_a_face_between_two_people_does_not_join_them():
    truth, vectors = embeddings(100, 10, seed=2)
    centres = unit(np.stack([vectors[truth == person].mean(axis=0) for person in range(100)]))
    between = unit(centres[0::2] + centres[1::2])
    found = communities(np.concatenate([vectors, between]).astype(np.float32), SAME, 64)
    assert pairwise(truth, found[: len(truth)]).precision >= 0.99


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_faces(count: int):
    vectors = unit(np.ones((count, 4))) if count else np.zeros((0, 4), np.float32)
    assert communities(vectors, SAME, 8).tolist() == [0] * count


def test_the_group_of_a_row_is_the_smallest_row_of_it():
    _, vectors = crowd(group_sizes(50, 0), 0)
    found = communities(vectors, SAME, 64)
    assert (found <= np.arange(len(found))).all()
    assert (found[found] == found).all()
