"""Progress: no estimate before there is a rate, a sane one after, and a log for programs."""

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from facerefs.pipeline.runner import progress as module
from facerefs.pipeline.runner.eta import BuildEta
from facerefs.pipeline.runner.event_log import EventLog
from facerefs.pipeline.runner.progress import BuildWatch, StageProgress
from facerefs.pipeline.storage.file_store import FileStore


class Clock:
    def __init__(self) -> None:
        self.now_s = time.monotonic()

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def watch(tmp_path: Path) -> BuildWatch:
    return BuildWatch(EventLog(FileStore.at(tmp_path)), BuildEta(2))


def stage(name: str, parts: int, watch: BuildWatch | None = None) -> StageProgress:
    return StageProgress(Console(file=io.StringIO(), width=200), name, parts, 0, watch=watch)


def test_the_start_of_the_workers_is_in_no_estimate(clock: Clock) -> None:
    with stage("crawl", 60) as progress:
        clock.now_s += 24.0  # until the first part, of which workers took most to start
        progress.part_done(32, 0)
        assert "left" not in progress.line()
        progress.part_done(32, 0)  # of another worker, in the same moment
        assert "left" not in progress.line()
        for _ in range(8):
            clock.now_s += 0.5
            progress.part_done(32, 0)
        assert "about 22 s left" in progress.line()


def test_one_estimate_for_the_whole_build_learns_how_fast_the_machine_is(
    clock: Clock, watch: BuildWatch
) -> None:
    def estimate(seconds_per_part: float) -> float:
        with stage("analyse", 10, watch) as progress:
            for _ in range(5):
                progress.part_done(32, 0)
                clock.now_s += seconds_per_part
            left = progress.left_s()
            assert left is not None
            assert "left in all" in progress.line()
            return left

    usual, slow = estimate(8.0), estimate(40.0)
    assert 5 * 8 < usual < 5 * 8 * 3  # and the shards
    assert slow == pytest.approx(5 * usual, rel=0.05)


def test_rows_of_parts_that_are_not_done_count(clock: Clock, watch: BuildWatch) -> None:
    with stage("fetch", 4, watch) as progress:
        progress.rows_to_do = 100
        progress.set_details([], 10)
        assert progress.left_s() is None
        clock.now_s += 10
        progress.set_details([], 30)
        assert 35 <= (progress.left_s() or 0) < 200


def test_the_log_is_json_lines_with_times(clock: Clock, watch: BuildWatch) -> None:
    with stage("crawl", 2, watch) as progress:
        clock.now_s += 11
        progress.part_done(3, 1)
        progress.say("a \N{LATIN SMALL LETTER E WITH ACUTE} sentence")
        progress.part_done(2, 0)
    lines = [json.loads(line) for line in (watch.log.store.read_text("log.jsonl") or "").splitlines()]
    assert [line["event"] for line in lines] == ["stage_started", "stage_progress", "note", "stage_done"]
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert (lines[-1]["stage"], lines[-1]["rows"], lines[-1]["rejected"]) == ("crawl", 5, 1)
