"""Distributed training: the rank of this process, and collective operations over all ranks."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_PATIENCE = timedelta(hours=6)  # the others wait while rank 0 validates: choice


@dataclass(frozen=True)
class Distributed:
    """One process of `world_size`. Device tensors are exchanged by NCCL or gloo, host values by gloo."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    hosts: "dist.ProcessGroup | None" = None  # gloo; None for a world_size of 1

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, the only one that writes files."""
        return self.rank == 0

    def mean_(self, flat: Tensor) -> None:
        """Replace a device tensor by its mean over all ranks, in place; NaN on one rank gives NaN on all."""
        if self.world_size > 1:
            dist.all_reduce(flat)
            flat /= self.world_size

    def from_first_(self, tensor: Tensor) -> None:
        """Broadcast rank 0's values into a device tensor, in place."""
        if self.world_size > 1:
            dist.broadcast(tensor, 0)

    def largest(self, numbers: Sequence[float]) -> list[float]:
        """The maximum of each number over all ranks; synchronises the hosts, not the devices."""
        return self._over_hosts(numbers, dist.ReduceOp.MAX)

    def means(self, numbers: Sequence[float]) -> list[float]:
        """The mean of each number over all ranks; every rank passes the same count of numbers."""
        return [total / self.world_size for total in self._over_hosts(numbers, dist.ReduceOp.SUM)]

    def any(self, flag: bool) -> bool:
        """Whether the flag is true on at least one rank."""
        return self.largest([float(flag)]) == [1.0]

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        if self.world_size > 1:
            dist.barrier(self.hosts)

    def _over_hosts(self, numbers: Sequence[float], operation: "dist.ReduceOp.RedOpType") -> list[float]:
        if self.world_size == 1 or not numbers:
            return list(numbers)
        told = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(told, op=operation, group=self.hosts)
        return [float(number) for number in told]

    def check_same(self, networks: Iterable[nn.Module]) -> None:
        """Raise RuntimeError unless all ranks hold the same parameters and buffers, bit by bit."""
        digest = hashlib.sha256()
        for network in networks:
            for tensor in network.state_dict().values():
                digest.update(
                    tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
                )
        number = int.from_bytes(digest.digest()[:6])  # 48 bits, which a float64 holds
        if self.largest([number, -number]) != [number, -number]:
            raise RuntimeError(f"rank {self.rank} does not hold the networks that the others hold")


def across_ranks(work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """This rank's rows of `work` on the rows (B, ...) of all ranks, in the order of the whole batch.

    work: returns a row for each row it gets. Gradients of any order reach the rows of all ranks. All ranks must call
    this equally often, with as many rows.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return work(rows)
    return _own(work(_uncompiled_gather()(rows)))


@cache
def _uncompiled_gather() -> Callable[[Tensor], Tensor]:
    """`_AllRows`, left alone by torch.compile; made when needed, because torch's compiler loads slowly."""
    gather: Callable[[Tensor], Tensor] = torch.compiler.disable(_AllRows.apply)  # type: ignore[no-untyped-call]
    return gather


def _own(rows: Tensor) -> Tensor:
    """The rows of this rank, of those of all ranks."""
    return rows.chunk(dist.get_world_size())[dist.get_rank()]


class _AllRows(torch.autograd.Function):
    """The rows of all ranks."""

    @staticmethod
    def forward(_context: Any, rows: Tensor) -> Tensor:
        everything = [
            torch.empty_like(rows, memory_format=torch.contiguous_format)
            for _ in range(dist.get_world_size())
        ]
        dist.all_gather(everything, rows.contiguous())
        return torch.cat(everything)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        summed: Tensor = _OwnRowsOfSum.apply(gradient)  # type: ignore[no-untyped-call]
        return summed


class _OwnRowsOfSum(torch.autograd.Function):
    """This rank's rows of the sum over all ranks: the transpose of `_AllRows`."""

    @staticmethod
    def forward(_context: Any, everything: Tensor) -> Tensor:
        summed = everything.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return _own(summed).clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        everything: Tensor = _AllRows.apply(gradient)  # type: ignore[no-untyped-call]
        return everything


@contextmanager
def joined(device: torch.device, rank: int, world_size: int) -> Iterator[Distributed]:
    """A context with the `Distributed` of this process; initialises torch.distributed if that is not done yet."""
    if world_size == 1:
        yield Distributed(device=device)
        return
    began = not dist.is_initialized()
    if began:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=world_size)
    try:
        yield Distributed(rank, world_size, device, dist.new_group(backend="gloo", timeout=_PATIENCE))
    finally:
        if began:
            dist.destroy_process_group()


def rank_from_env() -> tuple[int, int, int]:
    """Rank, world_size and GPU index from the variables that torchrun sets; 0, 1, 0 without them."""
    told = (os.environ.get(name, default) for name, default in _VARIABLES)
    rank, world_size, local = map(int, told)
    return rank, world_size, local


_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
