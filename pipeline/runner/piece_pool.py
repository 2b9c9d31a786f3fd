"""Runs pieces of whole stages as Ray tasks, on all nodes; a piece whose worker is lost is done again."""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.runner.part_pool import MOST_LOSSES, cause, ended_workers, failure_text, last_line
from facerefs.pipeline.runner.versions import difference, processor, versions_of_search
from facerefs.stages.executor import Piece, Shared

Value = TypeVar("Value")
Result = TypeVar("Result")

_AHEAD_PER_WORKER = 2  # pieces, so that no worker waits for the next
_LEAST_AHEAD = 2
_SHARE_AHEAD = 2  # the pieces under way take half of the memory at most
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True)
class InObjectStore(Generic[Value]):
    """A value in Ray's object store, from which the processes of a node read the same memory."""

    reference: Any

    def get(self) -> Value:
        """The value; its arrays are read-only."""
        import ray

        value: Value = ray.get(self.reference)
        return value


class _UnderWay(NamedTuple):
    number: int
    piece: Any  # a reference, which is kept until the result is there


@dataclass
class PiecePool:
    """Runs pieces on as many workers as `size()` says, as `facerefs.stages.executor.Executor`.

    start: starts Ray, or does nothing. say: called with what was lost on the way. memory_bytes: of a whole stage; the
    pieces under way take half of it, or are two.
    """

    start: Callable[[], None]
    size: Callable[[], int]
    memory_bytes: int
    say: Callable[[str], None]

    def share(self, value: Value) -> Shared[Value]:
        """The value in the object store, until nothing refers to it."""
        self.start()
        import ray

        return InObjectStore(ray.put(value))

    def map(self, function: Callable[..., Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """The results of function(*piece), in order.

        Raises RunError, naming the cause, if a piece fails, or if it loses three workers; UserError if a node has
        other versions of our packages, or another kind of processor.
        """
        self.start()
        import ray

        task: Any = ray.remote(_run).options(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
        work = ray.put((function, _Wanted(versions_of_search(), processor())))
        waiting, running, done = enumerate(pieces), dict[Any, _UnderWay](), dict[int, Result]()
        losses: dict[int, int] = {}
        largest = 1
        number = 0  # of the result that comes next
        again: list[_UnderWay] = []
        try:
            while True:
                for under_way in again:
                    running[task.remote(work, under_way.piece)] = under_way
                again.clear()
                most = _AHEAD_PER_WORKER * self.size()
                while len(running) + len(done) < self._fitting(most, largest):
                    at, piece = next(waiting, (0, None))
                    if piece is None:
                        break
                    largest = max(largest, sent_bytes(piece))
                    under_way = _UnderWay(at, ray.put(piece))
                    running[task.remote(work, under_way.piece)] = under_way
                if not running:
                    return
                ready, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_EVERY_S)
                for reference in ready:
                    under_way = running.pop(reference)
                    result, is_lost = self._result(reference, under_way.number, losses)
                    if is_lost:
                        again.append(under_way)
                    else:
                        done[under_way.number] = result
                while number in done:
                    yield done.pop(number)
                    number += 1
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _fitting(self, pieces: int, largest: int) -> int:
        """So many pieces, or as many as the memory has room for."""
        return max(_LEAST_AHEAD, min(pieces, self.memory_bytes // _SHARE_AHEAD // largest))

    def _result(self, reference: Any, number: int, losses: dict[int, int]) -> tuple[Any, bool]:
        """The result of a piece, and whether it is lost with its worker."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            result, failure, is_other = ray.get(reference)
        except RayTaskError as error:  # not our error: the piece, or what it needs, did not arrive
            raise RunError(f"a piece of the work failed: {last_line(str(error))}", str(error)) from None
        except RayError as error:
            losses[number] = losses.get(number, 0) + 1
            if losses[number] >= MOST_LOSSES:
                raise RunError(ended_workers("doing one piece of the work", error), str(error)) from None
            self.say(f"a worker was lost ({cause(error)}): its piece of the work is done again")
            return None, True
        if is_other:
            raise UserError(failure)
        if failure:
            raise RunError(
                f"a piece of the work failed: {last_line(failure)}", failure if "\n" in failure else ""
            )
        return result, False


class _Wanted(NamedTuple):
    versions: Mapping[str, str]
    processor: str


def _run(work: tuple[Callable[..., Result], _Wanted], piece: Piece) -> tuple[Result | None, str, bool]:
    """The result of a piece; else why there is none, and whether it is this machine that is not like the driver's."""
    function, wanted = work
    if other := _difference(tuple(wanted.versions.items()), wanted.processor):
        return None, other, True
    try:
        return function(*piece), "", False
    except Exception as error:  # noqa: BLE001 (an error of ours: the driver gets the traceback and ends the run)
        return None, failure_text(error), False


@cache
def _difference(wanted: tuple[tuple[str, str], ...], wanted_processor: str) -> str:
    return difference(dict(wanted), wanted_processor)


def sent_bytes(piece: Piece) -> int:
    """The size of a piece as it is sent, without a copy of its arrays."""
    arrays: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(piece, 5, buffer_callback=arrays.append)
    return len(rest) + sum(array.raw().nbytes for array in arrays)
