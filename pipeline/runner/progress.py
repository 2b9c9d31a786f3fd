"""One progress line per stage: rows, rows/s, rejects, time left; plain lines when not a terminal."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

PLAIN_EVERY_S = 10.0


@dataclass
class StageProgress:
    """What one stage has done so far, and how to say it."""

    console: Console
    name: str
    parts: int  # to do in this run
    parts_kept: int  # finished by an earlier run
    unit: str = "rows"
    bad: str = "rejected"  # what is said of those that do not go on
    parts_done: int = 0
    rows: int = 0
    rejected: int = 0
    _started: float = field(default_factory=time.monotonic)
    more: list[str] = field(default_factory=list)  # lines below the first one
    _said: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __enter__(self) -> "StageProgress":
        if self.console.is_terminal and self.parts:
            self._live = Live(Text(self.text()), console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(Text(self.text()))
            self._live.stop()
        else:
            self.console.print(self.text(), highlight=False)

    def rows_listed(self, rows: int, rejected: int) -> None:
        """Count rows of a list whose end is not known."""
        self.rows += rows
        self.rejected += rejected
        self._show()

    def part_done(self, rows: int, rejected: int) -> None:
        """Count a part, and say so on a terminal at once, elsewhere now and then."""
        self.parts_done += 1
        self.rows += rows
        self.rejected += rejected
        if self.parts_done < self.parts:
            self._show()

    def say(self, more: list[str]) -> None:
        """What else there is to say, in the lines below."""
        self.more = more
        if self.parts_done < self.parts:
            self._show()

    @property
    def seconds(self) -> float:
        """Since the stage began; never 0."""
        return max(time.monotonic() - self._started, 1e-6)

    def text(self) -> str:
        """All lines."""
        return "\n".join([self.line(), *(f"{'':<11} {line}" for line in self.more)])

    def _show(self) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(self.text()))
        elif now - self._said > PLAIN_EVERY_S:
            self.console.print(self.text(), highlight=False)
            self._said = now

    def line(self) -> str:
        """The progress line."""
        seconds = self.seconds
        kept = f", {self.parts_kept} parts kept" if self.parts_kept else ""
        if not self.parts:
            return f"{self.name:<11} nothing to do{kept}"
        left = self.parts - self.parts_done
        eta = f", {seconds / self.parts_done * left:.0f} s left" if left and self.parts_done else ""
        return (
            f"{self.name:<11} part {self.parts_done}/{self.parts}, {self.rows} {self.unit}, "
            f"{self.rows / seconds:.1f} {self.unit}/s, {self.rejected} {self.bad}, {seconds:.1f} s{eta}{kept}"
        )
