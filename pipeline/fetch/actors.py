"""Ray actors that fetch: each has an event loop on which many parts wait at once, all share one gate per host."""

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.fetch.worker import FetchTask, FetchWorker
from facerefs.pipeline.runner.workers import Workers, last_line
from facerefs.stages.web.rate_limiter import Gate, GateLike, Lease
from facerefs.stages.web.stats import Tally, total

_LOOK_EVERY_S = 1.0
_SLOWEST_HOSTS = 5
_CALLS_AT_ONCE = 100_000  # all but a few of them only wait


def fetch_parts(
    worker: FetchWorker, tasks: Sequence[FetchTask], workers: Workers, watch: Callable[[Tally], None]
) -> Iterator[tuple[int, int]]:
    """Results of `worker.work(task)` as the parts finish; `watch` hears about once a second how it goes.

    Raises RunError, naming the cause, if a part fails: a bad URL is no failure, but a row.
    """
    import ray
    from ray.exceptions import RayError

    workers.start()
    make: Any = ray.remote(num_cpus=worker.stage.cpus, max_restarts=0)(FetchActor)
    make = make.options(max_concurrency=_CALLS_AT_ONCE)
    actors = [make.remote(worker)]
    actors += [make.remote(worker, actors[0]) for _ in range(min(workers.count, len(tasks)) - 1)]
    try:
        yield from _done(actors, deque(tasks), watch)
    except RayError as error:
        raise RunError(f"Ray stopped the workers: {last_line(str(error))}", str(error)) from error
    finally:
        for actor in actors:
            ray.kill(actor)


def _done(
    actors: Sequence[Any], waiting: deque[FetchTask], watch: Callable[[Tally], None]
) -> Iterator[tuple[int, int]]:
    """Give a part to each actor that has room, and yield the results of those that end."""
    import ray

    ray.get([actor.open.remote() for actor in actors])
    room = {actor.has_room.remote(): actor for actor in actors}
    running: dict[Any, FetchTask] = {}
    looked = time.monotonic()
    while waiting or running:
        ready, _ = ray.wait([*room, *running], num_returns=1, timeout=_LOOK_EVERY_S)
        for reference in ready:
            if reference in room:
                actor = room.pop(reference)
                if waiting:
                    task = waiting.popleft()
                    running[actor.work.remote(task)] = task
                    room[actor.has_room.remote()] = actor
                continue
            task = running.pop(reference)
            rows, rejected, failure = ray.get(reference)
            if failure:
                raise RunError(f"part {task.name} failed: {last_line(failure)}", failure)
            yield rows, rejected
        if time.monotonic() - looked > _LOOK_EVERY_S or not (waiting or running):
            watch(total(ray.get([actor.tally.remote() for actor in actors])))
            looked = time.monotonic()


class FetchActor:
    """A Ray actor around a worker. The first one also keeps the gate, which the others know from afar."""

    def __init__(self, worker: FetchWorker, first: Any = None) -> None:
        stage = worker.stage
        self._worker = worker
        self._gate: GateLike = (
            Gate(stage.host_connections, stage.host_rate_per_s) if first is None else SharedGate(first)
        )

    async def open(self) -> None:
        """Get ready."""
        await self._worker.open(self._gate)

    async def has_room(self) -> None:
        """Wait until another part is welcome."""
        await self._worker.has_room()

    async def work(self, task: FetchTask) -> tuple[int, int, str]:
        """Do one part; the third item is the traceback of what should never happen."""
        try:
            return *await self._worker.work(task), ""
        except Exception as error:  # noqa: BLE001 (a fault of ours or of the disk: the driver ends the run and tells)
            return 0, 0, "".join(traceback.format_exception(_first(error)))

    async def tally(self) -> Tally:
        """What was fetched so far, with the slowest hosts."""
        return self._worker.tally.slowest(_SLOWEST_HOSTS)

    async def lease(self, host: str, wanted: int, min_spacing_s: float) -> Lease:
        """See Gate."""
        return await self._gate.lease(host, wanted, min_spacing_s)

    async def end(self, lease_id: int, unused: int) -> None:
        """See Gate."""
        await self._gate.end(lease_id, unused)

    async def pause(self, host: str, seconds: float) -> None:
        """See Gate."""
        await self._gate.pause(host, seconds)


class SharedGate:
    """The gate that another actor keeps."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def lease(self, host: str, wanted: int, min_spacing_s: float = 0.0) -> Lease:
        """See Gate."""
        lease: Lease = await self._actor.lease.remote(host, wanted, min_spacing_s)
        return lease

    async def end(self, lease_id: int, unused: int) -> None:
        """See Gate."""
        await self._actor.end.remote(lease_id, unused)

    async def pause(self, host: str, seconds: float) -> None:
        """See Gate."""
        await self._actor.pause.remote(host, seconds)


def _first(error: BaseException) -> BaseException:
    """The first error of those that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
