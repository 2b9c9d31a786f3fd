"""Several processes that train as one: the same gradients, the same decisions."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from facerefs.trainers.distributed import Distributed, joined
from facerefs.trainers.loop.checkpoint import newest, read
from facerefs.trainers.loop.nan_guard import NanGuard
from facerefs.trainers.loop.optimisers import average_gradients
from facerefs.trainers.train import train
from tests.trainers.loop.toy import DATA, LOOP, Toy, log_lines, train_toy

CPU = torch.device("cpu")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_rank(rank: int, port: int, work: Callable[..., None], words: tuple[object, ...]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined(CPU, rank, 2) as ranks:
        work(ranks, *words)


def in_two_processes(work: Callable[..., None], *words: object) -> None:
    """Run `work(ranks, *words)` as rank 0 and 1 over gloo; what one of them raises is raised."""
    mp.spawn(_as_rank, (_free_port(), work, words), nprocs=2)


def _talk(ranks: Distributed) -> None:
    assert ranks.largest([1.0, float(ranks.rank)]) == [1.0, 1.0]
    assert ranks.means([float(ranks.rank)]) == [0.5]
    assert ranks.any(ranks.rank == 1)
    assert not ranks.any(False)
    same = nn.Linear(2, 2)
    nn.init.ones_(same.weight)
    nn.init.zeros_(same.bias)
    ranks.check_same([same])
    told = torch.full((2,), float(ranks.rank))
    ranks.from_first_(told)
    assert told.tolist() == [0.0, 0.0]
    nn.init.constant_(same.bias, 1e-7 * ranks.rank)
    with pytest.raises(RuntimeError, match="does not hold the networks"):
        ranks.check_same([same])
    _gradients(ranks)
    _guard(ranks)


def _gradients(ranks: Distributed) -> None:
    """Means; NaN stays; what has none on one rank counts as zero there, what has none anywhere stays without."""
    both, one, nowhere, half, broken = (nn.Parameter(torch.zeros(3)) for _ in range(5))
    half.data = half.data.half()
    both.grad = torch.full((3,), 2.0 + ranks.rank)
    half.grad = torch.full((3,), 1.0 + ranks.rank).half()
    broken.grad = torch.tensor([1.0, float("nan") if ranks.rank else 1.0, 1.0])
    if ranks.rank == 1:
        one.grad = torch.ones(3)
    average_gradients([half, both, one, nowhere, broken], ranks)
    assert both.grad.tolist() == [2.5] * 3
    assert half.grad.dtype == torch.float16
    assert half.grad.tolist() == [1.5] * 3
    assert one.grad is not None
    assert one.grad.tolist() == [0.5] * 3
    assert nowhere.grad is None
    assert broken.grad.isnan().tolist() == [False, True, False]


def _guard(ranks: Distributed) -> None:
    """The earliest fault of any rank is told on all of them."""
    guard = NanGuard(["critic", "generator"], ranks)
    one, bad = torch.tensor(1.0), torch.tensor(float("inf"))
    guard.note(0, 3, one, one)
    assert guard.check() is None
    guard.note(1, 7 - ranks.rank, bad, one)
    guard.note(0, 8, one, bad)
    assert guard.check() == "at step 6 the loss or the gradients of phase generator were no finite numbers"


STILL = Toy(loop=replace(LOOP, steps=3), data=replace(DATA, batch_size=4), noise=0.0, batch_norm=False)


def _work(ranks: Distributed, faces: Path, run: Path) -> None:
    _talk(ranks)
    train("toy", STILL, [str(faces)], run, False, ranks, lambda _line: None, lambda: False)


def test_two_ranks_agree_and_have_the_gradients_of_one_on_the_same_global_batch(
    faces: Path, tmp_path: Path
) -> None:
    alone = train_toy(STILL, faces, tmp_path / "one")
    in_two_processes(
        _work, faces, tmp_path / "two"
    )  # one start of two processes, which takes seconds, for all
    together = log_lines(tmp_path / "two")
    assert [line.keys() for line in together] == [line.keys() for line in alone]
    for ours, theirs in zip(together, alone, strict=True):
        for name, value in theirs.items():
            if name not in ("validation/chance", "validation/never"):  # chances are drawn for each batch
                assert ours[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    one, two = (read(newest(tmp_path / name / "checkpoints")).networks for name in ("one", "two"))
    for network in one:
        for name, tensor in one[network].items():
            assert torch.allclose(tensor, two[network][name], atol=1e-5), name
