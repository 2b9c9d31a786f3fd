"""Fixtures that several test files use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from facerefs.pipeline.runner.workers import RayWorkers
from tests.browser import browser  # noqa: F401 (a fixture)
from tests.durations import (  # noqa: F401 (the hooks of pytest)
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
)

# Examples are bounded, not seconds: on a loaded machine a deadline says nothing about the code.
settings.register_profile("facerefs", deadline=None)
settings.load_profile("facerefs")

if "PYTEST_XDIST_WORKER" in os.environ:
    # The other cores belong to the other processes of pytest. OpenCV has a name of its own for it.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(name, "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"needs real photos or weights at {path}, which only our workplace has")
    return path


@pytest.fixture(scope="session")
def shared_faces() -> Path:
    """Real photos of people that the project must not contain."""
    return _shared("faces")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Real ONNX weights that the project must not contain."""
    return _shared("models")


@pytest.fixture(scope="session")
def ray_for_two() -> Iterator[None]:
    """Ray in this process, with room for two workers, whichever test comes first: it starts only once."""
    import ray

    RayWorkers(2).start()
    yield
    ray.shutdown()
