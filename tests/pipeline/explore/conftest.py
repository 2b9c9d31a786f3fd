"""A small build of rendered people, some with names that would like to be markup, and its page."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.explore.opened import Opened, opened
from tests.pipeline.small_build import build

EVIL = "<img src=x onerror=alert(1)> & =HYPERLINK('x')"


@pytest.fixture(scope="session")
def explored_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, one photo twice, one that is no photo. Tests that decide get a copy."""
    folder = tmp_path_factory.mktemp("explored")
    list(write_people(folder / "photos", identities=3, per_identity=3, size_px=320, seed=3))
    (folder / "photos" / "person-001").rename(folder / "photos" / EVIL)
    shutil.copyfile(folder / "photos" / EVIL / "000.jpg", folder / "photos" / EVIL / "again.jpg")
    (folder / "photos" / "person-000" / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    build(folder / "photos", folder / "build")
    return folder / "build"


@pytest.fixture(scope="session")
def page(explored_build: Path) -> Iterator[Opened]:
    """The page of that build, for reading."""
    with opened(explored_build) as one:
        yield one
