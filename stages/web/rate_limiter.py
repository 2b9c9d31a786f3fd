"""The rate limiter of a crawl: bounds the connections and the requests per second to each host, over all workers.

A worker gets the right to a few requests at a time, a `Grant`, so that most requests need no message to the limiter.
Three rules make the limits hold, however many workers there are:

- a connection slot belongs to one grant until no request of that grant runs any more;
- with a rate (or a crawl-delay), every grant has a time interval of the host of its own, `requests` times
  `spacing_s` long; a request that has not started when the interval ends does not start on this grant;
- no interval begins more than `LOOKAHEAD_S` from now, so that a pause soon holds for all workers.

Hence never more than `host_connections` requests of a host run, and within any W seconds at most
`rate * (W + SLACK_S) + 2` of them start: a token bucket that holds two (plus what starts in `SLACK_S`). How much
longer one message takes than another on its way to a worker comes on top.

After a pause that a failure caused, a host gets one request as a trial. Only if it ends without another pause does
the host get as many as before.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

LOOKAHEAD_S = 0.2
"""How far ahead the intervals of a host are granted."""
GRANT_S = 2.0
"""How long requests may start on a grant without spacing."""
SLACK_S = 0.02
"""By how much a late start lets the next one catch up: an event loop's timers are no finer."""
GRANT_EXPIRES_S = 900.0
"""After this long a grant expires: its worker has died. No request may take longer."""
MAX_REQUESTS_PER_GRANT = 256
"""Of any host, however high its limits are."""
_CONTENDED_REQUESTS = 32  # of one grant, if others wait for the host
_CONTENDED_S = 0.1  # of a host's time for one grant, if others wait for it
_UNCONTENDED_S = 0.5  # likewise, if no others wait
_MAX_IDLE_HOSTS = 1_000_000  # hosts without grants now, but whose time is not free yet


@dataclass(frozen=True)
class Grant:
    """The right to start `requests` requests of a host in all, `slots` at a time.

    The first starts `delay_s` from now or later, the others `spacing_s` after one another or later, and all
    before `requests * spacing_s` are over (`GRANT_S` without spacing).
    """

    id: int
    slots: int
    requests: int
    delay_s: float
    spacing_s: float


class RateLimiter(Protocol):
    """A `HostRateLimiter`, or a client of one in another process."""

    async def acquire(self, host: str, wanted: int, min_spacing_s: float = 0.0) -> Grant:
        """Wait for a grant of at least one request; a caller that is cancelled leaves the queue."""

    async def release(self, grant_id: int, unused: int) -> None:
        """Give a grant back, of which no request runs any more; `unused` requests of it were never started."""

    async def pause(self, host: str, seconds: float) -> None:
        """Start no request to the host for this long."""


@dataclass(eq=False)
class _GrantRequest:
    wanted: int
    min_spacing_s: float
    grant: asyncio.Future[Grant]


@dataclass(eq=False)
class _HostState:
    """A host with grants or requests for some. Its time is granted up to `free_at_s`, last to `last_grant_id`."""

    name: str
    free_at_s: float
    queue: deque[_GrantRequest]
    slots_in_use: int = 0
    last_grant_id: int = 0
    trial_after_id: int | None = (
        None  # one request at a time, until a grant after this one ends without a pause
    )
    timer: asyncio.TimerHandle | None = None


@dataclass(frozen=True, eq=False)
class _IssuedGrant:
    grant: Grant
    host: _HostState
    issued_at_s: float


