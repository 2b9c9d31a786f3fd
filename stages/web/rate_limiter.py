"""The gate of a crawl: lends the turns of every host to the workers, so that its limits hold over all of them.

A worker borrows a few requests at a time, a `Lease`, so that most requests need no word with the gate. Three rules
make the limits hold, however many workers there are:

- a connection slot belongs to one lease until no request of it runs any more;
- with a rate (or a crawl-delay), every lease has a stretch of the host's time of its own, `requests` times
  `spacing_s` long; what has not started when it is over does not start on this lease;
- the gate lends no stretch that begins more than `AHEAD_S` from now, so that a pause soon holds everybody.

Hence never more than `host_connections` requests of a host run, and within any W seconds at most
`rate * (W + SLACK_S) + 2` of them start: a token bucket that holds two (plus what starts in `SLACK_S`). How much
longer one message takes than another on its way to a worker comes on top.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

AHEAD_S = 0.2
"""How far ahead the gate lends a host's time."""
LEASE_S = 2.0
"""How long requests may start on a lease without spacing."""
SLACK_S = 0.02
"""By how much a late start lets the next one catch up: an event loop's timers are no finer."""
LOST_S = 900.0
"""After this long the gate takes a lease back: its worker has died. No request may take longer."""
MAX_REQUESTS = 256
"""of one lease"""
_CONTENDED_REQUESTS = 32  # of one lease, if others wait for the host
_CONTENDED_S = 0.1  # of a host's time for one lease, if others wait for it
_LONE_S = 0.5
_MAX_RESTING = 1_000_000  # hosts that nobody wants now, but whose time is not free yet


@dataclass(frozen=True)
class Lease:
    """The right to start `requests` requests of a host in all, `slots` at a time.

    The first starts `delay_s` from now or later, the others `spacing_s` after one another or later, and all
    before `requests * spacing_s` are over (`LEASE_S` without spacing).
    """

    id: int
    slots: int
    requests: int
    delay_s: float
    spacing_s: float


class GateLike(Protocol):
    """A `Gate`, or what speaks to one in another process."""

    async def lease(self, host: str, wanted: int, min_spacing_s: float = 0.0) -> Lease:
        """Wait for a lease of at least one request; to be cancelled is to leave the queue."""

    async def end(self, lease_id: int, unused: int) -> None:
        """Give a lease back, of which no request runs any more."""

    async def pause(self, host: str, seconds: float) -> None:
        """Let nothing of the host start for this long."""


@dataclass(eq=False)
class _Ask:
    wanted: int
    min_spacing_s: float
    answer: asyncio.Future[Lease]


@dataclass(eq=False)
class _Host:
    """A host that somebody wants or has. Its time is lent up to `free_from`, last to the lease `last`."""

    name: str
    free_from: float
    queue: deque[_Ask]
    busy: int = 0
    last: int = 0
    timer: asyncio.TimerHandle | None = None


@dataclass(frozen=True, eq=False)
class _Given:
    lease: Lease
    host: _Host
    at: float


