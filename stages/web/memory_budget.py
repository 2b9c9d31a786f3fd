"""A bound on the memory of all photos that are being downloaded at the same time."""

import asyncio
from collections import deque


class MemoryBudget:
    """`size` bytes, shared by all downloads; one that needs more than is free waits, first come, first served."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take_now(self, count: int) -> bool:
        """Take bytes if so many are free and no download waits; returns whether they were taken."""
        if self._waiting or self._used + min(count, self._size) > self._size:
            return False
        self._used += min(count, self._size)
        return True

    async def take(self, count: int) -> None:
        """Wait for `count` bytes, or for the whole budget if that is less, and take them."""
        if self.take_now(count):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((min(count, self._size), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            raise

    def give(self, count: int) -> None:
        """Give back bytes that were taken with the same `count`."""
        self._used -= min(count, self._size)
        while self._waiting and self._used + self._waiting[0][0] <= self._size:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._used += wanted
                turn.set_result(None)


class MemoryReservation:
    """The bytes that one photo has taken: once, before its body is read, so that no two can block each other."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._taken = 0

    def take_now(self, count: int) -> bool:
        """Take bytes if that needs no waiting; returns whether they were taken."""
        if not self._budget.take_now(count):
            return False
        self._taken += count
        return True

    async def take(self, count: int) -> None:
        """Wait for bytes and take them."""
        await self._budget.take(count)
        self._taken += count

    def free(self) -> None:
        """Give back what was taken."""
        taken, self._taken = self._taken, 0
        if taken:
            self._budget.give(taken)
