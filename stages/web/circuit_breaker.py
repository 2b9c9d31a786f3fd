"""A circuit breaker per host: after several failures in a row a host is not asked for a while.

So a dead host does not cost a timeout for each of its URLs.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_BLOCK_S = 300.0
_MAX_HOSTS = 100_000


@dataclass
class _HostState:
    failures: int = 0  # in a row
    blocked_until_s: float = 0.0
    why: str = ""


class HostCircuitBreaker:
    """Counts failures in a row of each host; after `limit` of them the host is blocked for `_BLOCK_S` seconds.

    After that, one more failure blocks it again, and an answer resets the count.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._hosts: OrderedDict[str, _HostState] = OrderedDict()

    def block_reason(self, host: str) -> str | None:
        """Why the host may not be asked now; None if it may."""
        known = self._hosts.get(host)
        return known.why if known is not None and known.blocked_until_s > self._clock() else None

    def record_failure(self, host: str, why: str) -> None:
        """Count a request without an answer."""
        known = self._known(host)
        known.failures += 1
        if known.failures >= self._limit:
            known.blocked_until_s = self._clock() + _BLOCK_S
            known.why = f"{known.failures} requests to {host} failed in a row, the last one so: {why}"

    def record_answer(self, host: str) -> None:
        """Reset the count: a request got an answer, whatever it was."""
        if host in self._hosts:
            self._hosts[host].failures = 0

    def block(self, host: str, seconds: float, why: str) -> None:
        """Block the host for this long: it asked to be left alone."""
        known = self._known(host)
        known.blocked_until_s = self._clock() + seconds
        known.why = why

    def _known(self, host: str) -> _HostState:
        known = self._hosts.setdefault(host, _HostState())
        self._hosts.move_to_end(host)
        if len(self._hosts) > _MAX_HOSTS:
            self._hosts.popitem(last=False)
        return known
