"""One progress line per stage: rows, rows/s, rejects, time left; printed lines if the output is not a terminal."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

PRINT_EVERY_S = 10.0


@dataclass
class StageProgress:
    """Counts what one stage has done so far, and shows it."""

    console: Console
    name: str
    parts: int  # to do in this run
    parts_kept: int  # finished by an earlier run
    unit: str = "rows"
    bad_unit: str = "rejected"  # the word after the number of rejected rows
    parts_done: int = 0
    rows: int = 0
    rejected: int = 0
    _started: float = field(default_factory=time.monotonic)
    details: list[str] = field(default_factory=list)  # lines below the progress line
    _printed: float = field(default_factory=time.monotonic)
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
        """Count rows of a list whose length is not known."""
        self.rows += rows
        self.rejected += rejected
        self._show()

    def part_done(self, rows: int, rejected: int) -> None:
        """Count a part; a terminal shows it at once, other outputs every PRINT_EVERY_S seconds."""
        self.parts_done += 1
        self.rows += rows
        self.rejected += rejected
        if self.parts_done < self.parts:
            self._show()

    def say(self, sentence: str) -> None:
        """Print a sentence above the progress line."""
        self.console.print(f"{self.name:<11} {sentence}", highlight=False)

    def set_details(self, details: list[str]) -> None:
        """Replace the lines below the progress line."""
        self.details = details
        if self.parts_done < self.parts:
            self._show()

    @property
    def seconds(self) -> float:
        """Seconds since the stage began; never 0."""
        return max(time.monotonic() - self._started, 1e-6)

    def text(self) -> str:
        """All lines."""
        return "\n".join([self.line(), *(f"{'':<11} {line}" for line in self.details)])

    def _show(self) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(self.text()))
        elif now - self._printed > PRINT_EVERY_S:
            self.console.print(self.text(), highlight=False)
            self._printed = now

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
            f"{self.rows / seconds:.1f} {self.unit}/s, {self.rejected} {self.bad_unit}, {seconds:.1f} s{eta}{kept}"
        )
