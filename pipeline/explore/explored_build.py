"""The build that is explored: its views, read when they are first looked at, and again after the build has changed."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pyarrow as pa

from facerefs.pipeline.dataset.funnel import FunnelStep, funnel
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.explore.listing.found import FoundRows
from facerefs.pipeline.explore.views.view import View
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import TABLES

Value = TypeVar("Value")
_LOOK_AGAIN_S = 2.0


class _Once(Generic[Value]):
    """A value that is made when it is first asked for; whoever asks meanwhile waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: list[Value] = []

    def get(self, make: Callable[[], Value]) -> Value:
        """The value; made again if making it failed before."""
        with self._lock:
            if not self._made:
                self._made.append(make())
            return self._made[0]


@dataclass
class ExploredBuild:
    """The views of a build. clock: seconds, to look not more than now and then whether the build has changed."""

    storage: Storage
    views: Sequence[View]
    others: Sequence[Storage] = ()  # whose tables the views read as well
    clock: Callable[[], float] = time.monotonic
    _made: dict[str, _Once[Any]] = field(default_factory=dict)
    _files: object = None
    _version: int = 0
    _looked_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def view(self, name: str) -> View | None:
        """The view of this name, if there is one."""
        return next((view for view in self.views if view.name == name), None)

    def rows(self, view: View) -> FoundRows:
        """The rows of a view, as the build is now (or was some seconds ago)."""
        return self.once(view.name, lambda: FoundRows(view, view.rows(self.storage)))

    def funnels(self) -> list[list[FunnelStep]]:
        """The funnel of the build, and those of the others."""
        return self.once("funnels", lambda: [funnel(storage) for storage in (self.storage, *self.others)])

    def once(self, name: str, make: Callable[[], Value]) -> Value:
        """What is made of the tables: once, and again after they have changed."""
        with self._lock:
            self._forget_if_changed()
            one: _Once[Value] = self._made.setdefault(name, _Once())
        return one.get(make)

    def read_ahead(self) -> None:
        """Read all views, so that a first visit need not wait. A damaged table is said when it is asked for."""
        with suppress(RunError, UserError):
            self.funnels()
            for view in self.views:
                self.rows(view)

    def version(self) -> int:
        """A number that is another one after the tables have changed."""
        with self._lock:
            self._forget_if_changed()
            return self._version

    def _forget_if_changed(self) -> None:
        if self.clock() - self._looked_at < _LOOK_AGAIN_S:
            return
        self._looked_at = self.clock()
        files = [
            (file.path, file.size, file.mtime_ns)
            for storage in (self.storage, *self.others)
            for table in TABLES
            for file in storage.listed(table)
        ]
        if files != self._files:
            self._files = files
            self._version += 1
            self._made.clear()


def row_of(rows: pa.Table, column: str, value: str) -> dict[str, object] | None:
    """The first row with a value in a column of text."""
    at = rows[column].index(value).as_py()
    return None if at < 0 else rows.slice(at, 1).to_pylist()[0]
