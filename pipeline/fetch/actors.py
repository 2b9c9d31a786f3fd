"""Ray actors that fetch: each has an event loop on which many parts wait at once; all share one rate limiter."""

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.fetch.retry import Round
from facerefs.pipeline.fetch.worker import FetchTask, FetchWorker, PartResult
from facerefs.pipeline.runner.part_pool import last_line
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.stages.web.rate_limiter import Grant, HostRateLimiter, RateLimiter
from facerefs.stages.web.stats import FetchStats, total

_REPORT_EVERY_S = 1.0
_SLOWEST_HOSTS = 5
_MOST_ROUNDS = 4  # in which URLs are tried again
_CALLS_AT_ONCE = 100_000  # all but a few of them only wait


@dataclass(frozen=True)
class FetchDisplay:
    """What the driver of a crawl tells its user."""

    watch: Callable[[FetchStats], None]  # called about once a second
    tries_again: Callable[[int], None]  # called with the number of URLs that are tried again


def fetch_parts(
    worker: FetchWorker, tasks: Sequence[FetchTask], workers: RayWorkers, display: FetchDisplay
) -> Iterator[PartResult]:
    """The result of each part when its URLs have been tried, and then how those change that are tried again.

    When all parts have been tried, URLs that failed for a reason that may heal are tried again, as long as that
    brings photos, and `_MOST_ROUNDS` times at most.

    Raises RunError, naming the cause, if a part fails (a bad URL is a rejected row, not a failure).
    """
    workers.start()
    import ray
    from ray.exceptions import RayError

    make: Any = ray.remote(num_cpus=worker.stage.cpus, max_restarts=0)(FetchActor)
    make = make.options(max_concurrency=_CALLS_AT_ONCE)
    actors = [make.remote(worker)]
    actors += [make.remote(worker, actors[0]) for _ in range(min(workers.count, len(tasks)) - 1)]
    try:
        ray.get([actor.open.remote() for actor in actors])
        yield from _rounds(actors, tasks, display)
    except RayError as error:
        raise RunError(f"Ray stopped the workers: {last_line(str(error))}", str(error)) from error
    finally:
        for actor in actors:
            ray.kill(actor)


def _rounds(actors: Sequence[Any], tasks: Sequence[FetchTask], display: FetchDisplay) -> Iterator[PartResult]:
    import ray

    open_: dict[FetchTask, PartResult] = {}  # parts with URLs that are put off
    for task, result in _done(actors, tasks, Round.FIRST, display.watch):
        if result.put_off:
            open_[task] = result
        yield result
    for _ in range(_MOST_ROUNDS):
        before = sum(result.put_off for result in open_.values())
        if not before:
            break
        display.tries_again(before)
        ray.get([actor.begin_round.remote() for actor in actors])
        for task, result in _done(actors, list(open_), Round.AGAIN, display.watch):
            yield PartResult(0, result.rejected - open_[task].rejected, result.put_off)
            open_[task] = result
            if not result.put_off:
                del open_[task]
        if sum(result.put_off for result in open_.values()) == before:
            break
    for _ in _done(actors, list(open_), Round.LAST, display.watch):
        pass


def _done(
    actors: Sequence[Any], tasks: Sequence[FetchTask], round_: Round, watch: Callable[[FetchStats], None]
) -> Iterator[tuple[FetchTask, PartResult]]:
    """Give a part to each actor that has room, and yield the results of the parts that are done."""
    import ray

    waiting = deque(tasks)
    room = {actor.has_room.remote(): actor for actor in actors}
    running: dict[Any, FetchTask] = {}
    reported = time.monotonic()
    while waiting or running:
        ready, _ = ray.wait([*room, *running], num_returns=1, timeout=_REPORT_EVERY_S)
        for reference in ready:
            if reference in room:
                actor = room.pop(reference)
                if waiting:
                    task = waiting.popleft()
                    running[actor.work.remote(task, round_)] = task
                    room[actor.has_room.remote()] = actor
                continue
            task = running.pop(reference)
            result: PartResult = ray.get(reference)
            if result.failure:
                raise RunError(f"part {task.name} failed: {last_line(result.failure)}", result.failure)
            yield task, result
        if time.monotonic() - reported > _REPORT_EVERY_S or not (waiting or running):
            watch(total(ray.get([actor.stats.remote() for actor in actors])))
            reported = time.monotonic()


class FetchActor:
    """A Ray actor around a worker. The first one also holds the rate limiter, which the others call."""

    def __init__(self, worker: FetchWorker, first: Any = None) -> None:
        stage = worker.stage
        self._worker = worker
        self._rate_limiter: RateLimiter = (
            HostRateLimiter(stage.host_connections, stage.host_rate_per_s)
            if first is None
            else RemoteRateLimiter(first)
        )

    async def open(self) -> None:
        """Prepare the worker, on this actor's event loop."""
        await self._worker.open(self._rate_limiter)

    async def has_room(self) -> None:
        """Wait until the worker can take another part."""
        await self._worker.has_room()

    async def begin_round(self) -> None:
        """Prepare the worker to try again what was put off."""
        self._worker.begin_round()

    async def work(self, task: FetchTask, round_: Round) -> PartResult:
        """The result of a part; an unexpected error is its `failure`."""
        try:
            return await self._worker.work(task, round_)
        except Exception as error:  # noqa: BLE001 (an error of ours or of the disk: the driver gets it and ends the run)
            return PartResult(0, 0, 0, "".join(traceback.format_exception(_first(error))))

    async def stats(self) -> FetchStats:
        """What was fetched so far, with the slowest hosts."""
        return self._worker.stats.with_slowest_hosts(_SLOWEST_HOSTS)

    async def acquire(self, host: str, wanted: int, min_spacing_s: float) -> Grant:
        """See HostRateLimiter."""
        return await self._rate_limiter.acquire(host, wanted, min_spacing_s)

    async def release(self, grant_id: int, unused: int) -> None:
        """See HostRateLimiter."""
        await self._rate_limiter.release(grant_id, unused)

    async def pause(self, host: str, seconds: float) -> None:
        """See HostRateLimiter."""
        await self._rate_limiter.pause(host, seconds)


class RemoteRateLimiter:
    """The rate limiter that another actor holds."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def acquire(self, host: str, wanted: int, min_spacing_s: float = 0.0) -> Grant:
        """See HostRateLimiter."""
        grant: Grant = await self._actor.acquire.remote(host, wanted, min_spacing_s)
        return grant

    async def release(self, grant_id: int, unused: int) -> None:
        """See HostRateLimiter."""
        await self._actor.release.remote(grant_id, unused)

    async def pause(self, host: str, seconds: float) -> None:
        """See HostRateLimiter."""
        await self._actor.pause.remote(host, seconds)


def _first(error: BaseException) -> BaseException:
    """The first error of those that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