class HostRateLimiter:
    """Grants requests to all hosts; exactly one for the whole crawl, on one event loop.

    `host_connections` requests to a host may run at once, `host_rate_per_s` may start each second. First come, first
    served; a worker waits for one grant of a host at a time, so that each worker gets its share.
    """

    def __init__(
        self,
        host_connections: int,
        host_rate_per_s: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = host_connections
        self._rate_per_s = host_rate_per_s
        self._clock = clock
        self._hosts: dict[str, _HostState] = {}
        self._issued: dict[int, _IssuedGrant] = {}  # oldest first
        self._last_id = 0
        self._idle_hosts: dict[str, float] = {}  # hosts without grants -> when their time is free again
        self._idle_ends: list[tuple[float, str]] = []  # a heap

    async def acquire(self, host: str, wanted: int, min_spacing_s: float = 0.0) -> Grant:
        """Wait until a slot of the host is free, and grant it; `min_spacing_s` is robots.txt's crawl-delay."""
        known = self._hosts.get(host)
        if known is None:
            known = self._hosts[host] = _HostState(host, self._idle_hosts.pop(host, 0.0), deque())
        request = _GrantRequest(max(1, wanted), min_spacing_s, asyncio.get_running_loop().create_future())
        known.queue.append(request)
        self._serve(known)
        try:
            return await request.grant
        except asyncio.CancelledError:
            if request.grant.cancelled():
                self._serve(known)
            else:  # granted just as the caller was cancelled
                grant = request.grant.result()
                await self.release(grant.id, grant.requests)
            raise

    async def release(self, grant_id: int, unused: int) -> None:
        """Free the slots, and the time of the `unused` requests unless a later interval is granted already."""
        issued = self._issued.pop(grant_id, None)
        if issued is None:
            return  # it had expired
        host = issued.host
        host.slots_in_use -= issued.grant.slots
        if host.last_grant_id == grant_id:
            host.free_at_s -= unused * issued.grant.spacing_s
        was_used = unused < issued.grant.requests
        if host.trial_after_id is not None and grant_id > host.trial_after_id and was_used:
            host.trial_after_id = None
        self._serve(host)

    async def pause(self, host: str, seconds: float) -> None:
        """Grant no request to the host for this long (Retry-After), and then one as a trial."""
        until = self._clock() + seconds
        known = self._hosts.get(host)
        if known is None:
            self._remember_idle(host, max(until, self._idle_hosts.get(host, 0.0)))
        else:
            known.free_at_s, known.last_grant_id = max(until, known.free_at_s), 0
            known.trial_after_id = self._last_id

    def _serve(self, host: _HostState) -> None:
        """Grant what is free to the first in the queue, and set a timer for the rest."""
        self._forget_expired()
        if host.timer is not None:
            host.timer.cancel()
            host.timer = None
        while host.queue:
            if host.queue[0].grant.cancelled():
                host.queue.popleft()
                continue
            now = self._clock()
            slots = self._connections if host.trial_after_id is None else 1
            wait_s = GRANT_EXPIRES_S if host.slots_in_use >= slots else host.free_at_s - LOOKAHEAD_S - now
            if wait_s > 0:
                host.timer = asyncio.get_running_loop().call_later(wait_s, self._serve, host)
                return
            request = host.queue.popleft()
            request.grant.set_result(self._issue(host, request, now))
        if not host.slots_in_use and self._hosts.get(host.name) is host:
            del self._hosts[host.name]
            self._remember_idle(host.name, host.free_at_s)

    def _issue(self, host: _HostState, request: _GrantRequest, now: float) -> Grant:
        spacing_s = max(request.min_spacing_s, 1.0 / self._rate_per_s if self._rate_per_s else 0.0)
        start = max(now, host.free_at_s)
        slots, requests = self._size(host, request)
        self._last_id += 1
        grant = Grant(self._last_id, slots, requests, start - now, spacing_s)
        self._issued[grant.id] = _IssuedGrant(grant, host, now)
        host.slots_in_use += slots
        if spacing_s:
            host.free_at_s, host.last_grant_id = start + requests * spacing_s, grant.id
        return grant

    def _size(self, host: _HostState, request: _GrantRequest) -> tuple[int, int]:
        """Slots and requests of a grant: few if others wait, else enough that the worker seldom needs a new one."""
        if request.min_spacing_s or host.trial_after_id is not None:
            return 1, 1
        free = self._connections - host.slots_in_use
        if self._rate_per_s is None:
            requests = _CONTENDED_REQUESTS if host.queue else MAX_REQUESTS_PER_GRANT
            scarce = host.queue or free <= self._connections / 2
            slots = min(free, max(1, self._connections // 8), request.wanted if scarce else free)
            return slots, max(slots, requests)
        # What starts in half a second, if it is wanted; in 5 ms, wanted or not.
        in_time = int(self._rate_per_s * (_CONTENDED_S if host.queue else _UNCONTENDED_S))
        requests = min(
            MAX_REQUESTS_PER_GRANT, max(1, int(self._rate_per_s / 200), min(request.wanted, in_time))
        )
        return min(free, max(1, self._connections // 2), requests), requests

    def _remember_idle(self, host: str, until: float) -> None:
        if until > self._clock():
            self._idle_hosts[host] = until
            heappush(self._idle_ends, (until, host))

    def _forget_expired(self) -> None:
        """Drop what has no effect any more: idle hosts whose pause is over, and grants of workers that have died."""
        now = self._clock()
        while self._idle_ends and (self._idle_ends[0][0] <= now or len(self._idle_ends) > _MAX_IDLE_HOSTS):
            until, name = heappop(self._idle_ends)
            if self._idle_hosts.get(name) == until:
                del self._idle_hosts[name]
        while (
            self._issued
            and (oldest := next(iter(self._issued.values()))).issued_at_s + GRANT_EXPIRES_S <= now
        ):
            del self._issued[oldest.grant.id]
            oldest.host.slots_in_use -= oldest.grant.slots
            asyncio.get_running_loop().call_soon(self._serve, oldest.host)
