"""The lock: one command at a time writes to a folder, and a killed one leaves no lock behind."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.lock import LOCK_FILE, locked

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from facerefs.pipeline.storage.lock import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the folder's lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refused(folder: Path, message: str) -> None:
    with pytest.raises(UserError, match=message), locked(folder):
        pytest.fail("two hold one lock")


def test_one_at_a_time(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        refused(tmp_path, "another command is writing")
        process.communicate()  # its input ends: it goes on to its own end
        assert process.returncode == 0
        with locked(tmp_path):
            refused(tmp_path, "another command is writing")


def test_a_folder_and_its_neighbour(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / "a"), locked(tmp_path / "b"):
        refused(tmp_path / "a", "another command is writing")


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK_FILE).exists()
        with locked(tmp_path):
            pass


def test_an_error_in_the_block_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_place_of_the_lock_leads_nowhere(tmp_path: Path, there: bool) -> None:
    victim = tmp_path / "thesis.txt"
    if there:
        victim.write_text("three years of work")
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / LOCK_FILE).symlink_to(victim)
    refused(folder, "cannot write to")
    assert victim.exists() == there
    assert not there or victim.read_text() == "three years of work"


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    refused(file, "is a file, not a folder")
    refused(file / "below", "is a file, not a folder")
    assert file.read_text() == "mine"
