"""Batches out of worker processes, in the order of the requests, or an error: never a hang."""

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
from multiprocessing.reduction import ForkingPickler
from pickle import PicklingError  # only to name what the workers' start may raise
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.sample_request import SampleRequest

B = TypeVar("B")

_POLL_S = 2.0
_TIMED_OUT = "DataLoader timed out"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_KEPT_BYTES, _KEPT_BYTES = 32 << 20, 64 << 20  # glibc takes no more for the first
_DIED = ("exited unexpectedly", "is killed by signal")


@dataclass(frozen=True)
class StreamWorkers:
    """How many processes, how many batches each is ahead, and how long none may come."""

    number: int
    prefetch: int
    start_method: str
    timeout_s: float

    def batches(self, dataset: Dataset[B], requests: Iterator[list[SampleRequest]]) -> Iterator[B]:
        """Start the workers. Raises StreamError, while batches are taken, for a worker that died or is silent."""
        if self.number > 0 and self.start_method != "fork":
            _check_can_be_sent(dataset)
        return _TimeoutIterator(iter(self._loader(dataset, requests)), self.timeout_s)

    def _loader(self, dataset: Dataset[B], requests: Iterator[list[SampleRequest]]) -> "DataLoader[Any]":
        parallel = self.number > 0
        if self.start_method == "forkserver":
            # Else every worker imports torch for itself, which takes seconds.
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
            generator=torch.Generator(),  # the loader draws a number, which must not come from the user's
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
    """torch looks for workers that died when its time-out ends, so that is short, and we ask again until ours does.

    The workers end with it, or, if it is there until the end, before Python terminates them: they do not heed SIGTERM,
    and it would wait for them for ever. Python calls last what was registered first, so ours comes before torch's.
    """

    def __init__(self, loaded: Iterator[B], timeout_s: float) -> None:
        self._loaded = loaded
        self._timeout_s = timeout_s
        atexit.register(_close_if_there, weakref.ref(self))

    def close(self) -> None:
        """End the workers; there are no more batches."""
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
                # The workers end now, and not when nobody holds the error and torch's frames in it any more.
                self.close()
                raise StreamError(sentence) from error.with_traceback(None)


def _close_if_there(reference: "weakref.ref[_TimeoutIterator[Any]]") -> None:
    patient = reference()
    if patient is not None:
        patient.close()


@dataclass(frozen=True)
class _Once:
    """What torch takes for a sampler."""

    requests: Iterator[list[SampleRequest]]

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        return self.requests


def _start(worker: int) -> None:
    """A worker has one thread, since there is a worker per core; it keeps its memory, and ends with its parent.

    Not before it: Ctrl-C and a scheduler's SIGTERM reach all processes, and the parent may have a step to finish.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    _keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """Have glibc keep what is freed: to fetch each image's memory anew is a fifth of the time of decoding it."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _end_with_parent() -> None:
    """torch looks whether the process that forked the worker lives: a forkserver does, as long as it has workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _as_it_is(batch: Any) -> Any:
    return batch


def _sentence(error: Exception, timeout_s: float) -> str | None:
    """What an error out of torch's loader means; None if it is none of the loader's or ours."""
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
