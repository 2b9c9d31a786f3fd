"""Where independent pieces of a whole stage's work run: in this process, or wherever the pipeline sends them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

Value = TypeVar("Value")
Shared_co = TypeVar("Shared_co", covariant=True)
Result = TypeVar("Result")

Piece = tuple[Any, ...]
"""The arguments of one piece of work: arrays, most of all."""


class Shared(Protocol[Shared_co]):
    """A value that many pieces need. It is sent once, not with each piece."""

    def get(self) -> Shared_co:
        """The value; its arrays may be read-only, and shared with other processes of the machine."""


class Executor(Protocol):
    """Runs pieces of work that need nothing of each other. The results are the same wherever they run."""

    def share(self, value: Value) -> Shared[Value]:
        """The value, to be given to pieces."""

    def map(self, function: Callable[..., Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """The results of function(*piece), in the order of the pieces, a few of which are taken ahead.

        function: of a module or a dataclass, or a `functools.partial` of one, with small and shared arguments. It may
        be called more than once with a piece, if a process that had it is lost.
        """


@dataclass(frozen=True)
class Held(Generic[Value]):
    """A shared value in this process."""

    value: Value

    def get(self) -> Value:
        """The value."""
        return self.value


class InProcess:
    """Runs each piece here, when its result is asked for."""

    def share(self, value: Value) -> Shared[Value]:
        """The value itself."""
        return Held(value)

    def map(self, function: Callable[..., Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """One result after the other."""
        return (function(*piece) for piece in pieces)


IN_PROCESS = InProcess()
