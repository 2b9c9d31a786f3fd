"""Shards for the tests of the loop, written once."""

from pathlib import Path

import pytest

from tests.trainers.loop.toy import write_faces


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shards with five faces of 32 px in each of `train` and `val`."""
    return write_faces(tmp_path_factory.mktemp("faces"))
