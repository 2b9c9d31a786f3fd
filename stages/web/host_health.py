"""How well each host answers: when it is paused, when it is put off, and when it is given up.

Two kinds of failure differ. A request without an answer (no connection, a reset, a timeout) may mean that the host
is dead: after `limit` of them in a row it is put off, so that it does not cost a timeout for each of its URLs. An
answer such as 503 or 429 proves that the host lives: it is paused, longer with each failure, and goes on.

A host is given up if all its requests failed for `patience_s` seconds, or nearly all of many.
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

_MAX_HOSTS = 100_000
_MANY = 50  # requests that are looked back on
_NEARLY_ALL = 0.9
_HIGHEST_LEVEL = 4.0
_RELIEF = 2.0  # by how many failures a good answer shortens the next pause
_PAUSES_IN_PATIENCE = 15  # the longest pause leaves room for that many trials


class Failure(Enum):
    """How a request failed, as far as it says something about the host."""

    UNANSWERED = 1  # no connection, or it broke, or no byte came in time
    BUSY = 2  # 429 or 503
    ERROR = 3  # another 5xx: perhaps only of this URL


@dataclass
class _HostState:
    since_s: float = 0.0  # when the first of the failures in a row came
    failures: int = 0  # in a row, of any kind
    unanswered: int = 0  # in a row
    level: float = 0.0  # the next pause is 2 to the power of this times as long as the first
    raised_at_s: float = -math.inf
    blocked_until_s: float = -math.inf
    why: str = ""
    asked_until_s: float = -math.inf  # until when it asked to be left alone, whatever else it answers
    asked_why: str = ""
    recent: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=_MANY))


class HostHealth:
    """Counts the failures of each host of one worker.

    limit: failures in a row that put off or give up a host. patience_s: how long a host may fail before it is given
    up. pause_s: the first pause of a host. `is_last_chance`: whether URLs wait for a host that does not answer,
    because nothing else is left to do; else they are put off.
    """

    def __init__(
        self, limit: int, patience_s: float, pause_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_last_chance = False
        self._limit = limit
        self._patience_s = patience_s
        self._pause_s = pause_s
        self._clock = clock
        self._hosts: OrderedDict[str, _HostState] = OrderedDict()

    @property
    def longest_pause_s(self) -> float:
        """The longest pause of a host that does not say how long it wants to be left alone."""
        return max(self._patience_s / _PAUSES_IN_PATIENCE, self._pause_s)

    def begin_last_chance(self, tries: int, longest_wait_s: float) -> None:
        """Let URLs wait from now on for hosts that fail; each host has at least this many tries before it is given up.

        A host that is blocked for longer than `longest_wait_s` stays blocked: it asked for that.
        """
        self.is_last_chance = True
        now = self._clock()
        for known in self._hosts.values():
            known.failures = min(known.failures, max(self._limit - tries, 0))
            known.unanswered = 0
            known.recent.clear()
            known.level = min(known.level, 1.0)
            known.blocked_until_s = -math.inf
            if known.asked_until_s <= now + longest_wait_s:
                known.asked_until_s = -math.inf

    def block_reason(self, host: str) -> str | None:
        """Why the host may not be asked now; None if it may."""
        known, now = self._hosts.get(host), self._clock()
        if known is not None and known.asked_until_s > now:
            return known.asked_why
        return known.why if known is not None and known.blocked_until_s > now else None

    def is_failing(self, host: str) -> bool:
        """Whether the last request to the host failed."""
        known = self._hosts.get(host)
        return known is not None and known.failures > 0

    def record_answer(self, host: str) -> None:
        """Count an answer that shows the host to be well, be it a photo or a 404."""
        known = self._hosts.get(host)
        if known is None:
            return
        known.failures = known.unanswered = 0
        known.level = max(known.level - _RELIEF, 0.0)
        known.blocked_until_s = -math.inf
        known.recent.append((self._clock(), False))

    def record_failure(self, host: str, began_s: float, why: str, failure: Failure) -> float:
        """Count a failed request that began at `began_s`; returns for how many seconds to pause the host.

        Requests that ran at the same time count as one for the length of the pause.
        """
        known, now = self._known(host), self._clock()
        if not known.failures:
            known.since_s = now
        known.failures += 1
        known.unanswered = known.unanswered + 1 if failure is Failure.UNANSWERED else 0
        known.recent.append((now, True))
        pause_s = self._pause(known, began_s, now, failure)
        last = f"the last one: {why}"
        if self._is_hopeless(known, now):
            known.blocked_until_s = math.inf if self.is_last_chance else now + self._patience_s
            known.why = f"{host} failed {known.failures} times in {now - known.since_s:.0f} s, {last}"
        elif not self.is_last_chance and known.unanswered >= self._limit:
            known.blocked_until_s = now + self._patience_s
            known.why = f"{known.unanswered} requests to {host} got no answer in a row, {last}"
        return pause_s

    def block(self, host: str, seconds: float, why: str) -> None:
        """Ask the host nothing for this long: it wants to be left alone, though it may answer what runs already."""
        known = self._known(host)
        known.asked_until_s, known.asked_why = max(known.asked_until_s, self._clock() + seconds), why

    def _pause(self, known: _HostState, began_s: float, now: float, failure: Failure) -> float:
        level = known.level
        if began_s > known.raised_at_s:
            known.level, known.raised_at_s = min(level + 1.0, _HIGHEST_LEVEL), now
        else:
            level = max(level - 1.0, 0.0)
        if failure is Failure.UNANSWERED and not self.is_last_chance:
            return 0.0  # it is soon put off
        if failure is Failure.ERROR and level < 1.0:
            return 0.0
        return float(min(self._pause_s * 2.0**level, self.longest_pause_s))

    def _is_hopeless(self, known: _HostState, now: float) -> bool:
        if known.failures >= self._limit and now - known.since_s >= self._patience_s:
            return True
        is_long = len(known.recent) == _MANY and now - known.recent[0][0] >= self._patience_s
        return is_long and sum(failed for _, failed in known.recent) >= _NEARLY_ALL * _MANY

    def _known(self, host: str) -> _HostState:
        known = self._hosts.setdefault(host, _HostState())
        self._hosts.move_to_end(host)
        if len(self._hosts) > _MAX_HOSTS:
            self._hosts.popitem(last=False)
        return known
