"""Batches from worker processes, in the order of the requests; if a worker fails, an error instead of a hang."""

import atexit
import ctypes
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pickle import PicklingError  # only to catch it; nothing is unpickled here
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.sample_request import SampleRequest

B = TypeVar("B")

_POLL_S = 2.0
_TIMED_OUT = "DataLoader timed out"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_KEPT_BYTES, _KEPT_BYTES = 32 << 20, 64 << 20  # 32 MiB is glibc's maximum for the first
_DIED = ("exited unexpectedly", "is killed by signal")


@dataclass(frozen=True)
class StreamWorkers:
    """The number of worker processes, the batches that each prepares ahead, the start method, and the time-out."""

    number: int
    prefetch: int
    start_method: str
    timeout_s: float

    def batches(self, dataset: Dataset[B], requests: Iterator[list[SampleRequest]]) -> Iterator[B]:
        """Start the workers and iterate over their batches. Iterating raises StreamError if a worker died or hangs."""
        if self.number > 0 and self.start_method != "fork":
            _check_can_be_sent(dataset)
        return _TimeoutIterator(iter(self._loader(dataset, requests)), self.timeout_s)

    def _loader(self, dataset: Dataset[B], requests: Iterator[list[SampleRequest]]) -> "DataLoader[Any]":
        parallel = self.number > 0
        if self.start_method == "forkserver":
            # Otherwise each worker imports torch itself, which takes seconds.
            preload = ["__main__", __name__, "facerefs.trainers.stream.workers.fork_server"]
            get_context("forkserver").set_forkserver_preload(preload)
        return DataLoader(
            dataset,
            batch_size=None,  # a request is a batch
            sampler=_Once(requests),
            num_workers=self.number,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            timeout=_POLL_S if parallel else 0,
            worker_init_fn=_start,
            multiprocessing_context=self.start_method if parallel else None,
            prefetch_factor=self.prefetch if parallel else None,
            generator=torch.Generator(),  # the loader draws a number; keep the user's generator unchanged
        )


def _check_can_be_sent(dataset: Dataset[B]) -> None:
    try:
        ForkingPickler.dumps(dataset)
    except (PicklingError, AttributeError, TypeError) as error:
        raise StreamError(
            f"prepare or collate cannot be sent to workers ({error}): define it at the top of a module, since it is "
            "pickled, or choose workers=0 or start_method='fork'"
        ) from None


class _TimeoutIterator(Iterator[B]):
    """An iterator over loaded batches with a time-out.

    torch checks for dead workers only when its own time-out ends. So that one is short, and we retry until
    `timeout_s` is over.

    The workers end with this iterator. If it still exists at exit, they end before Python terminates them: they ignore
    SIGTERM, so Python would wait for them forever. Exit handlers run in reverse order of registration, so ours runs
    before torch's.
    """

    def __init__(self, loaded: Iterator[B], timeout_s: float) -> None:
        self._loaded = loaded
        self._timeout_s = timeout_s
        processes = [weakref.ref(process) for process in getattr(loaded, "_workers", ())]
        atexit.register(_end_at_exit, weakref.ref(self), processes)

    def close(self) -> None:
        """End the workers and the iterator."""
        self._loaded = iter(())

    def __next__(self) -> B:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return next(self._loaded)
            except (StreamError, RuntimeError) as error:
                sentence = _sentence(error, self._timeout_s)
                if sentence is None:
                    raise  # what `prepare` or `collate` raised stays as it is
                if str(error).startswith(_TIMED_OUT) and time.monotonic() < deadline:
                    continue
                # End the workers now, not only when the error and torch's frames in its traceback are released.
                self.close()
                raise StreamError(sentence) from error.with_traceback(None)


def _end_at_exit(
    reference: "weakref.ref[_TimeoutIterator[Any]]", processes: "list[weakref.ref[BaseProcess]]"
) -> None:
    """End the workers of an iterator, also of one that was dropped while a thread still waited for its batch."""
    iterator = reference()
    if iterator is not None:
        iterator.close()
    for process in (weak() for weak in processes):
        if process is not None and process.is_alive():
            process.kill()  # nothing in them is worth keeping, and they ignore SIGTERM


@dataclass(frozen=True)
class _Once:
    """The requests as a torch sampler, for one pass."""

    requests: Iterator[list[SampleRequest]]

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        return self.requests


def _start(worker: int) -> None:
    """Initialise a worker: one thread, since there is one worker per core; it keeps memory and ends with its parent.

    It must not end earlier: Ctrl-C and a scheduler's SIGTERM reach all processes, and the parent may have a step to
    finish.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    _keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """Make glibc keep freed memory: to get new memory for each image takes a fifth of the time of decoding it."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _end_with_parent() -> None:
    """Wait for the parent to end, then exit.

    torch only checks the process that forked the worker. With a fork server that is the server, which lives as long as
    it has workers.
    """
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _as_it_is(batch: Any) -> Any:
    return batch


def _sentence(error: Exception, timeout_s: float) -> str | None:
    """The message for an error from torch's loader or our own; None for any other error."""
    text = str(error)
    if isinstance(error, StreamError):
        return text.rpartition("StreamError: ")[2].strip()  # without the worker's traceback
    if text.startswith(_TIMED_OUT):
        return f"no batch came for {timeout_s:g} s: raise timeout_s, or see what the workers wait for"
    if text.startswith("DataLoader worker") and any(sign in text for sign in _DIED):
        reason = text.partition("\n")[0]
        return (
            f"a worker of the stream died ({reason}): memory ran out, then use fewer workers; or the script has no "
            "line `if __name__ == \"__main__\":`, or is none, then choose start_method='fork' or workers=0"
        )
    return None
