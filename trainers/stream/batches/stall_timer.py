"""How long the consumer of a stream waits for data, and how long it works."""

import time
from collections import deque
from typing import Any

import torch


class HostMark:
    """A moment on this machine's clock."""

    def __init__(self) -> None:
        self._time_s = time.perf_counter()

    def passed(self) -> bool:
        """Always: it was now."""
        return True

    def seconds_until(self, later: "HostMark") -> float:
        """Seconds from this moment to a later one."""
        return later._time_s - self._time_s


class CudaMark:
    """A place in a CUDA stream: passed when all that was queued before it is done."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._event.record(stream)

    def passed(self) -> bool:
        """Whether the GPU has come to it."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def seconds_until(self, later: "CudaMark") -> float:
        """Seconds from this mark to a later one by the GPU's clock; blocks until the GPU has come to that."""
        later._event.synchronize()
        return float(self._event.elapsed_time(later._event)) / 1000


class StallTimer:
    """Adds up the times between asking for a batch and having it, and between having it and asking for the next.

    On a GPU they are times of its current stream: a host that runs ahead of the GPU does not count as waiting, and a
    host that comes late does.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._open: deque[tuple[Any, Any]] = (
            deque()
        )  # two HostMarks or two CudaMarks: asked, had; not yet added up
        self._had: Any = None  # of the last one that was added up
        self._waited_s = 0.0
        self._busy_s = 0.0

    def mark(self) -> HostMark | CudaMark:
        """Now, or where the GPU's current stream ends now."""
        if self._device.type == "cuda":
            return CudaMark(torch.cuda.current_stream(self._device))
        return HostMark()

    def add(self, asked: HostMark | CudaMark, had: HostMark | CudaMark) -> None:
        """Note that a batch was asked for and came."""
        self._open.append((asked, had))
        while self._open and self._open[0][1].passed():
            self._add_up()

    def totals_s(self) -> tuple[float, float]:
        """Seconds waited and seconds busy, up to the last batch; blocks until the GPU has come there."""
        while self._open:
            self._add_up()
        return self._waited_s, self._busy_s

    def _add_up(self) -> None:
        asked, had = self._open.popleft()
        if self._had is not None:
            self._busy_s += self._had.seconds_until(asked)
        self._waited_s += asked.seconds_until(had)
        self._had = had
