"""One progress line per stage: rows, rows/s, rejects, time left; printed lines if the output is not a terminal."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

from facerefs.pipeline.runner.eta import BuildEta
from facerefs.pipeline.runner.event_log import EventLog

PRINT_EVERY_S = 10.0
_RATE_AFTER_S = 2.0  # of work: a shorter time, or one with the start of workers in it, gives no rate


@dataclass(frozen=True)
class BuildWatch:
    """What the stages of one build share: its log, and the estimate of the time that the whole build still takes."""

    log: EventLog
    eta: BuildEta


@dataclass
class StageProgress:
    """Counts what one stage has done so far, and shows it."""

    console: Console
    name: str
    parts: int  # to do in this run
    parts_kept: int  # finished by an earlier run
    unit: str = "rows"
    bad_unit: str = "rejected"  # the word after the number of rejected rows
    watch: BuildWatch | None = None
    rows_to_do: int | None = None  # where rows of many parts end in any order; else parts are the measure
    rows_ended: int = 0
    parts_done: int = 0
    rows: int = 0
    rejected: int = 0
    _started: float = field(default_factory=time.monotonic)
    details: list[str] = field(default_factory=list)  # lines below the progress line
    _printed: float = field(default_factory=time.monotonic)
    _first: tuple[float, float] | None = None  # when the first work was done, and which share it was
    _live: Live | None = None

    def __enter__(self) -> "StageProgress":
        self._log("stage_started")
        if self.console.is_terminal and self.parts:
            self._live = Live(Text(self.text()), console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._live is not None:
            self._live.update(Text(self.text()))
            self._live.stop()
        else:
            self.console.print(self.text(), highlight=False)
        if kind is None and self.watch is not None:
            self.watch.eta.stage_took(self.name, self.seconds, self.rows)
            self._log("stage_done")

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
        if self.watch is not None:
            self.watch.log.write("note", {"stage": self.name, "text": sentence})

    def set_details(self, details: list[str], rows_ended: int) -> None:
        """Replace the lines below the progress line; rows_ended: also those of parts that are not done."""
        self.details = details
        self.rows_ended = rows_ended
        if self.parts_done < self.parts:
            self._show()

    @property
    def seconds(self) -> float:
        """Seconds since the stage began; never 0."""
        return max(time.monotonic() - self._started, 1e-6)

    def left_s(self) -> float | None:
        """Seconds until the build is done, or, outside a build, this stage; None as long as there is no rate.

        The time before the first part says nothing: workers start in it. Nor do parts that are done in the same moment.
        """
        now, share = time.monotonic(), self.parts_done / max(self.parts, 1)
        if self.rows_to_do:
            share = self.rows_ended / self.rows_to_do
        if not 0 < share < 1:
            return None
        if self._first is None:
            self._first = (now, share)
        seconds, done = now - self._first[0], share - self._first[1]
        if seconds < _RATE_AFTER_S or not done:
            return None
        left_s = seconds / done * (1 - share)
        if self.watch is None:
            return left_s
        rows = self.rows_to_do or round(self.rows / share)
        self.watch.eta.stage_took(self.name, seconds, round(rows * done))
        return self.watch.eta.left_s(self.name, left_s, rows)

    def text(self) -> str:
        """All lines."""
        return "\n".join([self.line(), *(f"{'':<11} {line}" for line in self.details)])

    def _show(self) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(self.text()))
        else:
            self.left_s()  # notes when the first part is done
        if now - self._printed > PRINT_EVERY_S:
            self._printed = now
            self._log("stage_progress")
            if self._live is None:
                self.console.print(self.text(), highlight=False)

    def _log(self, event: str) -> None:
        if self.watch is None:
            return
        left_s = self.left_s()
        counts = {"parts": self.parts, "parts_done": self.parts_done, "parts_kept": self.parts_kept}
        rows = {"rows": self.rows, "rejected": self.rejected, "seconds": round(self.seconds, 3)}
        left = {"build_left_s": None if left_s is None else round(left_s)}
        self.watch.log.write(event, {"stage": self.name, **counts, **rows, **left})

    def line(self) -> str:
        """The progress line."""
        seconds = self.seconds
        kept = f", {self.parts_kept} parts kept" if self.parts_kept else ""
        if not self.parts:
            return f"{self.name:<11} nothing to do{kept}"
        left_s = self.left_s()
        eta = "" if left_s is None else f", about {_rounded(left_s)} left{' in all' if self.watch else ''}"
        return (
            f"{self.name:<11} part {self.parts_done}/{self.parts}, {self.rows} {self.unit}, "
            f"{self.rows / seconds:.1f} {self.unit}/s, {self.rejected} {self.bad_unit}, {seconds:.1f} s{eta}{kept}"
        )


def _rounded(seconds: float) -> str:
    """17 s, 5 min, 2.5 h: an estimate is not exact to the second."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
