"""A pool of Ray actors that makes parts. It goes on if a worker or a node is lost, and uses nodes that join."""

import errno
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from socket import gethostname
from tempfile import gettempdir
from typing import Any, NamedTuple, Protocol

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.runner.versions import difference, versions
from facerefs.schemas.object_storage import is_failed_request, sentence_of

MOST_LOSSES = 3  # of workers with the same part: then the part is what ends them
_LOOK_EVERY_S = 5.0  # for CPUs that have joined
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class PartTask:
    """One part to make; if the fingerprint is empty, the worker finds out whether the part is the same as before."""

    name: str
    fingerprint: str
    rows: int | None = None  # that it is made from; None if nobody has counted them


class PartDone(NamedTuple):
    """The number of rows of a part that is made, and how many of them are rejected, or copied from earlier parts."""

    rows: int
    rejected: int
    copied: int = 0
    kept: bool = False  # it was the same as before, and is not made again


class Worker(Protocol):
    """What runs in an actor: makes one part after the other."""

    @property
    def cpus(self) -> float:
        """CPUs that one worker takes."""

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""

    def setup(self) -> None:
        """Load models."""

    def work(self, task: PartTask) -> PartDone:
        """Make one part."""


@dataclass
class PartPool:
    """Makes parts on `size()` actors, which may grow while it works. say: called with what the user should know."""

    worker: Worker
    size: Callable[[], int]
    say: Callable[[str], None]
    _starting: dict[Any, Any] = field(default_factory=dict)  # actor, by the reference to the end of its setup
    _running: dict[Any, tuple[Any, PartTask]] = field(default_factory=dict)  # by the reference to the result
    _losses: Counter[str] = field(default_factory=Counter)  # of workers, by the part that they were making
    _lost_in_setup: int = 0

    def results(self, tasks: Sequence[PartTask]) -> Iterator[PartDone]:
        """The result of each part, in the order in which they finish.

        A part whose worker is lost is made again by another one. Raises RunError, naming the cause, if a part fails,
        or if it ends its worker `MOST_LOSSES` times; UserError if a node has other versions of our packages.
        """
        import ray

        waiting = deque(tasks)
        began = time.monotonic()
        looked = -_LOOK_EVERY_S
        try:
            while waiting or self._running:
                if not (self._running or self._starting) or time.monotonic() - looked >= _LOOK_EVERY_S:
                    self._start_more(len(waiting) + len(self._running))
                    looked = time.monotonic()
                if not self._running and began and time.monotonic() - began > _PATIENCE_S:
                    self.say(f"no worker has started for {_PATIENCE_S:g} s: Ray has no CPUs free for it")
                    began = 0.0
                ready, _ = ray.wait([*self._running, *self._starting], num_returns=1, timeout=_LOOK_EVERY_S)
                for reference in ready:
                    if reference in self._starting:
                        actor = self._started(reference)
                        result = None
                    else:
                        actor, result = self._ended(reference, waiting)
                    if actor is not None and waiting:
                        task = waiting.popleft()
                        self._running[actor.work.remote(task)] = actor, task
                    elif actor is not None:
                        ray.kill(actor)
                    if result is not None:
                        yield result
        finally:
            for actor in [*self._starting.values(), *(actor for actor, _ in self._running.values())]:
                ray.kill(actor)

    def _start_more(self, tasks: int) -> None:
        import ray

        make: Any = ray.remote(PartActor)
        make = make.options(
            num_cpus=self.worker.cpus,
            num_gpus=self.worker.gpus or None,
            max_restarts=0,  # a lost one is noticed, counted and replaced here
            scheduling_strategy="SPREAD",
        )
        for _ in range(min(self.size(), tasks) - len(self._starting) - len(self._running)):
            actor = make.remote(self.worker)
            self._starting[actor.setup.remote(versions())] = actor

    def _started(self, reference: Any) -> Any:
        """The actor that is ready; None if it is lost."""
        import ray
        from ray.exceptions import RayError

        actor = self._starting.pop(reference)
        try:
            failure, is_other_version = ray.get(reference)
        except RayError as error:
            self._lost_in_setup += 1
            if self._lost_in_setup >= MOST_LOSSES:
                raise RunError(ended_workers("starting", error), str(error)) from None
            self.say(f"a worker was lost while it started ({cause(error)}): another one is started")
            return None
        if is_other_version:
            raise UserError(failure)
        if failure:
            raise RunError(f"a worker cannot start: {last_line(failure)}", failure)
        return actor

    def _ended(self, reference: Any, waiting: "deque[PartTask]") -> tuple[Any, PartDone | None]:
        """The actor and the result of a part; None for both if the actor is lost: the part will be made again."""
        import ray
        from ray.exceptions import RayError

        actor, task = self._running.pop(reference)
        try:
            done, failure = ray.get(reference)
        except RayError as error:
            ray.kill(actor)  # it may be out of reach only for a moment
            self._losses[task.name] += 1
            if self._losses[task.name] >= MOST_LOSSES:
                raise RunError(ended_workers(f"making part {task.name}", error), str(error)) from None
            waiting.append(task)
            self.say(f"a worker was lost ({cause(error)}): part {task.name} is made again")
            return None, None
        if failure:
            details = failure if "\n" in failure else ""
            raise RunError(f"part {task.name} failed: {last_line(failure)}", details)
        return actor, done


class PartActor:
    """A Ray actor around a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def setup(self, wanted: Mapping[str, str]) -> tuple[str, bool]:
        """Why this worker cannot work: an empty string if it can; and whether that is another version of a package."""
        if other := difference(wanted):
            return other, True
        try:
            self._worker.setup()
        except Exception:  # noqa: BLE001 (the driver gets the traceback and ends the run)
            return traceback.format_exc(), False
        return "", False

    def work(self, task: PartTask) -> tuple[PartDone, str]:
        """What was made, and the traceback of an error of ours."""
        try:
            return self._worker.work(task), ""
        except Exception as error:  # noqa: BLE001 (an error of ours: the driver gets the traceback and ends the run)
            return PartDone(0, 0), failure_text(error)


def failure_text(error: Exception) -> str:
    """The traceback of an error of ours; one line for a full disk, and for a server that fails."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            f"no space is left on a disk of {gethostname()}: make room in the folder of the build and in TMPDIR "
            f"({gettempdir()})"
        )
    if isinstance(error, OSError) and is_failed_request(error):
        return sentence_of(error)
    return "".join(traceback.format_exception(error))


def last_line(text: str) -> str:
    """The last line of a traceback, which names the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def ended_workers(when: str, error: Exception) -> str:
    return (
        f"{MOST_LOSSES} workers were lost while {when} ({cause(error)}): if it is memory, give each worker more "
        "with fewer --workers"
    )


def cause(error: Exception) -> str:
    """Why Ray lost a worker, in a few words of ours: its own messages have a dozen lines."""
    from ray.exceptions import NodeDiedError, OutOfMemoryError

    # Ray's text on any lost worker lists what may have been the cause: only what it says for certain counts.
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "running low on memory" in text:
        return "out of memory"
    if isinstance(error, NodeDiedError) or "node has died" in text:
        return "its node is gone"
    return "it crashed or was killed, perhaps by the system for its memory"
