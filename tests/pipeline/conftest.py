"""A published set and its build, for the tests of published lists and of audits."""

import pytest

from facerefs.pipeline.storage.folder import Storage
from tests.pipeline.published_set import Published, build_published, write_published


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A published set with planted mistakes; tests that change its lists put them back."""
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def published_build(published: Published) -> tuple[Storage, str]:
    """Its build, and what the build said."""
    return build_published(published, published.folder / "set")
