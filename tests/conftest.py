"""Fixtures that several test files use."""

from pathlib import Path

import pytest
from hypothesis import settings

# Examples are bounded, not seconds: on a loaded machine a deadline says nothing about the code.
settings.register_profile("facerefs", deadline=None)
settings.load_profile("facerefs")

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
