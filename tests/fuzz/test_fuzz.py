"""A short run of each target; `make fuzz` is the long one."""

from pathlib import Path

import pytest

from tests.fuzz.harness import Target, fuzz
from tests.fuzz.targets import targets

TARGETS = targets()


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_only_promised_errors_come_out(target: Target) -> None:
    report = fuzz(target, 40, seed=1)
    assert report.findings == {}
    assert report.executions == 40


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_the_seeds_are_good(target: Target, tmp_path: Path) -> None:
    for seed in target.seeds:
        target.run(seed, tmp_path)


def test_a_crash_a_hang_and_a_wrong_error_are_found() -> None:
    import os
    import signal

    def bad(data: bytes, _: Path) -> None:
        match data[:1]:
            case b"a":
                os.kill(os.getpid(), signal.SIGSEGV)
            case b"b":
                raise KeyError("b")
            case b"c":
                bytearray(1 << 40)

    report = fuzz(Target("bad", bad, (ValueError,), [b"a", b"b", b"c", b"d"]), 200)
    found = sorted(what.split(" at ")[0] for what in report.findings)
    assert found == ["KeyError", "MemoryError", "the process ended: SIGSEGV"]
    assert report.executions == 200
