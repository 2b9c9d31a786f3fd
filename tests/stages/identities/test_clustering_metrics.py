"""Metrics of a clustering against scikit-learn's and a literal BCubed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.cluster import pair_confusion_matrix

from facerefs.stages.identities.clustering_metrics import bcubed, pairwise

GROUPINGS = st.integers(1, 30).flatmap(
    lambda n: st.tuples(*(arrays(np.int64, n, elements=st.integers(0, 6)) for _ in range(2)))
)


def literal_bcubed(truth: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    precision, recall = [], []
    for i in range(len(truth)):
        own, like = set(np.flatnonzero(found == found[i])), set(np.flatnonzero(truth == truth[i]))
        precision.append(len(own & like) / len(own))
        recall.append(len(own & like) / len(like))
    return float(np.mean(precision)), float(np.mean(recall))


@given(GROUPINGS)
def test_pairwise_is_that_of_the_confusion_matrix_of_pairs(groupings):
    (_, wrong), (missed, right) = pair_confusion_matrix(*groupings).tolist()
    result = pairwise(*groupings)
    assert result.precision == pytest.approx(right / (right + wrong) if right + wrong else 1)
    assert result.recall == pytest.approx(right / (right + missed) if right + missed else 1)


@given(GROUPINGS)
def test_bcubed_is_that_of_its_definition(groupings):
    result = bcubed(*groupings)
    assert (result.precision, result.recall) == pytest.approx(literal_bcubed(*groupings))
    p, r = result.precision, result.recall
    assert result.f == pytest.approx(2 * p * r / (p + r))


def test_unassigned_faces_are_each_a_group():
    truth = np.array([0, 0, 0, 1, 1])
    found = np.array([5, 5, -1, -1, -1])
    assert (pairwise(truth, found).precision, pairwise(truth, found).recall) == (1, 1 / 4)
    assert bcubed(truth, found).precision == 1
    assert bcubed(truth, found).recall == pytest.approx((2 / 3 * 2 + 1 / 3 + 1 / 2 * 2) / 5)
    strangers = np.array([-1, -1])
    assert pairwise(strangers, np.array([0, 0])).precision == 0
    assert pairwise(strangers, strangers).f == 1


def test_bcubed_of_no_faces_is_refused():
    with pytest.raises(ValueError, match="no faces"):
        bcubed(np.zeros(0, np.int64), np.zeros(0, np.int64))
