"""Batches prepared on the device ahead of their use, and the time that the consumer waited for them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from facerefs.stages.degrade import apply_theta
from facerefs.trainers.geometry.points import TRUTH, PointsSource
from facerefs.trainers.geometry.tps import warp_images
from facerefs.trainers.stream.batches.batch import FaceBatch
from facerefs.trainers.stream.batches.device_batch import Degrade, DeviceBatch, Warp, to_device
from facerefs.trainers.stream.batches.stall_timer import StallTimer


def on_device(
    batches: Iterable[FaceBatch],
    device: torch.device | str,
    degrade: Degrade | None = apply_theta.degrade_and_resize_back,
    warp: Warp | None = warp_images,
    dtype: torch.dtype = torch.float32,
    value_range: tuple[float, float] = (-1.0, 1.0),
    prefetch: int = 2,
    points: PointsSource = TRUTH,
) -> "DeviceBatches":
    """An iterator over batches on the device, prepared ahead; on a GPU in a separate CUDA stream.

    degrade: makes degraded faces of full size from the targets, unless the batch holds stored ones; None: no degraded
        faces at all. warp: warps the references onto `seen_landmarks`; None: no warped references.
    prefetch: how many batches are prepared ahead, at least 1.
    points: source of `seen_landmarks`. `TRUTH` is not what a user has who restores a face: see `jittered`, `detected`.

    The source is read ahead, so its own state is too far: resume from `DeviceBatches.state_dict`.
    Raises ValueError for an invalid `prefetch`.
    """
    if prefetch < 1:
        raise ValueError(f"prefetch is at least 1, not {prefetch}")
    place = torch.device(device)
    if place.type == "cuda" and place.index is None:  # the current device is one per thread
        place = torch.device("cuda", torch.cuda.current_device())
    work = partial(
        to_device,
        device=place,
        degrade=degrade,
        warp=warp,
        dtype=dtype,
        value_range=value_range,
        points=points,
    )
    return DeviceBatches(batches, place, work, prefetch)


class DeviceBatches(Iterator[DeviceBatch]):
    """An iterator over device batches, which a thread prepares; it measures how long the consumer waited.

    An error of the source or of the preparation is raised in place of that batch, and ends the iterator.
    """

    def __init__(
        self,
        batches: Iterable[FaceBatch],
        device: torch.device,
        work: Callable[[FaceBatch], DeviceBatch],
        prefetch: int,
    ) -> None:
        self._source = iter(batches)
        self._source_state = getattr(batches, "state_dict", None)
        self._state = self._source_state and self._source_state()
        self._device = device
        self._work = work
        self._stream = _side_stream(device)
        self._waiting = StallTimer(device)
        self._thread = ThreadPoolExecutor(1, "facerefs-device")
        self._ahead = deque(self._thread.submit(self._make) for _ in range(prefetch))

    def __next__(self) -> DeviceBatch:
        asked = self._waiting.mark()
        try:
            made = self._ahead.popleft().result() if self._ahead else None
        except BaseException:
            self.close()
            raise
        if made is None:
            self.close()
            raise StopIteration
        batch, done, self._state = made
        if done is not None:
            self._hand_over(batch, done)
        self._ahead.append(self._thread.submit(self._make))
        self._waiting.add(asked, self._waiting.mark())
        return batch

    def close(self) -> None:
        """Stop making batches; waits for the one in progress."""
        self._ahead.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def state_dict(self) -> Any:
        """The source's state after the last returned batch; an equal source that loads it continues there.

        Raises TypeError if the source has no `state_dict`.
        """
        if self._source_state is None:
            raise TypeError("these batches come from a source that has no state_dict")
        return self._state

    @property
    def waited_s(self) -> float:
        """Seconds that the consumer (on a GPU: its stream) waited for batches, up to the last one."""
        return self._waiting.totals_s()[0]

    @property
    def busy_s(self) -> float:
        """Seconds that the consumer (on a GPU: its stream) spent between getting a batch and requesting the next."""
        return self._waiting.totals_s()[1]

    @property
    def waiting_share(self) -> float:
        """The share of the time spent waiting, 0 to 1."""
        waited_s, busy_s = self._waiting.totals_s()
        return waited_s / (waited_s + busy_s) if waited_s > 0 else 0.0

    def _make(self) -> tuple[DeviceBatch, torch.cuda.Event | None, Any] | None:
        """The next batch, the event that marks when the device has finished it, and the source's state after it.

        None at the end. The event is None on a CPU. Runs in the thread.
        """
        source, self._source = self._source, iter(())  # after an error, a stream would restart its workers
        batch = next(source, None)
        if batch is None:
            return None
        state = self._source_state and self._source_state()
        if self._stream is None:
            ready, done = self._work(batch), None
        else:
            with torch.cuda.stream(self._stream):
                ready, done = self._work(batch), self._stream.record_event()
        self._source = source
        return ready, done, state

    def _hand_over(self, batch: DeviceBatch, done: torch.cuda.Event) -> None:
        """Make the consumer's stream wait for the batch, and keep the batch's memory until that stream has used it."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(done)
        for tensor in _tensors(batch):
            if tensor.is_cuda:
                tensor.record_stream(current)


def _side_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in dataclasses, tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif is_dataclass(value):
        yield from _tensors(tuple(getattr(value, field.name) for field in fields(value)))
