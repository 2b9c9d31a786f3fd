"""A line of progress with the time that is left."""

import time
from collections.abc import Callable

_EVERY_S = 15.0


class RestoreProgress:
    """Says how many photos are done, at most every 15 seconds."""

    def __init__(self, total: int, announce: Callable[[str], None]) -> None:
        self._total, self._announce = total, announce
        self._done = 0
        self._start = self._told = time.monotonic()

    def add(self) -> None:
        """Count a photo."""
        self._done += 1
        now = time.monotonic()
        if now - self._told < _EVERY_S or self._done >= self._total:
            return
        self._told = now
        each_s = (now - self._start) / self._done
        left_s = (self._total - self._done) * each_s
        self._announce(
            f"progress    {self._done:,} of {self._total:,} photos, {each_s:.1f} s each, {left_s:,.0f} s left"
        )
