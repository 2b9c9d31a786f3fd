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
    parts_done: int = 0
    rows: int = 0
    rejected: int = 0
    _started: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _live: Live | None = None

    def __enter__(self) -> "StageProgress":
        if self.console.is_terminal and self.parts:
            self._live = Live(Text(self.line()), console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(Text(self.line()))
            self._live.stop()
        else:
            self.console.print(self.line(), highlight=False)

    def part_done(self, rows: int, rejected: int) -> None:
        """Count a part, and say so on a terminal at once, elsewhere now and then."""
        self.parts_done += 1
        self.rows += rows
        self.rejected += rejected
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(self.line()))
        elif now - self._said > PLAIN_EVERY_S and self.parts_done < self.parts:
            self.console.print(self.line(), highlight=False)
            self._said = now

    def line(self) -> str:
        """The progress line."""
        seconds = max(time.monotonic() - self._started, 1e-6)
        kept = f", {self.parts_kept} parts kept" if self.parts_kept else ""
        if not self.parts:
            return f"{self.name:<11} nothing to do{kept}"
        left = self.parts - self.parts_done
        eta = f", {seconds / self.parts_done * left:.0f} s left" if left and self.parts_done else ""
        return (
            f"{self.name:<11} part {self.parts_done}/{self.parts}, {self.rows} rows, {self.rows / seconds:.1f} rows/s, "
            f"{self.rejected} rejected, {seconds:.1f} s{eta}{kept}"
        )
