"""Memory that all photos on their way may take together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Budget:
    """`size` bytes, shared by many; who asks for more than there is waits until others have given back."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def share(self) -> "AsyncIterator[Share]":
        """A share that is empty at first, and given back when the block ends."""
        share = Share(self)
        try:
            yield share
        finally:
            await share.free()

    async def take(self, count: int) -> int:
        """Wait until there are so many bytes, or all of them; returns how many were taken."""
        wanted = min(count, self._size)
        async with self._changed:
            await self._changed.wait_for(lambda: self._used + wanted <= self._size)
            self._used += wanted
        return wanted

    async def give(self, count: int) -> None:
        """Give bytes back."""
        async with self._changed:
            self._used -= count
            self._changed.notify_all()


class Share:
    """What one photo has taken: once before its body is read, so that no two can wait for each other."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    async def take(self, count: int) -> None:
        """Take bytes in place of those taken before."""
        await self.free()
        self._taken = await self._budget.take(count)

    async def free(self) -> None:
        """Give back what was taken."""
        taken, self._taken = self._taken, 0
        if taken:
            await self._budget.give(taken)
