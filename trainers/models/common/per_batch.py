"""Values that several phases of a step use, computed once for each batch."""

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from facerefs.trainers.stream.batches.device_batch import DeviceBatch

T = TypeVar("T")


class PerBatch(Generic[T]):
    """A value for each batch and name, kept as long as its batch exists.

    A step has its own batches, so nothing is carried into the next step, and a resumed run computes the same.
    """

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[DeviceBatch, dict[str, T]] = WeakKeyDictionary()

    def once(self, batch: DeviceBatch, name: str, make: Callable[[], T]) -> T:
        """The value, computed by `make` at its first use."""
        made = self._made.setdefault(batch, {})
        if name not in made:
            made[name] = make()
        return made[name]

    def keep(self, batch: DeviceBatch, name: str, value: T) -> T:
        """Keep a value, in place of an earlier one; returns it."""
        self._made.setdefault(batch, {})[name] = value
        return value

    def take(self, batch: DeviceBatch, name: str, make: Callable[[], T]) -> T:
        """The kept value, which is then forgotten; without one, `make`'s."""
        made = self._made.get(batch, {})
        return made.pop(name) if name in made else make()
