"""Lines of progress."""

import time
from collections.abc import Callable

_EVERY_S = 15.0


class Progress:
    """Says how many samples are judged, at most every 15 seconds."""

    def __init__(self, total: int, announce: Callable[[str], None]) -> None:
        self._total, self._announce = total, announce
        self._done = 0
        self._start = self._told = time.monotonic()

    def add(self, samples: int) -> None:
        """Count samples."""
        self._done += samples
        now = time.monotonic()
        if now - self._told < _EVERY_S or self._done >= self._total:
            return
        self._told = now
        rate = self._done / (now - self._start)
        left_s = (self._total - self._done) / rate
        self._announce(
            f"judged      {self._done:,} of {self._total:,} samples, {rate:.1f}/s, {left_s:,.0f} s left"
        )
