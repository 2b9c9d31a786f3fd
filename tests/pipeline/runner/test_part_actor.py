"""What a worker says of an error: a traceback only of an error of ours."""

import errno
from dataclasses import dataclass

import pytest

from facerefs.pipeline.runner.part_pool import PartActor, PartTask


@dataclass(frozen=True)
class Fails:
    """A worker that fails with an error."""

    error: Exception
    cpus: float = 1
    gpus: float = 0

    def setup(self) -> None:
        """Nothing."""

    def work(self, task: PartTask) -> tuple[int, int]:
        """Raises the error."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left on a disk of"),
        (OSError("AWS Error ACCESS_DENIED during PutObject"), "access is denied: check the keys"),
    ],
)
def test_a_full_disk_and_a_server_that_fails_are_one_line(error: Exception, sentence: str) -> None:
    *_, said = PartActor(Fails(error)).work(PartTask("part-a", ""))
    assert sentence in said
    assert "\n" not in said


def test_an_error_of_ours_has_its_traceback() -> None:
    *_, said = PartActor(Fails(ValueError("a fault"))).work(PartTask("part-a", ""))
    assert said.startswith("Traceback")
    assert said.rstrip().endswith("ValueError: a fault")
