"""Stop requests by Ctrl-C or SIGTERM: recorded, so that the current step can be finished and saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A context with a function that returns whether a signal came; a second signal raises KeyboardInterrupt at once.

    Outside the main thread, which alone receives signals, the function always returns False.
    """
    asked = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before: dict[signal.Signals, Any] = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
