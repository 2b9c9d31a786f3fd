"""When a worker may send its next request to a host: it spends the grants of the crawl's rate limiter."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

from facerefs.stages.web.rate_limiter import GRANT_S, SLACK_S, Grant, RateLimiter

_IDLE_S = 0.05  # for which a grant without spacing is kept for the next request
_TICK_S = 1e-6  # times that differ by less are the same


@dataclass(eq=False, slots=True)
class _ActiveGrant:
    """A grant that this worker has: `left` requests may still start, from `next_s` on and before `until_s`."""

    grant: Grant
    left: int
    next_s: float
    until_s: float
    idle_until_s: float  # if nothing runs
    running: int = 0
    closed: bool = False
    unused: int = 0

    def start(self, now: float) -> bool:
        """Start a request, if one may start now."""
        grant = self.grant
        if self.running >= grant.slots or not self.left or not self.next_s <= now + _TICK_S < self.until_s:
            return False
        self.left -= 1
        self.running += 1
        if grant.spacing_s:
            self.next_s = max(self.next_s, now - SLACK_S) + grant.spacing_s
        return True

    def room(self) -> int:
        """How many more requests may start on it soon."""
        return self.left if self.grant.spacing_s else min(self.left, self.grant.slots - self.running)

    def is_over(self, now: float, wanted: bool) -> bool:
        """Whether to give it back; `wanted`: whether a request waits."""
        if not self.left or self.until_s <= now + _TICK_S:
            return True
        if wanted:
            return False
        return self.grant.spacing_s > 0 or (not self.running and self.idle_until_s <= now + _TICK_S)


@dataclass(eq=False, slots=True)
class _HostQueue:
    """The requests of one worker that wait for a host, and its grants for that host."""

    host: str
    grants: list[_ActiveGrant]
    waiting: deque[asyncio.Future[_ActiveGrant]]
    min_spacing_s: float = 0.0
    acquiring: asyncio.Task[Grant] | None = None
    timer: asyncio.TimerHandle | None = None

    def start(self, now: float) -> _ActiveGrant | None:
        """Start a request on the first grant that allows one, and return that grant; None if none does."""
        for active in self.grants:
            if active.start(now):
                return active
        return None


class RequestThrottle:
    """Makes the requests of one worker wait until their host may be asked; first come, first served. One event loop.

    A grant is given back when no request waits; one without spacing a little later, for the next request. The grants
    of a worker that dies expire after `GRANT_EXPIRES_S`.
    """

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter
        self._queues: dict[str, _HostQueue] = {}
        self._releases: set[asyncio.Task[None]] = set()

    def turn(self, host: str, min_spacing_s: float = 0.0) -> AbstractAsyncContextManager[None]:
        """A context in which one request to the host may run; entering waits. Raises what the rate limiter raises."""
        return _Turn(self, host, min_spacing_s)

    async def pause(self, host: str, seconds: float) -> None:
        """Start no request to the host for this long: in this worker at once, in others when their grants end."""
        queue = self._queues.get(host)
        if queue is not None:
            self._close(queue, queue.grants)
        await self._rate_limiter.pause(host, seconds)
        if queue is not None:
            self._update(queue)

    def give_up(self, host: str, error: Callable[[], Exception]) -> None:
        """End the waiting of all requests to the host; each gets an error of its own."""
        queue = self._queues.get(host)
        if queue is None:
            return
        for waiter in queue.waiting:
            if not waiter.done():
                waiter.set_exception(error())
        queue.waiting.clear()
        self._update(queue)

    async def _begin(self, host: str, min_spacing_s: float) -> tuple[_HostQueue, _ActiveGrant]:
        queue = self._queues.get(host)
        if queue is None:
            queue = self._queues[host] = _HostQueue(host, [], deque())
        if min_spacing_s > queue.min_spacing_s:
            queue.min_spacing_s = min_spacing_s
            self._close(queue, [active for active in queue.grants if active.grant.spacing_s < min_spacing_s])
        loop = asyncio.get_running_loop()
        active = None if queue.waiting else queue.start(loop.time())
        return queue, active or await self._wait(loop, queue)

    async def _wait(self, loop: asyncio.AbstractEventLoop, queue: _HostQueue) -> _ActiveGrant:
        waiter: asyncio.Future[_ActiveGrant] = loop.create_future()
        queue.waiting.append(waiter)
        self._update(queue)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._update(queue)
            elif waiter.exception() is None:  # granted just as the caller was cancelled
                self._finish(queue, waiter.result())
            raise

    def _finish(self, queue: _HostQueue, active: _ActiveGrant) -> None:
        active.running -= 1
        now = asyncio.get_running_loop().time()
        if active.closed:
            self._release_if_idle(active)
        elif queue.waiting and not queue.waiting[0].done() and active.left > 1 and active.start(now):
            queue.waiting.popleft().set_result(active)  # the usual case of a busy host, without `_update`
            return
        if not active.running:
            active.idle_until_s = now + _IDLE_S
        if queue.waiting or not active.left or not active.running:
            self._update(queue)

    def _update(self, queue: _HostQueue) -> None:
        """Start the requests that may start, close used grants, acquire what is missing, and set the timer."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        waiting = queue.waiting
        while waiting:
            if waiting[0].done():  # cancelled
                waiting.popleft()
            elif (active := queue.start(now)) is not None:
                waiting.popleft().set_result(active)
            else:
                break
        self._close(queue, [active for active in queue.grants if active.is_over(now, wanted=bool(waiting))])
        missing = len(waiting) - sum(active.room() for active in queue.grants)
        if missing > 0 and queue.acquiring is None:
            queue.acquiring = loop.create_task(
                self._rate_limiter.acquire(queue.host, missing, queue.min_spacing_s)
            )
            queue.acquiring.add_done_callback(lambda task: self._on_grant(queue, task))
        self._set_timer(loop, queue)
        in_use = waiting or queue.grants or queue.acquiring is not None
        if not in_use and self._queues.get(queue.host) is queue:
            del self._queues[queue.host]

    def _on_grant(self, queue: _HostQueue, task: asyncio.Task[Grant]) -> None:
        queue.acquiring = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for waiter in queue.waiting:
                if not waiter.done():
                    waiter.set_exception(error)
        elif not task.cancelled():
            grant = task.result()
            now = asyncio.get_running_loop().time()
            start = now + grant.delay_s
            end = start + (grant.requests * grant.spacing_s or GRANT_S)
            active = _ActiveGrant(grant, grant.requests, start, end, now + _IDLE_S)
            queue.grants.append(active)
            if grant.spacing_s < queue.min_spacing_s:
                self._close(queue, [active])
        self._update(queue)

    def _close(self, queue: _HostQueue, closing: list[_ActiveGrant]) -> None:
        """Start no further request on these grants."""
        if not closing:
            return
        for active in closing:
            active.closed = True
            spacing_s = active.grant.spacing_s
            active.unused = active.left
            if spacing_s:  # the time before `next_s` is used up
                active.unused = min(active.left, int((active.until_s - active.next_s + _TICK_S) / spacing_s))
            self._release_if_idle(active)
        queue.grants = [active for active in queue.grants if not active.closed]

    def _release_if_idle(self, active: _ActiveGrant) -> None:
        if not active.running:
            task = asyncio.get_running_loop().create_task(
                self._rate_limiter.release(active.grant.id, max(0, active.unused))
            )
            self._releases.add(task)
            task.add_done_callback(self._releases.discard)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, queue: _HostQueue) -> None:
        times = [
            active.until_s if active.running else min(active.until_s, active.idle_until_s)
            for active in queue.grants
        ]
        if queue.waiting:
            times = [
                active.next_s if active.running < active.grant.slots else active.until_s
                for active in queue.grants
            ]
        wake = min(times, default=None)
        if queue.timer is not None and (wake is None or queue.timer.when() > wake):
            queue.timer.cancel()
            queue.timer = None
        if wake is not None and queue.timer is None:
            queue.timer = loop.call_at(wake, self._wake, queue)

    def _wake(self, queue: _HostQueue) -> None:
        queue.timer = None
        self._update(queue)


class _Turn(AbstractAsyncContextManager[None]):
    __slots__ = ("_active", "_host", "_min_spacing_s", "_queue", "_throttle")

    def __init__(self, throttle: RequestThrottle, host: str, min_spacing_s: float) -> None:
        self._throttle = throttle
        self._host = host
        self._min_spacing_s = min_spacing_s

    async def __aenter__(self) -> None:
        self._queue, self._active = await self._throttle._begin(self._host, self._min_spacing_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._throttle._finish(self._queue, self._active)
