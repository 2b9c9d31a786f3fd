"""Hosts that are left alone for a while, so that a dead one does not cost its deadline for each of its URLs."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_REST_S = 300.0
_HOSTS = 100_000


@dataclass
class _Host:
    failures: int = 0  # in a row
    resting_until: float = 0.0
    why: str = ""


class Failures:
    """Counts failures in a row by host; after `limit` of them the host rests, then one more request tells."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def resting(self, host: str) -> str | None:
        """Why the host is not asked now; None if it may be."""
        known = self._hosts.get(host)
        return known.why if known is not None and known.resting_until > self._clock() else None

    def failed(self, host: str, why: str) -> None:
        """A request got no answer."""
        known = self._known(host)
        known.failures += 1
        if known.failures >= self._limit:
            known.resting_until = self._clock() + _REST_S
            known.why = f"{known.failures} requests to {host} failed in a row, the last one so: {why}"

    def answered(self, host: str) -> None:
        """A request got an answer, whatever it was."""
        if host in self._hosts:
            self._hosts[host].failures = 0

    def rest(self, host: str, seconds: float, why: str) -> None:
        """The host asked to be left alone."""
        known = self._known(host)
        known.resting_until = self._clock() + seconds
        known.why = why

    def _known(self, host: str) -> _Host:
        known = self._hosts.setdefault(host, _Host())
        self._hosts.move_to_end(host)
        if len(self._hosts) > _HOSTS:
            self._hosts.popitem(last=False)
        return known
