"""Whose turn it is: how one worker spends what the gate of the crawl lends it."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

from facerefs.stages.web.rate_limiter import LEASE_S, SLACK_S, Gate, GateLike, Lease

__all__ = ["Gate", "GateLike", "Lease", "Turns"]

_IDLE_S = 0.05  # for which a lease without spacing is kept for the next request
_TICK_S = 1e-6  # times that differ by less are the same


@dataclass(eq=False, slots=True)
class _Held:
    """A lease in hand: `left` requests may still start, from `next_s` on and before `until_s`."""

    lease: Lease
    left: int
    next_s: float
    until_s: float
    idle_until_s: float  # if nothing runs
    running: int = 0
    closed: bool = False
    unused: int = 0

    def start(self, now: float) -> bool:
        """Start a request, if one may start now."""
        lease = self.lease
        if self.running >= lease.slots or not self.left or not self.next_s <= now + _TICK_S < self.until_s:
            return False
        self.left -= 1
        self.running += 1
        if lease.spacing_s:
            self.next_s = max(self.next_s, now - SLACK_S) + lease.spacing_s
        return True

    def room(self) -> int:
        """How many more requests it will let start soon."""
        return self.left if self.lease.spacing_s else min(self.left, self.lease.slots - self.running)

    def is_over(self, now: float, wanted: bool) -> bool:
        if not self.left or self.until_s <= now + _TICK_S:
            return True
        if wanted:
            return False
        return self.lease.spacing_s > 0 or (not self.running and self.idle_until_s <= now + _TICK_S)


@dataclass(eq=False, slots=True)
class _Place:
    """A host as one worker sees it."""

    host: str
    held: list[_Held]
    waiting: deque[asyncio.Future[_Held]]
    min_spacing_s: float = 0.0
    asking: asyncio.Task[Lease] | None = None
    timer: asyncio.TimerHandle | None = None

    def start(self, now: float) -> _Held | None:
        """Start a request on the first lease that has one."""
        for held in self.held:
            if held.start(now):
                return held
        return None


class Turns:
    """The turns of one worker, first come, first served. One event loop.

    A lease is given back when nobody waits; without spacing a little later, for the next request. What a worker
    holds when it dies comes back to the gate after `LOST_S`.
    """

    def __init__(self, gate: GateLike) -> None:
        self._gate = gate
        self._places: dict[str, _Place] = {}
        self._ends: set[asyncio.Task[None]] = set()

    def turn(self, host: str, min_spacing_s: float = 0.0) -> AbstractAsyncContextManager[None]:
        """Wait for a turn at the host; inside, one request runs. Raises what the gate raises."""
        return _Turn(self, host, min_spacing_s)

    async def pause(self, host: str, seconds: float) -> None:
        """Let nothing of the host start for this long: here at once, elsewhere when the leases there end."""
        place = self._places.get(host)
        if place is not None:
            self._close(place, place.held)
        await self._gate.pause(host, seconds)
        if place is not None:
            self._update(place)

    def give_up(self, host: str, error: Callable[[], Exception]) -> None:
        """Let nobody wait for a turn at the host any longer; each gets an error of its own."""
        place = self._places.get(host)
        if place is None:
            return
        for waiter in place.waiting:
            if not waiter.done():
                waiter.set_exception(error())
        place.waiting.clear()
        self._update(place)

    async def _begin(self, host: str, min_spacing_s: float) -> tuple[_Place, _Held]:
        place = self._places.get(host)
        if place is None:
            place = self._places[host] = _Place(host, [], deque())
        if min_spacing_s > place.min_spacing_s:
            place.min_spacing_s = min_spacing_s
            self._close(place, [held for held in place.held if held.lease.spacing_s < min_spacing_s])
        loop = asyncio.get_running_loop()
        held = None if place.waiting else place.start(loop.time())
        return place, held or await self._wait(loop, place)

    async def _wait(self, loop: asyncio.AbstractEventLoop, place: _Place) -> _Held:
        waiter: asyncio.Future[_Held] = loop.create_future()
        place.waiting.append(waiter)
        self._update(place)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._update(place)
            elif waiter.exception() is None:  # the turn came just as its request went away
                self._finish(place, waiter.result())
            raise

    def _finish(self, place: _Place, held: _Held) -> None:
        held.running -= 1
        now = asyncio.get_running_loop().time()
        if held.closed:
            self._end_if_idle(held)
        elif place.waiting and not place.waiting[0].done() and held.left > 1 and held.start(now):
            place.waiting.popleft().set_result(
                held
            )  # the usual case of a busy host, without a look at the rest
            return
        if not held.running:
            held.idle_until_s = now + _IDLE_S
        if place.waiting or not held.left or not held.running:
            self._update(place)

    def _update(self, place: _Place) -> None:
        """Start who may start, close what is spent, ask for what is missing, and come back in time."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        waiting = place.waiting
        while waiting:
            if waiting[0].done():  # cancelled
                waiting.popleft()
            elif (held := place.start(now)) is not None:
                waiting.popleft().set_result(held)
            else:
                break
        self._close(place, [held for held in place.held if held.is_over(now, wanted=bool(waiting))])
        missing = len(waiting) - sum(held.room() for held in place.held)
        if missing > 0 and place.asking is None:
            place.asking = loop.create_task(self._gate.lease(place.host, missing, place.min_spacing_s))
            place.asking.add_done_callback(lambda task: self._answered(place, task))
        self._set_timer(loop, place)
        in_use = waiting or place.held or place.asking is not None
        if not in_use and self._places.get(place.host) is place:
            del self._places[place.host]

    def _answered(self, place: _Place, task: asyncio.Task[Lease]) -> None:
        place.asking = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for waiter in place.waiting:
                if not waiter.done():
                    waiter.set_exception(error)
        elif not task.cancelled():
            lease = task.result()
            now = asyncio.get_running_loop().time()
            start = now + lease.delay_s
            end = start + (lease.requests * lease.spacing_s or LEASE_S)
            held = _Held(lease, lease.requests, start, end, now + _IDLE_S)
            place.held.append(held)
            if lease.spacing_s < place.min_spacing_s:
                self._close(place, [held])
        self._update(place)

    def _close(self, place: _Place, closing: list[_Held]) -> None:
        """Start nothing more on these leases."""
        if not closing:
            return
        for held in closing:
            held.closed = True
            spacing_s = held.lease.spacing_s
            held.unused = held.left
            if spacing_s:  # the time before `next_s` is used up
                held.unused = min(held.left, int((held.until_s - held.next_s + _TICK_S) / spacing_s))
            self._end_if_idle(held)
        place.held = [held for held in place.held if not held.closed]

    def _end_if_idle(self, held: _Held) -> None:
        if not held.running:
            task = asyncio.get_running_loop().create_task(self._gate.end(held.lease.id, max(0, held.unused)))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, place: _Place) -> None:
        times = [
            held.until_s if held.running else min(held.until_s, held.idle_until_s) for held in place.held
        ]
        if place.waiting:
            times = [held.next_s if held.running < held.lease.slots else held.until_s for held in place.held]
        wake = min(times, default=None)
        if place.timer is not None and (wake is None or place.timer.when() > wake):
            place.timer.cancel()
            place.timer = None
        if wake is not None and place.timer is None:
            place.timer = loop.call_at(wake, self._wake, place)

    def _wake(self, place: _Place) -> None:
        place.timer = None
        self._update(place)


class _Turn(AbstractAsyncContextManager[None]):
    __slots__ = ("_held", "_host", "_min_spacing_s", "_place", "_turns")

    def __init__(self, turns: Turns, host: str, min_spacing_s: float) -> None:
        self._turns = turns
        self._host = host
        self._min_spacing_s = min_spacing_s

    async def __aenter__(self) -> None:
        self._place, self._held = await self._turns._begin(self._host, self._min_spacing_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns._finish(self._place, self._held)
