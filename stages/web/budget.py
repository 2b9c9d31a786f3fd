"""Memory that all photos on their way may take together."""

import asyncio
from collections import deque


class Budget:
    """`size` bytes, shared by many; who asks for more than there is waits, first come, first served."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take_now(self, count: int) -> bool:
        """Take bytes if there are so many and nobody waits for them."""
        if self._waiting or self._used + min(count, self._size) > self._size:
            return False
        self._used += min(count, self._size)
        return True

    async def take(self, count: int) -> None:
        """Wait for bytes, or for all of them if that is fewer, and take them."""
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
        """Give bytes back that were taken by the same count."""
        self._used -= min(count, self._size)
        while self._waiting and self._used + self._waiting[0][0] <= self._size:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._used += wanted
                turn.set_result(None)


class Share:
    """What one photo has taken: once before its body is read, so that no two can wait for each other."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def take_now(self, count: int) -> bool:
        """Take bytes if that needs no waiting."""
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
