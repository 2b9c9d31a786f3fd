"""Pieces of whole stages on Ray: in order, once more where a worker is lost, and the same rows as in one process."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.runner import piece_pool
from facerefs.pipeline.runner.piece_pool import PiecePool
from facerefs.pipeline.runner.versions import difference, processor, versions_of_search
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.scratch import Scratch
from facerefs.schemas.arrays import Int64s
from facerefs.stages.compare import Compare
from facerefs.stages.executor import Shared
from tests.stages.test_room import made, read_by

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_for_two")]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def pool(said: list[str]) -> PiecePool:
    found = RayWorkers(2).pieces(1 << 20, said.append)
    assert found is not None
    return found


def added(shared: Shared[Int64s], values: Int64s) -> int:
    return int(shared.get().sum() + values.sum())


def dies_once(mark: Path, number: int) -> int:
    if number == 3 and not mark.exists():
        mark.touch()
        os._exit(1)
    return number


def dies(_: int) -> None:
    os._exit(1)


def fails(number: int) -> None:
    raise ValueError(f"piece {number} has a fault")


def test_results_come_in_order_and_no_more_pieces_are_taken_than_fit(
    pool: PiecePool, said: list[str]
) -> None:
    shared = pool.share(np.arange(1000))
    taken = []

    def pieces() -> "list[tuple[Int64s]]":
        for number in range(20):
            taken.append(number)
            yield (np.full(20_000, number),)  # 160 kB: three are about half of the memory

    results = pool.map(partial(added, shared), pieces())
    first = next(results)
    assert len(taken) == 3
    assert [first, *results] == [499_500 + 20_000 * number for number in range(20)]
    assert not said


def test_a_piece_whose_worker_is_lost_is_done_again(pool: PiecePool, said: list[str], tmp_path: Path) -> None:
    results = pool.map(partial(dies_once, tmp_path / "mark"), ((number,) for number in range(8)))
    assert list(results) == list(range(8))
    assert len(said) == 1
    assert "a worker was lost" in said[0]


def test_a_piece_that_loses_three_workers_ends_the_run(pool: PiecePool) -> None:
    with pytest.raises(RunError, match="3 workers were lost while doing one piece"):
        list(pool.map(dies, [(1,)]))


def test_a_piece_that_fails_is_named_with_its_cause(pool: PiecePool) -> None:
    with pytest.raises(RunError, match="piece 7 has a fault") as caught:
        list(pool.map(fails, [(7,)]))
    assert "Traceback" in caught.value.details


def test_a_node_with_another_processor_is_refused(pool: PiecePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_pool, "processor", lambda: "another kind")
    with pytest.raises(UserError, match=r"another kind of processor.*spread_from_rows=null"):
        list(pool.map(fails, [(7,)]))
    assert difference(versions_of_search(), processor()) == ""


def test_a_single_worker_on_this_machine_is_this_process() -> None:
    assert RayWorkers(1).pieces(1 << 20, print) is None


def test_a_stage_gives_the_same_rows(pool: PiecePool, tmp_path: Path) -> None:
    tables = read_by(Compare(), made(5))
    expected = Compare().process(tables)
    assert Compare().process(tables, Scratch(tmp_path, 1 << 24, pool)).equals(expected)