class Gate:
    """Lends the turns of all hosts; exactly one for the whole crawl, on one event loop.

    `host_connections` requests of a host may run at once, `host_rate_per_s` may start each second. Who asks
    first is served first, and a worker asks for a host once at a time, so each gets its share of it.
    """

    def __init__(
        self,
        host_connections: int,
        host_rate_per_s: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = host_connections
        self._rate = host_rate_per_s
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._given: dict[int, _Given] = {}  # oldest first
        self._count = 0
        self._resting: dict[str, float] = {}  # hosts that nobody wants -> when their time is free again
        self._rest_ends: list[tuple[float, str]] = []  # a heap

    async def lease(self, host: str, wanted: int, min_spacing_s: float = 0.0) -> Lease:
        """Wait until a slot of the host is free, and lend it; `min_spacing_s` is robots.txt's crawl-delay."""
        known = self._hosts.get(host)
        if known is None:
            known = self._hosts[host] = _Host(host, self._resting.pop(host, 0.0), deque())
        ask = _Ask(max(1, wanted), min_spacing_s, asyncio.get_running_loop().create_future())
        known.queue.append(ask)
        self._serve(known)
        try:
            return await ask.answer
        except asyncio.CancelledError:
            if ask.answer.cancelled():
                self._serve(known)
            else:  # granted just as the asker went away
                lease = ask.answer.result()
                await self.end(lease.id, lease.requests)
            raise

    async def end(self, lease_id: int, unused: int) -> None:
        """Take slots back, and the time of the last `unused` requests unless somebody has borrowed behind them."""
        given = self._given.pop(lease_id, None)
        if given is None:
            return  # taken back before
        host = given.host
        host.busy -= given.lease.slots
        if host.last == lease_id:
            host.free_from -= unused * given.lease.spacing_s
        self._serve(host)

    async def pause(self, host: str, seconds: float) -> None:
        """Lend nothing of the host for this long (Retry-After)."""
        until = self._clock() + seconds
        known = self._hosts.get(host)
        if known is None:
            self._rest(host, max(until, self._resting.get(host, 0.0)))
        else:
            known.free_from, known.last = max(until, known.free_from), 0

    def _serve(self, host: _Host) -> None:
        """Give to the first in the queue what is free, and come back when more is."""
        self._forget()
        if host.timer is not None:
            host.timer.cancel()
            host.timer = None
        while host.queue:
            if host.queue[0].answer.cancelled():
                host.queue.popleft()
                continue
            now = self._clock()
            wait_s = LOST_S if host.busy >= self._connections else host.free_from - AHEAD_S - now
            if wait_s > 0:
                host.timer = asyncio.get_running_loop().call_later(wait_s, self._serve, host)
                return
            ask = host.queue.popleft()
            ask.answer.set_result(self._grant(host, ask, now))
        if not host.busy and self._hosts.get(host.name) is host:
            del self._hosts[host.name]
            self._rest(host.name, host.free_from)

    def _grant(self, host: _Host, ask: _Ask, now: float) -> Lease:
        spacing_s = max(ask.min_spacing_s, 1.0 / self._rate if self._rate else 0.0)
        start = max(now, host.free_from)
        slots, requests = self._size(host, ask)
        self._count += 1
        lease = Lease(self._count, slots, requests, start - now, spacing_s)
        self._given[lease.id] = _Given(lease, host, now)
        host.busy += slots
        if spacing_s:
            host.free_from, host.last = start + requests * spacing_s, lease.id
        return lease

    def _size(self, host: _Host, ask: _Ask) -> tuple[int, int]:
        """Slots and requests of a lease: few if others wait, else enough that the worker asks seldom."""
        if ask.min_spacing_s:
            return 1, 1
        free = self._connections - host.busy
        if self._rate is None:
            requests = _CONTENDED_REQUESTS if host.queue else MAX_REQUESTS
            scarce = host.queue or free <= self._connections / 2
            slots = min(free, max(1, self._connections // 8), ask.wanted if scarce else free)
            return slots, max(slots, requests)
        # What starts in half a second, if it is wanted; in 5 ms, wanted or not.
        in_time = int(self._rate * (_CONTENDED_S if host.queue else _LONE_S))
        requests = min(MAX_REQUESTS, max(1, int(self._rate / 200), min(ask.wanted, in_time)))
        return min(free, max(1, self._connections // 2), requests), requests

    def _rest(self, host: str, until: float) -> None:
        if until > self._clock():
            self._resting[host] = until
            heappush(self._rest_ends, (until, host))

    def _forget(self) -> None:
        """Drop what has no effect any more: hosts that have rested, leases whose worker never came back."""
        now = self._clock()
        while self._rest_ends and (self._rest_ends[0][0] <= now or len(self._rest_ends) > _MAX_RESTING):
            until, name = heappop(self._rest_ends)
            if self._resting.get(name) == until:
                del self._resting[name]
        while self._given and (oldest := next(iter(self._given.values()))).at + LOST_S <= now:
            del self._given[oldest.lease.id]
            oldest.host.busy -= oldest.lease.slots
            asyncio.get_running_loop().call_soon(self._serve, oldest.host)
