"""What tests cost: what `make quick` leaves out, in which order files run, and how that is noted.

`tests/durations.json` holds the functions that take long, in seconds with all their parameters, and the files with a
fixture that takes long; paths are from `tests/` on. `make durations` writes it anew. A test that is not in it counts as
fast.
"""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

NOTED = Path(__file__).with_name("durations.json")
QUICK_S = 0.5  # a function that takes longer is not for between two edits
FIXTURE_S = 2.0  # nor is a file that has a fixture which takes longer
LONG_S = 10.0  # of a file that takes longer is said that it has begun
NOT_QUICK = ("ray", "slow", "gpu", "shared")
TESTS = Path(__file__).parent
# No folder can be there: whoever starts Ray under --quick, also in a process of its own, fails by these words.
NO_RAY = "/dev/null/make-quick-starts-no-Ray-so-mark-this-test-with-pytest.mark.ray"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options of ours."""
    group = parser.getgroup("facerefs")
    group.addoption("--quick", action="store_true", help="leave out what starts Ray or takes long")
    group.addoption("--note-durations", action="store_true", help=f"write {NOTED.name} anew from this run")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the tests from the one process that hears of all of them."""
    if config.option.quick:
        os.environ["RAY_TMPDIR"] = NO_RAY
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Announcer(config))
    if config.option.note_durations:
        config.pluginmanager.register(Notes())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The fast files first, so that mistakes show at once; then the longest, so that no process ends long after all."""
    seconds = noted()
    if config.option.quick:
        left_out = [item for item in items if not is_quick(item, seconds)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_quick(item, seconds)]
        return
    of_files = by_file(seconds)
    items.sort(key=lambda item: (file_of(item) in of_files, -of_files.get(file_of(item), 0.0)))


def noted() -> dict[str, float]:
    """Seconds by `file` and `file::function`."""
    seconds: dict[str, float] = json.loads(NOTED.read_text(encoding="utf-8"))
    return seconds


def file_of(item: pytest.Item) -> str:
    """The file of a test, from `tests/` on."""
    return item.path.relative_to(TESTS).as_posix()


def by_file(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds of each file in which anything takes long."""
    sums: dict[str, float] = defaultdict(float)
    for name, one in seconds.items():
        sums[name.partition("::")[0]] += one
    return dict(sums)


def is_quick(item: pytest.Item, seconds: dict[str, float]) -> bool:
    """Whether a test is one for between two edits."""
    file, function = file_of(item), item.nodeid.split("::")[1].partition("[")[0]
    marked = any(item.get_closest_marker(name) for name in NOT_QUICK)
    starts_ray = "ray_for_two" in getattr(item, "fixturenames", ())
    return not (marked or starts_ray or file in seconds or f"{file}::{function}" in seconds)


class Announcer:
    """Says of a long file that it has begun, since it may be silent for a while."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds = {} if config.option.quick else by_file(noted())
        self.begun: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        path = nodeid.partition("::")[0]
        seconds = self.seconds.get(path.removeprefix("tests/"), 0)
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and seconds > LONG_S and path not in self.begun:
            reporter.ensure_newline()
            reporter.write(f"{path} has begun: about {seconds:.0f} s\n")
        self.begun.add(path)


class Notes:
    """The durations of this run; what did not run keeps its own."""

    def __init__(self) -> None:
        self.tests: dict[str, float] = defaultdict(float)
        self.fixtures: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path, function = report.nodeid.split("::")[:2]
        file = path.removeprefix("tests/")
        if report.when == "call":
            self.tests[f"{file}::{function.partition('[')[0]}"] += report.duration
        else:
            self.fixtures[file] = max(self.fixtures[file], report.duration)

    def pytest_sessionfinish(self) -> None:
        old = noted()
        there = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
        kept = {
            name: one
            for name, one in old.items()
            if name not in self.tests and name.partition("::")[0] in there and name not in self.fixtures
        }
        long = {name: one for name, one in self.tests.items() if one > QUICK_S}
        long |= {name: one for name, one in self.fixtures.items() if one > FIXTURE_S}
        lines = {name: round(one, 1) for name, one in sorted((kept | long).items())}
        NOTED.write_text(json.dumps(lines, indent=0) + "\n", encoding="utf-8")
