"""Whole stages in pieces: however the work is cut and wherever it is done, the rows are those of one process."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerefs.pipeline.storage.scratch import Scratch
from facerefs.stages import executor, select
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.executor import Piece
from facerefs.stages.identities import groups
from facerefs.stages.references import pieces
from facerefs.stages.search import faiss_index, hamming
from facerefs.stages.search.similarity import nearest
from facerefs.stages.stage import WholeStage
from tests.stages.synthetic import unit
from tests.stages.test_room import STAGES, made, made_photos, read_by


@dataclass
class OtherProcesses:
    """As other processes do it: values arrive as copies that nobody can write to, and some pieces are done twice."""

    calls: list[str] = field(default_factory=list)

    def share(self, value: Any) -> executor.Shared[Any]:
        return executor.Held(_sent(value))

    def map(self, function: Callable[..., Any], pieces: Iterable[Piece]) -> Iterator[Any]:
        ahead = list(pieces)
        results = {}
        for number, piece in reversed(list(enumerate(ahead))):
            for _ in range(1 + number % 2):
                called, arguments = _sent((function, piece))
                results[number] = _sent(called(*arguments))
            self.calls.append(getattr(function, "func", function).__name__)
        yield from (results[number] for number in range(len(ahead)))


def _sent(value: Any) -> Any:
    arrays: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, 5, buffer_callback=arrays.append)
    return pickle.loads(data, buffers=[bytes(array.raw()) for array in arrays])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Thousands of searches of some microseconds: several threads would mostly wait for each other."""
    import faiss

    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(usual)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(faiss_index, "_VECTORS_PER_PIECE", 61)
    monkeypatch.setattr(faiss_index, "_MERGED_AT_ONCE", 3)
    monkeypatch.setattr(hamming, "_QUERIES_PER_BLOCK", 50)
    monkeypatch.setattr(hamming, "_CROWDED_QUERIES_PER_BLOCK", 40)
    monkeypatch.setattr(hamming, "_HASHES_PER_PIECE", 101)
    monkeypatch.setattr(groups, "_FACES_PER_PIECE", 50)
    monkeypatch.setattr(pieces, "_BLOCKS_PER_PIECE", 3)
    monkeypatch.setattr(select, "PAIRS_PER_BLOCK", 300)
    return monkeypatch


@pytest.mark.parametrize("exact_up_to", [50_000, 150])
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{type(stage).__name__}")
def test_pieces_change_no_row_of_faces(
    stage: WholeStage, exact_up_to: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("monkeypatch").setattr(faiss_index, "EXACT_UP_TO", exact_up_to)
    tables = read_by(stage, made(exact_up_to + 1))
    expected = stage.process(tables)
    request.getfixturevalue("small_pieces")
    others = OtherProcesses()
    for memory_bytes in (1 << 18, 1 << 30):
        assert stage.process(tables, Scratch(tmp_path, memory_bytes, others)).equals(expected)
    assert others.calls
    few = OtherProcesses()
    assert stage.process(tables, Scratch(tmp_path, 1 << 30, few, spread_from=10_000)).equals(expected)
    assert not few.calls


@pytest.mark.usefixtures("small_pieces")
def test_pieces_change_no_row_of_photos(tmp_path: Path) -> None:
    tables = read_by(Dedupe(), made_photos(1))
    others = OtherProcesses()
    assert Dedupe().process(tables, Scratch(tmp_path, 1 << 20, others)).equals(Dedupe().process(tables))
    assert others.calls


@pytest.mark.parametrize("memory_bytes", [1 << 12, 1 << 17, 1 << 30])
@pytest.mark.parametrize("exact_up_to", [100, 10_000])
def test_of_equal_neighbours_the_first_rows_are_found_in_any_block(
    exact_up_to: int, memory_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the vectors are equal to others, some to more than are looked for."""
    rng = np.random.default_rng(3)
    vectors = unit(rng.normal(size=(900, 16)))
    vectors = vectors[rng.choice(900, 900)]
    vectors[rng.choice(900, 100)] = vectors[7]
    monkeypatch.setattr(faiss_index, "EXACT_UP_TO", exact_up_to)
    here = nearest(vectors, 6)
    found = nearest(vectors, 6, room=Scratch(tmp_path, memory_bytes, OtherProcesses()))
    for one, other in zip(here, found, strict=True):
        np.testing.assert_array_equal(one, other)
    similarity, rows = here
    in_order = (np.diff(similarity) < 0) | (np.diff(rows) > 0)
    assert in_order.all()
    if exact_up_to == 10_000:
        alone = np.flatnonzero((vectors == vectors[7]).all(axis=1))
        assert len(alone) > 7
        assert np.array_equal(rows[alone[-1]], alone[:6])
