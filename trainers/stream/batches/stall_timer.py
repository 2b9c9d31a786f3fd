"""Measures how long the consumer of a stream waits for data, and how long it works."""

import time
from collections import deque
from typing import Any

import torch


class HostMark:
    """A time on the host's clock."""

    def __init__(self) -> None:
        self._time_s = time.perf_counter()

    def passed(self) -> bool:
        """True: the time is always in the past."""
        return True

    def seconds_until(self, later: "HostMark") -> float:
        """Seconds from this mark to a later one."""
        return later._time_s - self._time_s


class CudaMark:
    """A position in a CUDA stream: passed when all work queued before it is done."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._event.record(stream)

    def passed(self) -> bool:
        """Whether the GPU has reached it."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def seconds_until(self, later: "CudaMark") -> float:
        """Seconds from this mark to a later one by the GPU's clock; blocks until the GPU has reached the later one."""
        later._event.synchronize()
        return float(self._event.elapsed_time(later._event)) / 1000


class StallTimer:
    """The total time from requesting a batch to getting it, and from getting it to requesting the next one.

    On a GPU these are times of its current stream: while the host runs ahead of the GPU, nothing counts as waiting;
    if the host is late, it does.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._open: deque[tuple[Any, Any]] = (
            deque()
        )  # two HostMarks or two CudaMarks: requested, received; not yet added up
        self._had: Any = None  # the second mark of the last pair that was added up
        self._waited_s = 0.0
        self._busy_s = 0.0

    def mark(self) -> HostMark | CudaMark:
        """A mark of the present time, or of the present end of the GPU's current stream."""
        if self._device.type == "cuda":
            return CudaMark(torch.cuda.current_stream(self._device))
        return HostMark()

    def add(self, asked: HostMark | CudaMark, had: HostMark | CudaMark) -> None:
        """Record when a batch was requested and received."""
        self._open.append((asked, had))
        while self._open and self._open[0][1].passed():
            self._add_up()

    def totals_s(self) -> tuple[float, float]:
        """Seconds waited and seconds busy, up to the last batch; blocks until the GPU has reached it."""
        while self._open:
            self._add_up()
        return self._waited_s, self._busy_s

    def _add_up(self) -> None:
        asked, had = self._open.popleft()
        if self._had is not None:
            self._busy_s += self._had.seconds_until(asked)
        self._waited_s += asked.seconds_until(had)
        self._had = had
