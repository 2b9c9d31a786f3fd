"""Nearest neighbours: inverted lists against exact search, and the same result for any number of threads."""

import subprocess
import sys

import numpy as np
import pytest

from facerefs.stages.search import faiss_index
from facerefs.stages.search.faiss_index import nearest_blocks
from facerefs.stages.search.similarity import nearest, neighbour_pairs
from tests.stages.synthetic import crowd, group_sizes

HASH_OF_PAIRS = """
import sys, hashlib, faiss
from facerefs.stages.search import faiss_index
from facerefs.stages.search.similarity import nearest
from tests.stages.synthetic import crowd, group_sizes
faiss.omp_set_num_threads(int(sys.argv[1]))
faiss_index.EXACT_UP_TO = int(sys.argv[2])
result = nearest(crowd(group_sizes(400, 0), 0)[1], 16)
print(hashlib.sha256(b"".join(array.tobytes() for array in result)).hexdigest())
"""


def faces(people: int = 600) -> tuple[np.ndarray, np.ndarray]:
    return crowd(group_sizes(people, 0), 0)


def test_lists_find_nearly_all_strong_pairs_of_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    person, vectors = faces()
    exact = set(zip(*neighbour_pairs(vectors, 32, 0.4), strict=True))
    monkeypatch.setattr(faiss_index, "EXACT_UP_TO", 1000)
    found = set(zip(*neighbour_pairs(vectors, 32, 0.4), strict=True))
    true = {pair for pair in exact if person[pair[0]] == person[pair[1]]}
    assert len(true & found) >= 0.995 * len(true)


@pytest.mark.parametrize("exact_up_to", [1000, 10**6])
def test_similarities_are_cosines_of_the_rows_named(
    exact_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, vectors = faces(300)
    monkeypatch.setattr(faiss_index, "EXACT_UP_TO", exact_up_to)
    similarity, found = nearest(vectors, 8)
    assert (found != np.arange(len(vectors))[:, None]).all()
    assert (np.diff(similarity) <= 0).all()
    expected = np.einsum("nd,nkd->nk", vectors, vectors[found])
    np.testing.assert_allclose(similarity, expected, atol=1e-6 if exact_up_to > 1000 else 2e-3)
    assert (similarity.dtype, found.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize("exact_up_to", [1000, 10**6])
def test_the_block_size_does_not_change_the_result(exact_up_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, vectors = faces(200)
    monkeypatch.setattr(faiss_index, "EXACT_UP_TO", exact_up_to)
    whole = nearest(vectors, 8)
    monkeypatch.setattr(faiss_index, "_QUERIES_PER_BLOCK", 500)
    parts = list(nearest_blocks(vectors, vectors, 9))
    assert [start for start, _, _ in parts] == list(range(0, len(vectors), 500))
    again = nearest(vectors, 8)
    assert np.array_equal(whole[0], again[0])
    assert np.array_equal(whole[1], again[1])


@pytest.mark.parametrize("exact_up_to", [1000, 10**6])
def test_the_number_of_threads_does_not_change_the_result(exact_up_to: int) -> None:
    results = {
        subprocess.run(
            [sys.executable, "-c", HASH_OF_PAIRS, str(threads), str(exact_up_to)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in (1, 2, 3)
    }
    assert len(results) == 1


@pytest.mark.gpu
def test_the_gpu_finds_what_the_cpu_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    if not getattr(faiss, "get_num_gpus", int)():
        pytest.skip("this FAISS has no GPU")
    _, vectors = faces()
    for exact_up_to in (1000, 10**6):
        monkeypatch.setattr(faiss_index, "EXACT_UP_TO", exact_up_to)
        similarity, _ = nearest(vectors, 8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(faiss, "get_num_gpus", lambda: 0)
            expected, _ = nearest(vectors, 8)
        assert np.mean(np.abs(similarity - expected) < 5e-3) > 0.98
