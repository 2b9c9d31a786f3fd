"""What `make quick` runs: all that is fast, and nothing that starts Ray."""

import subprocess
import sys
from pathlib import Path

from tests.durations import NO_RAY, by_file

TESTS = Path(__file__).parent
QUICK = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--quick"]


def test_what_starts_ray_is_left_out() -> None:
    names = [
        str(path) for name in ("runner", "overturned", "lock") for path in TESTS.rglob(f"test_{name}.py")
    ]
    said = subprocess.run(
        [*QUICK, "--collect-only", *names], cwd=TESTS.parent, capture_output=True, text=True, check=False
    ).stdout
    assert "test_lock.py::" in said
    assert "test_runner.py::" not in said
    assert "test_overturned.py::" not in said


def test_a_test_that_starts_ray_unmarked_fails_and_says_so() -> None:
    code = "import ray; ray.init(address='local', num_cpus=1, include_dashboard=False)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"RAY_TMPDIR": NO_RAY, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "make-quick-starts-no-Ray" in done.stderr


def test_the_seconds_of_a_file_are_those_of_its_functions_and_fixtures() -> None:
    assert by_file({"test_a.py::test_x": 1.5, "test_a.py": 2.0, "test_b.py::test_y": 0.6}) == {
        "test_a.py": 3.5,
        "test_b.py": 0.6,
    }
